"""English citations of scripture, chapter and verse: `John 3:5` is neither a ratio nor a time."""

from __future__ import annotations

import re

from wavetts.text.english.number_words import cardinal
from wavetts.text.tokens import rule

_BOOKS = (
    "Genesis Exodus Leviticus Numbers Deuteronomy Joshua Judges Ruth Samuel Kings Chronicles Ezra Nehemiah Tobit "
    "Judith Esther Maccabees Job Psalms? Proverbs Ecclesiastes Wisdom Sirach Isaiah Jeremiah Lamentations Baruch "
    "Ezekiel Daniel Hosea Joel Amos Obadiah Jonah Micah Nahum Habakkuk Zephaniah Haggai Zechariah Malachi Matthew "
    "Mark Luke John Acts Romans Corinthians Galatians Ephesians Philippians Colossians Thessalonians Timothy Titus "
    "Philemon Hebrews James Peter Jude Revelation Solomon Songs Surah? Quran Qur'an"
)
SHORT_BOOKS = {
    "Gen": "Genesis",
    "Exod": "Exodus",
    "Lev": "Leviticus",
    "Num": "Numbers",
    "Deut": "Deuteronomy",
    "Josh": "Joshua",
    "Sam": "Samuel",
    "Ps": "Psalm",
    "Prov": "Proverbs",
    "Isa": "Isaiah",
    "Jer": "Jeremiah",
    "Ezek": "Ezekiel",
    "Dan": "Daniel",
    "Matt": "Matthew",
    "Rom": "Romans",
    "Cor": "Corinthians",
    "Gal": "Galatians",
    "Eph": "Ephesians",
    "Phil": "Philippians",
    "Col": "Colossians",
    "Thess": "Thessalonians",
    "Tim": "Timothy",
    "Heb": "Hebrews",
    "Pet": "Peter",
    "Rev": "Revelation",
}
# A verse has no leading zero: "John 3:05" is a time, as is what AM or PM follows.
_PLACE = r"[1-9][0-9]{0,2}:[1-9][0-9]{0,2}(?: ?- ?[1-9][0-9]{0,2})?(?![0-9:]|-[0-9]|\.[0-9]| ?[AaPp]\.? ?[Mm]\b)"
_BOOK = rf"({'|'.join(_BOOKS.split())}|(?:{'|'.join(SHORT_BOOKS)})\.?)"
_CITED = rf"{_BOOK} ({_PLACE}(?:(?:[,;] ?| and ){_PLACE})*)"
_NUMBERS = re.compile(r"([0-9]+):([0-9]+)(?: ?- ?([0-9]+))?")
_ORDER = {"1": "First ", "2": "Second ", "3": "Third "}


def _citation(match: re.Match[str], language: str) -> str:
    def place(match: re.Match[str]) -> str:
        chapter, first, last = match.groups()
        # "twenty one" would be another chapter.
        divider = " verse " if int(chapter) >= 20 and int(chapter) % 10 == 0 and int(first) < 10 else " "
        words = cardinal(chapter, language) + divider + cardinal(first, language)
        return f"{words} to {cardinal(last, language)}" if last else words

    *order, book, places = match.groups()
    book = SHORT_BOOKS.get(book.rstrip("."), book)
    return f"{_ORDER[order[0]] if order else ''}{book} {_NUMBERS.sub(place, places)}"


WORDS = [
    rule(
        "verse",
        _CITED,
        _citation,
        "_0 .",
        [
            book.lower()
            for book in (
                *_BOOKS.replace("Psalms?", "Psalm Psalms").replace("Surah?", "Sura Surah").split(),
                *SHORT_BOOKS,
            )
        ],
    )
]
DIGITS = [rule("verse", rf"(?<![\w.,:])([123]) {_CITED}", _citation, "_a")]
