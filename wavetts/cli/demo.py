"""`wavetts demo`: serves a web page on which to try voices."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from wavetts.cli.arguments import add_device, positive
from wavetts.extras import require


def add(command: Callable) -> None:
    """The command's arguments."""
    sub = command(
        "demo",
        "serve a page to try voices on",
        "wavetts demo\nwavetts demo --models runs --open\nwavetts demo --host 0.0.0.0 --port 8080 --max-chars 300",
        " It speaks while one listens, shows spectrogram and attention, compares temperatures and seeds, and reads "
        "long texts. Only this machine can reach it unless --host says otherwise.",
    )
    sub.add_argument("--models", metavar="DIR", type=Path, help="also offer the models in and below this folder")
    sub.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="address to listen on (default %(default)s)"
    )
    sub.add_argument(
        "--port", type=int, metavar="N", help="port to listen on (default: the first free one from 7860 on)"
    )
    sub.add_argument(
        "--max-chars", type=positive, default=600, metavar="N", help="longest text to speak (default %(default)s)"
    )
    sub.add_argument(
        "--max-long-chars",
        type=positive,
        default=20_000,
        metavar="N",
        help="longest text of the tab for long texts (default %(default)s)",
    )
    sub.add_argument(
        "--max-waiting",
        type=positive,
        default=16,
        metavar="N",
        help="waiting requests; further ones are rejected (default %(default)s)",
    )
    sub.add_argument("--open", action="store_true", help="open the page in a browser")
    add_device(sub)


def run(args: argparse.Namespace) -> None:
    """Serves the demo until it is interrupted."""
    require("the page", "demo", "gradio", "matplotlib")
    from wavetts.demo.actions import Actions
    from wavetts.demo.launch import launch

    actions = Actions(args.models, args.device, args.threads, args.max_chars, args.max_long_chars)
    launch(actions, args.host, args.port, args.max_waiting, open_browser=args.open)
