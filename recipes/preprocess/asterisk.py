"""Brings Asterisk's core sounds (one speaker per language, G.722 at 16 kHz, about 25 min) into LJSpeech's layout."""

from __future__ import annotations

import argparse
import gzip
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from wavetts.audio import write_audio
from wavetts.errors import Parser, UserError, run
from wavetts.files import make_folder, write_atomic
from wavetts.progress import progress_bar

LANGUAGES = ("en", "es", "fr", "it", "ru")
SAMPLE_RATE = 16000
# Some translations describe these without the brackets that the English list puts around what is not speech.
BEEPS = {"beep", "beeperr", "ascending-2tone", "descending-2tone", "confbridge-join", "confbridge-leave"}
# What the English speaker says for a key of the telephone.
ENGLISH_KEYS = {"*": "star", "#": "pound"}

EPILOG = """examples:
  # The English prompts, fetched with apt-get download (nothing is installed, no root needed):
  python recipes/preprocess/asterisk.py data/asterisk-en --language en

  # From package files that are already here, as on a machine without Debian's archive:
  python recipes/preprocess/asterisk.py data/asterisk-fr --language fr --packages debs/

  # What comes next:
  wavetts preprocess data/asterisk-en data/asterisk-en-16k --sample-rate 16000 --language en-us
"""


def main(argv: list[str]) -> None:
    """Fetch, unpack, pair transcripts with audio, decode, write."""
    parser = Parser(description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, metavar="OUT", help="folder to make: metadata.csv, wavs/, LICENSE")
    parser.add_argument("--language", choices=LANGUAGES, default="en", help="default: en")
    parser.add_argument("--packages", type=Path, metavar="DIR", help="folder of .deb files to use; nothing is fetched")
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="where fetched packages are kept (default: OUT/cache)"
    )
    args = parser.parse_args(argv)

    names = [f"asterisk-core-sounds-{args.language}", f"asterisk-core-sounds-{args.language}-g722"]
    if args.packages:
        packages = [find_package(args.packages, name) for name in names]
    else:
        packages = fetch_packages(args.cache or args.output / "cache", names)
    with tempfile.TemporaryDirectory() as tree:
        for package in packages:
            unpack(package, Path(tree))
        convert(Path(tree), args.output, args.language)


def fetch_packages(cache: Path, names: list[str]) -> list[Path]:
    """Have apt-get download packages into a folder, unless they are there already.

    Raises:
        UserError: there is no apt-get, or it does not find a package.
    """
    make_folder(cache)
    for name in names:
        if list(cache.glob(f"{name}_*.deb")):
            continue
        if not shutil.which("apt-get"):
            raise UserError("apt-get is not here: fetch the .deb files elsewhere and pass their folder as --packages")
        print(f"fetching {name}", file=sys.stderr)
        result = subprocess.run(["apt-get", "download", name], cwd=cache, capture_output=True, text=True)
        if result.returncode:
            reason = (result.stderr.strip().splitlines() or ["no message"])[-1]
            raise UserError(f"apt-get download {name} failed ({reason}): run 'apt-get update', or pass --packages DIR")
    return [find_package(cache, name) for name in names]


def find_package(folder: Path, name: str) -> Path:
    """The newest-named .deb of a package in a folder."""
    found = sorted(folder.glob(f"{name}_*.deb"))
    if not found:
        raise UserError(f"{folder}: no {name}_*.deb in it; fetch it with 'apt-get download {name}'")
    return found[-1]


def unpack(package: Path, tree: Path) -> None:
    """Unpack a .deb into a folder, without installing it."""
    if not shutil.which("dpkg-deb"):
        raise UserError("dpkg-deb is not here: install dpkg, or run this on a Debian or Ubuntu machine")
    result = subprocess.run(["dpkg-deb", "-x", str(package), str(tree)], capture_output=True, text=True)
    if result.returncode:
        raise UserError(
            f"{package}: dpkg-deb cannot unpack it ({' '.join(result.stderr.split())}); remove it, fetch it again"
        )


def convert(tree: Path, output: Path, language: str) -> None:
    """Write an unpacked pair of packages as a corpus in LJSpeech's layout.

    Args:
        tree: where both packages were unpacked.
        output: gets metadata.csv, wavs/, skipped.csv (name|reason), LICENSE and copyright.
        language: one of `LANGUAGES`.

    Raises:
        UserError: the packages do not hold what they should, or no prompt is speech.
    """
    audio = find_audio(tree)
    texts, skipped = read_transcripts(find_one(tree, f"core-sounds-{language}.txt*"))
    rows, seconds = [], 0.0
    for name, path in progress_bar(sorted(audio.items()), desc="decoding", unit="clip"):
        text, reason = spoken_text(name, texts.get(name.lower(), ""), language)
        if reason:
            skipped.setdefault(name, reason)
            continue
        samples = decode_g722(path)
        identifier = name.replace("/", "-")
        write_audio(output / "wavs" / f"{identifier}.wav", samples, SAMPLE_RATE)
        rows.append(f"{identifier}|{text}\n")
        seconds += len(samples) / SAMPLE_RATE
    if not rows:
        raise UserError(f"{tree}: none of {len(audio)} prompts is speech; is this the right --language?")
    for name in sorted(texts.keys() - {name.lower() for name in audio}):
        skipped.setdefault(name, "no audio")
    write_license(tree, output, language)
    write_atomic(output / "skipped.csv", "".join(f"{name}|{skipped[name]}\n" for name in sorted(skipped)))
    write_atomic(output / "metadata.csv", "".join(rows))
    print(f"{output}: {len(rows)} of {len(audio)} prompts, {seconds / 60:.1f} min; the others are in skipped.csv")


def find_one(tree: Path, pattern: str) -> Path:
    """The first file below a folder whose name matches."""
    found = sorted(path for path in tree.rglob(pattern) if path.is_file())
    if not found:
        raise UserError(f"{tree}: no {pattern} in the unpacked packages; are these asterisk-core-sounds packages?")
    return found[0]


def find_audio(tree: Path) -> dict[str, Path]:
    """Prompt names, such as "digits/1", and their G.722 files below sounds/VOICE/."""
    folder = find_one(tree, "vm-*.g722").parent
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in folder.rglob("*.g722")}


def read_transcripts(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Read a package's `name: text` lines; lines that begin with ";" are comments.

    Returns:
        Texts by lower-case name (the lists and the files disagree about "letters/O" and the like), and reasons to
        skip by name: a name with two different texts is not to be trusted.
    """
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    texts: dict[str, str] = {}
    skipped: dict[str, str] = {}
    # utf-8-sig: the Italian list begins with a byte order mark.
    for line in data.decode("utf-8-sig").splitlines():
        name, colon, text = line.partition(":")
        if not colon or line.startswith(";"):
            continue
        name, text = name.strip().lower(), " ".join(text.split())
        if texts.setdefault(name, text) != text:
            skipped[name] = f"two transcripts: {texts[name]} / {text}"
            texts[name] = ""
    return texts, skipped


def spoken_text(name: str, text: str, language: str) -> tuple[str, str]:
    """What a prompt says, without the transcript's remarks.

    Returns:
        The text and "", or "" and the reason why the prompt is left out.
    """
    if name in BEEPS or name.startswith("silence/") or re.fullmatch(r"\[[^]]*\w[^]]*\]|\([^)]*\)|<[^>]*>", text):
        return "", f"not speech: {text or name}"
    if not text:
        return "", "no transcript"
    # "dash [-]" shows the sign; "IAX (note: does not say ...)" ends in a remark; a Russian line repeats its name.
    text = re.sub(r"\[[^\w\]]*\]", "", text.removeprefix(f"{name}: "))
    text = re.sub(r"\s*\([^)]*\)\.?\s*$", "", text)
    if re.search(r"[][()<>]", text):
        return "", f"unclear whether the bracketed words are said: {text}"
    # Where a letter with an accent was lost: "la conferenza ? piena", "sar? esattamente".
    if re.search(r"\?\s*[a-zß-ÿа-я]", text):
        return "", f"damaged transcript: {text}"
    if language == "en":
        text = re.sub(r"[*#]", lambda key: ENGLISH_KEYS[key[0]], text)
    # A stray quotation mark, and the dots that mark the later half of a sentence said in two prompts.
    text = text.replace('"', "").replace("…", "...").replace("|", " ").lstrip(". ")
    return (" ".join(text.split()), "") if re.search(r"\w", text) else ("", f"nothing to say: {text}")


def decode_g722(path: Path) -> np.ndarray:
    """Decode a headerless G.722 file of 64 kbit/s.

    Returns:
        `(S,)` float32 at 16 kHz, two samples a byte.

    Raises:
        UserError: PyAV is not installed, or cannot decode the file.
    """
    try:
        import av
    except ImportError as error:
        raise UserError("G.722 is decoded with PyAV: pip install av") from error
    try:
        with av.open(str(path), format="g722") as container:
            frames = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    except av.error.FFmpegError as error:
        raise UserError(f"{path}: not readable as G.722 ({error})") from error
    if not frames:
        raise UserError(f"{path}: not readable as G.722 (empty)")
    return np.concatenate(frames).astype(np.float32) / 32768


def write_license(tree: Path, output: Path, language: str) -> None:
    """Put the package's copyright file, and a note with this language's part of it, beside the corpus."""
    copyright_text = find_one(tree, "copyright").read_text(encoding="utf-8")
    stanzas = {
        match[1]: match[0].strip()
        for match in re.finditer(r"^Files: (\S+)\n.*?(?=\n\n)", copyright_text, re.MULTILINE | re.DOTALL)
    }
    stanza = stanzas.get(f"{language}-*") or stanzas.get("*")
    if not stanza:
        raise UserError(f"{tree}: its copyright file has no section 'Files: *'; is it an asterisk-core-sounds package?")
    note = (
        f"Asterisk core sounds, language {language}, from the Debian packages asterisk-core-sounds-{language} and\n"
        f"asterisk-core-sounds-{language}-g722; upstream: https://downloads.asterisk.org/pub/telephony/sounds/\n\n"
        f"{stanza}\n\n"
        "CC-BY-SA-3.0: https://creativecommons.org/licenses/by-sa/3.0/\n"
        "CC-BY-3.0: https://creativecommons.org/licenses/by/3.0/\n"
        "The full texts are in the file `copyright` beside this one.\n\n"
        "Changes made: decoded from G.722 to 16-bit WAV; what is no speech left out (skipped.csv); remarks, signs in\n"
        "brackets and leading dots taken out of the transcripts.\n"
    )
    write_atomic(output / "copyright", copyright_text)
    write_atomic(output / "LICENSE", note)


if __name__ == "__main__":
    run(main)
