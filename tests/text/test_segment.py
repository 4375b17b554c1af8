from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavetts.errors import UserError
from wavetts.text.inline import INLINE
from wavetts.text.segment import split_text


def dense(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("He met Mr. Smith, Jr. in St. Louis.", ["He met Mr. Smith, Jr. in St. Louis."]),
        ("It cost 3.50 at 5 p.m. on Monday. Fine.", ["It cost 3.50 at 5 p.m. on Monday.", "Fine."]),
        ("John F. Kennedy of the U.S. Navy. He won.", ["John F. Kennedy of the U.S. Navy.", "He won."]),
        ("In the U.S. He won.", ["In the U.S.", "He won."]),
        ("See No. 5 and p. 12. No. 5 won.", ["See No. 5 and p. 12.", "No. 5 won."]),
        ("No. Not him.", ["No.", "Not him."]),
        ("Apples, e.g. red ones, etc. The end.", ["Apples, e.g. red ones, etc.", "The end."]),
        ('"What?" he said. "Go!" She went.', ['"What?" he said.', '"Go!"', "She went."]),
        ("It is... well... fine. Yes.", ["It is... well... fine.", "Yes."]),
        ("Title\n\nFirst line\nsecond line.\n \nEnd", ["Title", "First line\nsecond line.", "End"]),
        ("So did I. He left.", ["So did I.", "He left."]),
        ("Она пришла. Он ушёл.", ["Она пришла.", "Он ушёл."]),
        ("你好。再见！", ["你好。", "再见！"]),
        ("Say [[ə. bˈiː]] now. Yes.", ["Say [[ə. bˈiː]] now.", "Yes."]),
        ("One. ... Two.", ["One. ...", "Two."]),
        ("*** One.", ["*** One."]),
        (" \n ", []),
    ],
)
def test_sentences(text, pieces):
    assert split_text(text) == pieces


def test_long_sentence_is_cut_at_clauses_near_the_middle():
    text = "When the long rain had ended, the children ran out to play; the old man, who was tired, stayed at home."
    assert split_text(text, 80) == [
        "When the long rain had ended, the children ran out to play;",
        "the old man, who was tired, stayed at home.",
    ]
    assert split_text("one two three four", 9) == ["one two", "three", "four"]
    assert split_text("abcdefgh", 3) == ["ab", "cd", "ef", "gh"]


def test_inline_phonemes_are_never_cut():
    inline = "[[" + "bˈiː, ə. " * 10 + "]]"
    assert inline in split_text(f"Some words, then {inline} and more words; the end.", 20)


def test_max_chars_must_be_positive():
    with pytest.raises(UserError, match="max_chars"):
        split_text("a", 0)


TEXTS = st.text() | st.text(alphabet="abAB12 .,;:!?-—\"')(\n[]", max_size=200)


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.integers(1, 60))
def test_nothing_is_lost_and_pieces_fit(text, max_chars):
    pieces = split_text(text, max_chars)
    assert dense("".join(pieces)) == dense(text)
    for piece in pieces:
        assert piece and piece == piece.strip()
        assert len(piece) <= max_chars or INLINE.fullmatch(piece)
    # an [[ipa]] segment of the text is whole in one piece
    assert INLINE.findall("\n".join(pieces)) == INLINE.findall(text)


@pytest.mark.parametrize("part", ["a", ".", ", ", " ", ") ", "Hello there, Mr. Smith. ", "[", "\n "])
def test_long_line_in_linear_time(part):
    start = time.process_time()
    assert dense("".join(split_text(part * (100_000 // len(part))))) == dense(part * (100_000 // len(part)))
    assert time.process_time() - start < 8
