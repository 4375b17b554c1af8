"""Kinds of written text and what is said for them: english_cases.tsv, sentence_cases.tsv, language_cases.tsv."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wavetts.text.normalize import explain, normalize, sentences
from wavetts.text.phonemes import phonemize

HERE = Path(__file__).parent


def cases(name: str) -> list[tuple[str, ...]]:
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    return [tuple(line.replace("\\n", "\n").split("\t")) for line in lines if not line.startswith("# ")]


def canonical(text: str) -> str:
    """Without what is style: case, marks, "and", "oh" for "zero", letters apart or together."""
    text = re.sub(r"['’](?=s\b)", "", text.lower())
    text = re.sub(r"[^\w\s]", " ", text).replace("_", " ")
    text = re.sub(r"\b(oh|o)\b", "zero", re.sub(r"\band\b", " ", text))
    return "".join(text.split())


ENGLISH = cases("english_cases.tsv")


@pytest.mark.parametrize(("kind", "written", "spoken"), ENGLISH, ids=[case[1] for case in ENGLISH])
def test_english(kind, written, spoken):
    assert canonical(normalize(written)) == canonical(spoken), normalize(written)


@pytest.mark.parametrize(("kind", "written", "spoken"), ENGLISH[::4], ids=[case[1] for case in ENGLISH[::4]])
def test_case_stands_in_a_sentence_as_well(kind, written, spoken):
    """What stands around a token may not be glued to it or lost."""
    if "\n" in written or kind in ("html", "markdown", "capitals", "acronym"):
        return
    said = normalize(f"Well, ({written}), he said.")
    assert said.startswith("Well, (") and said.endswith("he said.")


@pytest.mark.parametrize(("pieces", "written"), cases("sentence_cases.tsv"))
def test_sentences(pieces, written):
    found = sentences(written)
    assert len(found) == int(pieces), [sentence.spoken for sentence in found]


LANGUAGES = cases("language_cases.tsv")


@pytest.mark.parametrize(("language", "written", "spoken"), LANGUAGES, ids=[f"{c[0]} {c[1]}" for c in LANGUAGES])
def test_languages(language, written, spoken):
    assert [sentence.spoken for sentence in sentences(written, language)] == [spoken]


def test_there_are_as_many_neighbours_as_cases():
    assert len(ENGLISH) >= 2 * 89


@pytest.mark.parametrize(
    ("written", "phonemes"),
    [
        # espeak alone drops the s of NASA's, and of DVDs before a comma
        ("NASA's plan", "nˈæsɐz plˈæn"),
        ("DVDs, TVs,", "dˈiːvˈiːdˈiːz, tˈiːvˈiːz,"),
        ("the FBI's, UFOs.", "ðɪ ˈɛfbˈiːaɪz, jˈuːˈɛfˈoʊz."),
        ("PhDs.", "pˈiːˈeɪtʃdˈiːz."),
        # and reads these as words
        ("an LED, the FAQ", "ɐn ˈɛlˈiːdˈiː, ðɪ ˈɛfˈeɪ kjˈuː"),
        ("U.S.A. law of the LAPD", "juːɛseɪ lɔː ʌvðɪ ɛleɪpiːdiː"),
        ("CO2, A4", "sˈiːˈoʊtˈuː, ˈeɪfˈɔːɹ"),
        # an A that is spelled is no article
        ("a-1@b.com", "ˈeɪ dˈæʃ wˈʌn æt bˈiː dˈɑːt kˈɑːm"),
        ("a + b = c", "ˈeɪ plˈʌs bˈiː ˈiːkwəlz sˈiː"),
        ("IT WAS LATE", "ɪt wʌz lˈeɪt"),
    ],
)
def test_phonemes(written, phonemes):
    said = phonemize(normalize(written))
    for mark in "ˈˌ ":
        said, phonemes = said.replace(mark, ""), phonemes.replace(mark, "")
    assert said == phonemes


def test_what_is_explained_is_what_is_said():
    text = "Dr. Lee, born 3/4/1990, paid $5 at 10:30 pm; see a@b.com, 😀 or IV [[ˈaɪ]]."
    kinds = {written: (kind, spoken) for written, kind, spoken in explain(text)}
    assert kinds["Dr."] == ("abbreviation", "Doctor")
    assert kinds["3/4/1990"] == ("date", "March fourth, nineteen ninety")
    assert kinds["$5"] == ("money", "five dollars")
    assert kinds["10:30 pm"] == ("time", "ten thirty PM")
    assert kinds["a@b.com"][0] == "electronic"
    assert kinds["😀"] == ("emoji", "grinning face")
    assert kinds["born"] == ("word", "born")
    assert kinds["[[ˈaɪ]]"] == ("phonemes", "[[ˈaɪ]]")
    said = normalize(text)
    assert all(spoken in said for _, spoken in kinds.values())


def test_a_sign_that_nothing_is_said_for_is_named_in_a_warning():
    from wavetts.text import tokens

    tokens._warned.clear()
    with pytest.warns(UserWarning, match=r"U\+0378|U\+FFF9|U\+2FFE|U\+09FE|U\+0E3F"):
        assert normalize("a \u09fe b".replace("\u09fe", "\U0001fbf0")) is not None
        tokens._warn_of_sign("\u0378")


def test_spoken_pieces_fit():
    text = "It cost $1,234,567.89 on 12/12/2012, at 10:30 pm, in the U.S.; he said so. " * 3
    for most in (16, 30, 80, 200):
        found = sentences(text, max_chars=most)
        assert all(0 < len(sentence.spoken) <= most for sentence in found)
        together = " ".join(sentence.spoken for sentence in found)
        assert together.split() == normalize(text).split()


def test_paragraphs_are_marked():
    found = sentences("# Title\n\nOne. Two.\n\n- a\n- b")
    assert [(s.spoken, s.starts_paragraph) for s in found] == [
        ("Title", False), ("One.", True), ("Two.", False), ("a", True), ("b", False),
    ]  # fmt: skip
    assert normalize("# Title\n\nOne. Two.\n\n- a\n- b") == "Title. One. Two. a. b"
