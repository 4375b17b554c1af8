"""Makes docs/samples.html: `python docs/make_samples.py joe allison` has these voices read their texts.

The texts of a voice are the `ID|text` lines of docs/samples/VOICE/texts.txt; its readings are written beside them as
ID.mp3. What the speaker recorded of the same texts is ID.speaker.mp3, which `--recordings DIR` encodes from DIR/ID.wav
or DIR/ID.flac. The first text of the first voice is drawn into docs/images.
"""

from __future__ import annotations

import html
from pathlib import Path

from wavetts import load_voice
from wavetts.audio import read_audio
from wavetts.audio.codecs import encode
from wavetts.audio.figures import alignment_figure, save_figure, spectrogram_figure
from wavetts.errors import Parser, UserError, run
from wavetts.files import read_utf8, write_atomic
from wavetts.synthesis.catalog import find_voice, list_voices

DOCS = Path(__file__).parent
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>wavetts: samples</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; padding: 0.5rem; border-bottom: 1px solid #8884; }}
audio {{ width: 15rem; max-width: 100%; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #111; color: #ddd; }} a {{ color: #8bf; }} }}
</style>
<h1>wavetts: samples</h1>
<p>Sentences that were held out of training. Each voice speaks with its own temperature and guidance, seed 0;
nothing was selected. Beside each reading is that of the speaker whom the voice learnt from.
Made by <code>python docs/make_samples.py {voices}</code>.</p>
{sections}</html>
"""
SECTION = """<h2>{name}</h2>
<p>{description} Licence of the voice and its samples: {licence}.</p>
<table>
<tr><th>text</th><th>{name}</th><th>the speaker</th></tr>
{rows}</table>
"""


def read_texts(folder: Path) -> dict[str, str]:
    """The texts of a voice by their ID, from the `ID|text` lines of texts.txt."""
    lines = read_utf8(folder / "texts.txt").splitlines()
    return dict(line.split("|", 1) for line in lines)


def speak(name: str, folder: Path, images: Path | None = None) -> None:
    """Has a voice read its texts and writes ID.mp3 of each; draws the first one into `images`."""
    voice, texts = load_voice(name), read_texts(folder)
    for identifier, text in texts.items():
        (result,) = voice.synthesize([(text, 0)])
        write_atomic(folder / f"{identifier}.mp3", encode(result.audio, result.sample_rate, "mp3"))
        if images is not None and identifier == next(iter(texts)):
            labels = [voice.tokenizer.symbols[token] for take in result.takes for token in take.piece.tokens]
            save_figure(alignment_figure(result.alignment, labels), images / "attention.png")
            save_figure(spectrogram_figure(result.audio, result.sample_rate), images / "spectrogram.jpg")


def add_recordings(folder: Path, recordings: Path) -> None:
    """Encodes what the speaker recorded of a voice's texts as ID.speaker.mp3."""
    for identifier in read_texts(folder):
        found = [path for suffix in (".wav", ".flac") if (path := recordings / f"{identifier}{suffix}").is_file()]
        if not found:
            raise UserError(f"{recordings}: no {identifier}.wav or {identifier}.flac in it")
        write_atomic(folder / f"{identifier}.speaker.mp3", encode(*read_audio(found[0]), "mp3"))


def section(name: str, folder: Path) -> str:
    """The part of the page about one voice."""
    path = find_voice(name)
    (entry,) = [entry for entry in list_voices() if entry.path == path]
    rows = ""
    for identifier, text in read_texts(folder).items():
        players = [
            f'<audio controls preload="none" src="samples/{folder.name}/{file.name}"></audio>' if file.is_file() else ""
            for file in (folder / f"{identifier}.mp3", folder / f"{identifier}.speaker.mp3")
        ]
        rows += f"<tr><td>{html.escape(text)}</td><td>{players[0]}</td><td>{players[1]}</td></tr>\n"
    described = {key: html.escape(getattr(entry, key)) for key in ("name", "description", "licence")}
    return SECTION.format(**described, rows=rows)


def main(argv: list[str]) -> None:
    """Speaks, draws and writes the page."""
    parser = Parser(description=__doc__.partition("\n")[0])
    parser.add_argument("voices", metavar="VOICE", nargs="+", help="names of voices that have texts")
    parser.add_argument(
        "--recordings", metavar="DIR", type=Path, help="the speaker's recordings of the first voice's texts"
    )
    parser.add_argument(
        "--output", metavar="DIR", type=Path, default=DOCS, help="the folder to write to (default: docs)"
    )
    args = parser.parse_args(argv)
    folders = {name: args.output / "samples" / name for name in args.voices}
    if args.recordings is not None:
        add_recordings(folders[args.voices[0]], args.recordings)
    for name, folder in folders.items():
        speak(name, folder, args.output / "images" if name == args.voices[0] else None)
    sections = "".join(section(name, folder) for name, folder in folders.items())
    write_atomic(args.output / "samples.html", PAGE.format(voices=" ".join(args.voices), sections=sections))


if __name__ == "__main__":
    run(main)
