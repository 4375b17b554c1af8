"""Command lines that scripts and documents hold, checked against the programs that they call."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from paths import ROOT

from wavetts.cli import _build_parser
from wavetts.config.load import load_config
from wavetts.errors import dashed


def check_wavetts(words: list[str]) -> None:
    """Parses the arguments of `wavetts`; the config of `train` and its overrides must be sound."""
    try:
        args, rest = _build_parser().parse_known_args(dashed(words))
    except SystemExit as exit:
        # --help and --version say something and leave.
        assert exit.code == 0, words
        return
    if args.command == "train":
        load_config(ROOT / args.config if "/" in args.config else args.config, args.overrides + rest)
    else:
        assert not rest, words


def check_recipe(script: str, words: list[str]) -> None:
    """Looks for the options in the help of a script in recipes/, or of its command, if the first word is one."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, script, *(word for word in words[:1] if not word.startswith("-")), "--help"]
    shown = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    known = set(re.findall(r"--[a-z][a-z0-9-]*", shown.stdout))
    assert {word.partition("=")[0] for word in dashed(words) if word.startswith("--")} <= known, (script, words)
