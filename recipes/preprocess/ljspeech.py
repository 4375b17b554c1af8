"""Fetches LJSpeech 1.1 (24 h of one speaker, 22.05 kHz, public domain, 2.6 GB), checks it and unpacks it."""

from __future__ import annotations

import argparse
import hashlib
import http.client
import shutil
import tarfile
import urllib.error
import urllib.request
from pathlib import Path

from wavetts.errors import Parser, UserError, run
from wavetts.files import make_folder
from wavetts.progress import progress_bar

URL = "https://data.keithito.com/data/speech/LJSpeech-1.1.tar.bz2"
SHA256 = "be1a30453f28eb8dd26af4101ae40cbf2c50413b1bb21936cbcdc6fae3de8aa5"
READ_BYTES = 1 << 20
TIMEOUT_SECONDS = 60

EPILOG = """examples:
  # Fetch, check and unpack; run it again to go on after an interruption:
  python recipes/preprocess/ljspeech.py data/LJSpeech-1.1

  # From an archive that is already here:
  python recipes/preprocess/ljspeech.py data/LJSpeech-1.1 --archive LJSpeech-1.1.tar.bz2

  # What comes next:
  wavetts preprocess data/LJSpeech-1.1 data/ljspeech-24k --sample-rate 24000 --jobs 8
"""


def main(argv: list[str]) -> None:
    """Fetch, check and unpack, whatever of it is not done yet."""
    parser = Parser(description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, metavar="OUT", help="folder to make: metadata.csv, wavs/")
    parser.add_argument("--archive", type=Path, metavar="FILE", help="the archive; nothing is fetched")
    args = parser.parse_args(argv)
    if is_unpacked(args.output):
        print(f"{args.output}: metadata.csv and wavs/ are there, taken as they are")
        return
    archive = args.archive
    if archive is None:
        archive = args.output.parent / URL.rpartition("/")[2]
        if not archive.is_file():
            download(URL, archive)
    check(archive)
    unpack(archive, args.output)
    print(f"{args.output}: {sum(1 for _ in (args.output / 'wavs').iterdir())} clips")


def is_unpacked(folder: Path) -> bool:
    """Whether a folder has LJSpeech's layout."""
    return (folder / "metadata.csv").is_file() and (folder / "wavs").is_dir()


def download(url: str, path: Path) -> None:
    """Fetch a file, going on from what an interrupted call left in PATH.part.

    Raises:
        UserError: the server cannot be reached, the connection ends early, or the disk is full.
    """
    part = path.with_name(path.name + ".part")
    make_folder(path.parent)
    start = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            # A server that does not know ranges answers 200 and sends everything.
            start = start if response.status == 206 else 0
            length = response.headers.get("Content-Length")
            total = start + int(length) if length else None
            bar = progress_bar(total=total, initial=start, desc=path.name, unit="B", unit_scale=True)
            with bar, part.open("ab" if start else "wb") as file:
                while data := response.read(READ_BYTES):
                    file.write(data)
                    bar.update(len(data))
    except urllib.error.HTTPError as error:
        # 416: there is nothing after what we have; the checksum tells whether it is right.
        if error.code != 416:
            raise UserError(
                f"{url}: the server answers {error.code} {error.reason}; try later, or --archive"
            ) from error
        total = start
    except (OSError, http.client.HTTPException) as error:
        raise UserError(f"{url}: {error}; run the same command again to go on, or pass --archive FILE") from error
    if total is not None and part.stat().st_size < total:
        raise UserError(f"{url}: ended at {part.stat().st_size} of {total} bytes; run the same command again to go on")
    part.rename(path)


def check(archive: Path) -> None:
    """Compare an archive's SHA-256.

    Raises:
        UserError: it is another one, or the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with (
            archive.open("rb") as file,
            progress_bar(total=archive.stat().st_size, desc="check", unit="B", unit_scale=True) as bar,
        ):
            while data := file.read(READ_BYTES):
                digest.update(data)
                bar.update(len(data))
    except OSError as error:
        raise UserError(f"{archive}: cannot be read ({error.strerror})") from error
    if digest.hexdigest() != SHA256:
        raise UserError(
            f"{archive}: SHA-256 is {digest.hexdigest()}, LJSpeech 1.1 has {SHA256}; remove it, fetch it again"
        )


def unpack(archive: Path, output: Path) -> None:
    """Unpack the archive's only folder as OUT; OUT appears when it is whole.

    Raises:
        UserError: the archive is not LJSpeech's, names paths outside of its folder, or the disk is full.
    """
    if output.exists() and any(output.iterdir()):
        raise UserError(f"{output}: not empty, and no LJSpeech in it; choose another OUT")
    staging = output.with_name(f".{output.name}.unpacking")
    make_folder(staging)
    try:
        with tarfile.open(archive) as tar:
            for member in progress_bar(tar, desc="unpack", unit="file"):
                tar.extract(member, staging, filter="data")
        folders = [folder for folder in staging.iterdir() if is_unpacked(folder)]
        if len(folders) != 1:
            raise UserError(f"{archive}: no folder with metadata.csv and wavs/ in it; is this LJSpeech's archive?")
        if output.exists():
            output.rmdir()
        folders[0].rename(output)
    except (OSError, EOFError, tarfile.TarError) as error:
        raise UserError(f"{archive}: cannot be unpacked to {output} ({error})") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


if __name__ == "__main__":
    run(main)
