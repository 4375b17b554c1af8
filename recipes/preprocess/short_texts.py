"""Draws short texts from a list of long ones: single words, phrases, questions, and numbers in all their guises.

A corpus of whole sentences teaches a model nothing about "Yes." or "Room 12": this fills the gap.
"""

from __future__ import annotations

import argparse
import calendar
import random
import re
from collections import Counter
from pathlib import Path

from reading import read_texts

from wavetts.errors import Parser, UserError, run
from wavetts.files import write_atomic

EPILOG = """example:
  python recipes/preprocess/short_texts.py LJSpeech-1.1/metadata.csv short.txt
  python recipes/preprocess/piper.py LJSpeech-1.1/metadata.csv data/joe --extra short.txt
"""
MONTHS = calendar.month_name[1:]  # English, as Python sets no locale by itself
QUESTIONS = (
    "Is it {}? Was it {}? Do you mean {}? Who said {}? What about {}? Why {}? Where is {}? How is {}? When was {}? "
    "Did you say {}? Can you see {}? Which is {}? Have you heard of {}? Should I say {}?"
)


def main(argv: list[str]) -> None:
    """Write one text a line."""
    parser = Parser(description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path, metavar="TEXTS", help=".txt with a text a line, or lines of id|text[|...]")
    parser.add_argument("output", type=Path, metavar="OUT.txt", help="file to write")
    parser.add_argument("--words", type=int, default=1200, help="most frequent words, each alone (default: 1200)")
    parser.add_argument("--phrases", type=int, default=1200, help="runs of two to five words (default: 1200)")
    parser.add_argument("--questions", type=int, default=400, help="short questions (default: 400)")
    parser.add_argument("--numbers", type=int, default=600, help="numbers, amounts, dates, times (default: 600)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (default: 0)")
    args = parser.parse_args(argv)
    if min(args.words, args.phrases, args.questions, args.numbers) < 0:
        raise UserError("--words, --phrases, --questions and --numbers must not be negative")
    rng = random.Random(args.seed)
    texts = [text for _, text in read_texts(args.texts)]
    runs = [run.split() for text in texts for run in re.split(r"[^A-Za-z' ]+", text) if len(run.split()) >= 2]
    if not runs:
        raise UserError(f"{args.texts}: no two words of Latin letters in a row to draw phrases from")
    counts = Counter(word for text in texts for word in re.findall(r"\b[a-z]{2,}\b", text))
    lines = [f"{word.capitalize()}." for word, _ in counts.most_common(args.words)]
    lines += [f"{_capital(_phrase(rng, runs))}{rng.choice('...!?,')}" for _ in range(args.phrases)]
    questions = re.findall(r"[^?]+\?", QUESTIONS)
    lines += [rng.choice(questions).strip().format(_phrase(rng, runs)) for _ in range(args.questions)]
    lines += [_number(rng, index) for index in range(args.numbers)]
    lines = list(dict.fromkeys(lines))
    write_atomic(args.output, "".join(f"{line}\n" for line in lines))
    print(f"{args.output}: {len(lines)} texts")


def _phrase(rng: random.Random, runs: list[list[str]]) -> str:
    words = rng.choice(runs)
    start = rng.randrange(len(words) - 1)
    return " ".join(words[start : start + rng.randint(2, 5)])


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _number(rng: random.Random, index: int) -> str:
    """The smallest numbers one after the other, then anything."""
    if index <= 120:
        return f"{index}."
    few, hundreds, many = rng.randint(2, 31), rng.randint(100, 999), round(10 ** rng.uniform(3, 7))
    month, year = rng.choice(MONTHS), rng.randint(1500, 2060)
    hour, minute = rng.randint(1, 12), rng.choice([0, 5, 10, 15, 20, 30, 40, 45, 50, 55])
    return rng.choice(
        [
            f"{hundreds}.",
            f"{many:,}.",
            f"{few}.{rng.randint(0, 99):02d}.",
            f"{few}%.",
            f"${few}.{rng.randint(1, 99):02d}.",
            f"${many:,}.",
            f"{month} {few if few < 29 else 1}, {year}.",
            f"In {year}.",
            f"The {few}th of {month}." if few % 10 > 3 else f"{month} 4th.",
            f"At {hour}:{minute:02d} {rng.choice(['a.m.', 'p.m.', 'in the morning', 'at night'])}",
            f"Room {hundreds}.",
            f"Number {few}, please.",
            f"{few} {rng.choice(['miles', 'years', 'hours', 'minutes', 'pounds', 'feet', 'people', 'days'])}.",
            f"Call {rng.randint(200, 999)}-{rng.randint(200, 999)}-{rng.randint(1000, 9999)}.",
        ]
    )


if __name__ == "__main__":
    run(main)
