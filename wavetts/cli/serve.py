"""`wavetts serve`: the speech server."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from wavetts.cli.arguments import add_device, add_precision, add_settings, positive, settings_of


def add(command: Callable) -> None:
    """The command's arguments."""
    sub = command(
        "serve",
        "answer OpenAI's text-to-speech requests",
        "wavetts serve\n"
        "wavetts serve --voice mine=runs/mine --voice alloy=runs/mine --port 8080\n"
        "WAVETTS_API_KEY=secret wavetts serve --host 0.0.0.0 --threads 2\n"
        "wavetts serve --api-key-file key.txt --max-requests 64 --timeout 60",
        " POST /v1/audio/speech, GET /v1/models, /v1/audio/voices, /health and /metrics. Needs pip install "
        "'wavetts[serve]'. Texts are never logged.",
    )
    sub.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="address to listen on (default %(default)s)"
    )
    sub.add_argument(
        "--port", type=int, default=8000, metavar="N", help="port to listen on; 0: any free one (default %(default)s)"
    )
    sub.add_argument(
        "--voice",
        action="append",
        default=[],
        metavar="NAME[=PATH]",
        dest="voices",
        help="a voice that clients may ask for: one that has a name, or a model file or run folder under this name; "
        "several times for several (default: all that have a name)",
    )
    sub.add_argument(
        "--api-key-file",
        metavar="FILE",
        type=Path,
        help="file with the key that clients must send (default: WAVETTS_API_KEY; without a key anyone may speak)",
    )
    sub.add_argument(
        "--max-chars", type=positive, default=4096, metavar="N", help="longest text of a request (default %(default)s)"
    )
    sub.add_argument(
        "--max-requests",
        type=positive,
        default=32,
        metavar="N",
        help="open requests; further ones get status 429 (default %(default)s)",
    )
    sub.add_argument(
        "--timeout",
        type=positive,
        default=300,
        metavar="S",
        help="seconds that a request may take from its arrival to its last byte (default %(default)s)",
    )
    sub.add_argument(
        "--cors",
        action="append",
        default=[],
        metavar="ORIGIN",
        dest="origins",
        help="allow requests from web pages of this origin, such as https://example.org, or * for all; may be repeated",
    )
    sub.add_argument(
        "--settings", metavar="FILE", type=Path, help="YAML file with the options below; flags take precedence"
    )
    add_settings(sub)
    add_device(sub)
    add_precision(sub)


def run(args: argparse.Namespace) -> None:
    """Runs the speech server until SIGINT or SIGTERM."""
    from wavetts.server.run import serve

    serve(
        args.voices,
        settings_of(args),
        host=args.host,
        port=args.port,
        api_key_file=args.api_key_file,
        max_chars=args.max_chars,
        max_requests=args.max_requests,
        timeout=args.timeout,
        device=args.device,
        threads=args.threads,
        precision=args.precision,
        origins=args.origins,
    )
