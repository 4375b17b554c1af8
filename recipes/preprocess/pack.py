"""Packs what `wavetts preprocess` wrote into a small folder of Opus files, and unpacks it where one trains."""

from __future__ import annotations

import argparse
import functools
import hashlib
import io
import json
from pathlib import Path

import numpy as np
import soundfile

from wavetts.audio import read_audio, write_audio
from wavetts.corpus.formats import check_id
from wavetts.corpus.preprocess import SPLITS
from wavetts.errors import Parser, UserError, run
from wavetts.files import make_folder, read_utf8, write_atomic
from wavetts.jsonlines import json_line, read_json_lines, write_json_lines
from wavetts.parallel import ordered_map

# Those that Opus codes without a change of rate.
SAMPLE_RATES = (8000, 12000, 16000, 24000, 48000)
SECONDS_PER_FILE = 600.0
# libsndfile's "compression level" from 0 to 1 goes from the highest to the lowest of these, in bits a second.
HIGHEST_BIT_RATE, LOWEST_BIT_RATE = 256000, 6000
# Speech does not gain by more, or is spoilt by less.
USEFUL_BIT_RATES = (10000, 64000)
TRIES = 3

EPILOG = """examples:
  # Four hours in 40 MiB:
  python recipes/preprocess/pack.py pack data/heart-16k packed --hours 4 --mebibytes 40

  # There, before `wavetts train CONFIG --data data/heart-16k`:
  python recipes/preprocess/pack.py unpack packed data/heart-16k
"""


def main(argv: list[str]) -> None:
    """Pack or unpack."""
    parser = Parser(description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="{pack,unpack}")
    to = commands.add_parser("pack", help="data folder to packed folder")
    to.add_argument("source", type=Path, metavar="DATA", help="what `wavetts preprocess` wrote")
    to.add_argument("--hours", type=float, help="of speech, dev and test included (default: all)")
    to.add_argument("--mebibytes", type=float, default=40.0, help="size of the folder at most (default: 40)")
    back = commands.add_parser("unpack", help="packed folder to data folder")
    back.add_argument("source", type=Path, metavar="PACKED", help="what `pack` wrote")
    for command in (to, back):
        command.add_argument("output", type=Path, metavar="OUT", help="folder to make")
        command.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    args = parser.parse_args(argv)
    if args.jobs < 1:
        raise UserError("--jobs must be at least 1")
    if args.command == "pack":
        pack(args.source, args.output, args.hours, args.mebibytes, args.jobs)
    else:
        unpack(args.source, args.output, args.jobs)


def pack(data: Path, output: Path, hours: float | None, mebibytes: float, jobs: int) -> None:
    """Write OUT/NNN.opus, each of about ten minutes, the manifests with "file" and "start" (in samples), info.json.

    Clips are joined without gaps: preprocessing leaves silence at their ends. All of dev and test is taken, and of
    train what a hash of the id chooses, so that --hours takes a fair sample. The bit rate is what fits.

    Args:
        data: the folder that `wavetts preprocess` made.
        output: the folder to make.
        hours: of speech; None takes everything.
        mebibytes: the folder's size at most.
        jobs: processes.

    Raises:
        UserError: DATA is not preprocessed, its rate is not one of Opus', or it does not fit.
    """
    info = _read_info(data)
    rate = info["sample_rate"]
    if rate not in SAMPLE_RATES:
        raise UserError(f"{data}: has {rate} Hz; Opus knows {', '.join(map(str, SAMPLE_RATES))}: preprocess at one")
    if (output / "info.json").exists():
        raise UserError(f"{output}: holds a corpus already; choose another OUT")
    manifests = {split: [entry for _, entry in read_json_lines(data / f"{split}.jsonl")] for split in SPLITS}
    if hours is not None:
        manifests["train"] = _choose_train(manifests, hours * 3600 * rate)
    files = _assign_files([entry for split in ("dev", "test", "train") for entry in manifests[split]], rate)
    seconds = sum(entry["samples"] for entries in manifests.values() for entry in entries) / rate
    text = json.dumps(info, indent=2, ensure_ascii=False) + "\n"
    lines = sum(len(json_line(entry).encode()) for entries in manifests.values() for entry in entries)
    budget = mebibytes * 2**20 - lines - len(text.encode())
    make_folder(output)
    bit_rate = min(USEFUL_BIT_RATES[1], 8 * budget / seconds)
    for _ in range(TRIES):
        if bit_rate < USEFUL_BIT_RATES[0]:
            raise UserError(
                f"{seconds / 3600:.2f} h in {mebibytes:g} MiB are {bit_rate / 1000:.1f} kbit/s, and speech needs "
                f"{USEFUL_BIT_RATES[0] / 1000:g}: lower --hours or raise --mebibytes"
            )
        work = functools.partial(_encode, data=data, output=output, rate=rate, bit_rate=bit_rate)
        size = sum(_progress(work, list(files.items()), jobs, "packing"))
        if size <= budget:
            break
        # The coder aims at a mean, and misses it a little.
        bit_rate *= 0.98 * budget / size
    else:
        raise UserError(f"{output}: {size / 2**20:.1f} MiB after {TRIES} tries; lower --hours or raise --mebibytes")
    for split, entries in manifests.items():
        write_json_lines(output / f"{split}.jsonl", entries)
    write_atomic(output / "info.json", text)
    print(
        f"{output}: {seconds / 3600:.2f} h in {(size + lines) / 2**20:.1f} MiB, {8 * size / seconds / 1000:.1f} kbit/s"
    )


def unpack(packed: Path, output: Path, jobs: int) -> None:
    """Write the data folder that was packed: OUT/audio/ID.flac, the manifests, info.json.

    Raises:
        UserError: PACKED is not what `pack` writes, or a file of it is damaged.
    """
    info = _read_info(packed)
    if (output / "info.json").exists():
        raise UserError(f"{output}: holds a corpus already; choose another OUT")
    manifests = {split: [entry for _, entry in read_json_lines(packed / f"{split}.jsonl")] for split in SPLITS}
    files: dict[str, list[dict]] = {}
    for split, entries in manifests.items():
        for entry in entries:
            if not isinstance(entry.get("file"), str) or not isinstance(entry.get("start"), int):
                raise UserError(
                    f"{packed / split}.jsonl: a line has no file and start; give a folder that `pack` wrote"
                )
            check_id(entry["id"], f"{packed / split}.jsonl")
            files.setdefault(entry["file"], []).append(entry)
    make_folder(output / "audio")
    work = functools.partial(_decode, packed=packed, output=output, rate=info["sample_rate"])
    count = sum(_progress(work, list(files.items()), jobs, "unpacking"))
    for split, entries in manifests.items():
        kept = [{name: entry[name] for name in entry if name not in ("file", "start")} for entry in entries]
        write_json_lines(output / f"{split}.jsonl", kept)
    write_atomic(output / "info.json", read_utf8(packed / "info.json"))
    print(f"{output}: {count} clips")


def _read_info(folder: Path) -> dict:
    path = folder / "info.json"
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a folder that `wavetts preprocess` wrote, or `pack`")
    try:
        info = json.loads(read_utf8(path))
        assert isinstance(info["sample_rate"], int)
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise UserError(f"{path}: damaged ({error!r})") from None
    return info


def _choose_train(manifests: dict[str, list[dict]], samples: float) -> list[dict]:
    """Training clips, in their order, until all splits together have this many samples."""
    left = samples - sum(entry["samples"] for split in ("dev", "test") for entry in manifests[split])
    chosen = set()
    for entry in sorted(manifests["train"], key=lambda entry: hashlib.sha256(entry["id"].encode()).digest()):
        if left <= 0:
            break
        chosen.add(entry["id"])
        left -= entry["samples"]
    if not chosen:
        raise UserError("--hours leaves nothing to train on: dev and test alone are as long")
    return [entry for entry in manifests["train"] if entry["id"] in chosen]


def _assign_files(entries: list[dict], rate: int) -> dict[str, list[dict]]:
    """Give every entry its "file" and "start"; returns the entries of each file."""
    files: dict[str, list[dict]] = {}
    start = float("inf")
    for entry in entries:
        if start >= SECONDS_PER_FILE * rate:
            name, start = f"{len(files):03d}.opus", 0
        entry.update(file=name, start=start)
        files.setdefault(name, []).append(entry)
        start += entry["samples"]
    return files


def _progress(work, items: list, jobs: int, title: str):
    from tqdm import tqdm

    return tqdm(ordered_map(work, items, min(jobs, len(items) or 1)), total=len(items), desc=title, unit="file")


def _encode(item: tuple[str, list[dict]], data: Path, output: Path, rate: int, bit_rate: float) -> int:
    """Write one file; returns its size in bytes."""
    name, entries = item
    clips = []
    for entry in entries:
        samples, found = read_audio(data / entry["audio"])
        if (found, len(samples)) != (rate, entry["samples"]):
            raise UserError(f"{data / entry['audio']}: is not as its manifest says; run `wavetts preprocess` again")
        clips.append(samples)
    level = (HIGHEST_BIT_RATE - bit_rate) / (HIGHEST_BIT_RATE - LOWEST_BIT_RATE)
    encoded = io.BytesIO()
    soundfile.write(encoded, np.concatenate(clips), rate, format="OGG", subtype="OPUS", compression_level=level)
    write_atomic(output / name, encoded.getvalue())
    return len(encoded.getvalue())


def _decode(item: tuple[str, list[dict]], packed: Path, output: Path, rate: int) -> int:
    """Write one file's clips; returns how many."""
    name, entries = item
    samples, found = read_audio(packed / name)
    end = max(entry["start"] + entry["samples"] for entry in entries)
    if found != rate or len(samples) < end:
        raise UserError(
            f"{packed / name}: {len(samples)} samples at {found} Hz where the manifest needs {end} at {rate}"
        )
    for entry in entries:
        clip = samples[entry["start"] : entry["start"] + entry["samples"]]
        write_audio(output / "audio" / f"{entry['id']}.flac", clip, rate)
    return len(entries)


if __name__ == "__main__":
    run(main)
