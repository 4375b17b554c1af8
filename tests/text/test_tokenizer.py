from __future__ import annotations

import json
import random
import warnings
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavetts.errors import UserError
from wavetts.text import tokenizer as module
from wavetts.text.normalize import FRONT_END_VERSION
from wavetts.text.tokenizer import BEGIN, END, PADDING, Tokenizer

TEXT = "the quick brown fox jumps over a lazy dog while seven vexed wizards judge boxing quietly in March"


def make(input: str, sentences: int = 300) -> Tokenizer:
    """A table with broad symbols, from a few hundred sentences."""
    chance = random.Random(0)
    texts = []
    for _ in range(sentences):
        words = " ".join(chance.choices(TEXT.split(), k=6)) + chance.choice(".,;:!?")
        texts.append(f'{words} "(Yes) — {chance.randrange(3000)}," it\'s')
    draft = Tokenizer((), input, "en-us", "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Tokenizer.build((draft.transcribe(text) for text in texts), input, "en-us")


@pytest.fixture(scope="module")
def tokenizers() -> dict[str, Tokenizer]:
    return {input: make(input) for input in ("phonemes", "characters")}


def test_table_is_sorted_after_the_marks(tokenizers):
    for tokenizer in tokenizers.values():
        assert (PADDING, BEGIN, END) == (0, 1, 2)
        assert list(tokenizer.symbols[3:]) == sorted(set(tokenizer.symbols[3:]))
        assert all(len(symbol) == 1 for symbol in tokenizer.symbols[3:])
    assert tokenizers["phonemes"].espeak_version and not tokenizers["characters"].espeak_version


def test_round_trip(tokenizers):
    for tokenizer in tokenizers.values():
        transcript = tokenizer.transcribe("The Fox, 7 wizards!")
        indices = tokenizer.encode(transcript)
        assert indices[0] == BEGIN and indices[-1] == END and PADDING not in indices
        assert tokenizer.decode([*indices, PADDING]) == transcript
    assert tokenizers["characters"].transcribe("The Fox, 7!") == "the fox, seven!"
    assert tokenizers["phonemes"].transcribe("The Fox, 7!") == "ðə fˈɑːks, sˈɛvən!"


def test_unknown_symbols_are_named(tokenizers):
    tokenizer = tokenizers["characters"]
    with pytest.raises(UserError, match=r"'é' \(U\+00E9\).*character 4"):
        tokenizer.encode("café ñé")
    assert tokenizer.unknown("café ñé") == ["é", "ñ"]
    assert tokenizer.decode(tokenizer.encode("café ñé", skip_unknown=True)) == "caf "


def test_combining_marks():
    phonemes = Tokenizer.build(["ɑ̃ o"], "phonemes", "fr-fr")
    assert phonemes.decode(phonemes.encode("õ")) == "o\u0303"
    characters = Tokenizer.build(["e\u0301"], "characters", "fr-fr")
    assert characters.symbols[3:] == ("é",)


def test_inline_phonemes(tokenizers):
    assert tokenizers["phonemes"].transcribe("the [[ɡuː]]") == "ðə ɡuː"
    with pytest.raises(UserError, match="reads characters"):
        tokenizers["characters"].transcribe("a [[ɡuː]]")


def test_nothing_to_speak(tokenizers):
    for tokenizer in tokenizers.values():
        for text in ("", "...", " \n"):
            with pytest.raises(UserError, match="nothing to speak"):
                tokenizer.transcribe(text)


def test_dict_round_trip(tokenizers):
    for tokenizer in tokenizers.values():
        assert Tokenizer.from_dict(json.loads(json.dumps(tokenizer.to_dict()))) == tokenizer


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"symbols": ["a", "b", "c"]}, "first symbols"),
        ({"symbols": "abc"}, "list of strings"),
        ({"symbols": [*module._SPECIAL, "ab"]}, "single characters"),
        ({"symbols": [*module._SPECIAL, "a", "a"]}, "each once"),
        ({"symbols": [*module._SPECIAL, 5]}, "list of strings"),
        ({"input": "words"}, "phonemes, characters"),
        ({"input": []}, "phonemes, characters"),
        ({"language": None}, "language must be a string"),
    ],
)
def test_bad_dict(tokenizers, change, message):
    with pytest.raises(UserError, match=message):
        Tokenizer.from_dict({**tokenizers["characters"].to_dict(), **change})


@pytest.mark.parametrize("data", [{}, None, []])
def test_no_dict(data):
    with pytest.raises(UserError, match="missing"):
        Tokenizer.from_dict(data)


def test_bad_build():
    with pytest.raises(UserError, match="empty"):
        Tokenizer.build([], "characters", "en-us")
    with pytest.raises(UserError, match="phonemes, characters"):
        Tokenizer.build(["a"], "words", "en-us")
    with pytest.raises(UserError, match="outside"):
        Tokenizer.build(["a"], "characters", "en-us").decode([99])


def test_warns_once_of_another_espeak(tokenizers):
    old = Tokenizer(tokenizers["phonemes"].symbols, "phonemes", "en-us", "1.48.0")
    with pytest.warns(UserWarning, match=r"espeak-ng 1\.48\.0"):
        old.transcribe("hello")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        old.transcribe("hello")
        tokenizers["phonemes"].transcribe("hello")


TEXTS = st.text() | st.text(alphabet="abcXYZ 0123456789.,-'\"!?()[]—$%éñ&#\n", max_size=60)


@settings(max_examples=250, deadline=None)
@given(TEXTS, st.sampled_from(["phonemes", "characters"]))
def test_any_text_gives_tokens_or_a_user_error(tokenizers, text, input):
    tokenizer = tokenizers[input]
    try:
        transcript = tokenizer.transcribe(text)
    except UserError as error:
        assert "\n" not in str(error)
        return
    indices = tokenizer.encode(transcript, skip_unknown=True)
    assert all(0 < index < len(tokenizer.symbols) for index in indices)
    if tokenizer.unknown(transcript):
        with pytest.raises(UserError) as raised:
            tokenizer.encode(transcript)
        assert "\n" not in str(raised.value)
    else:
        assert tokenizer.encode(transcript) == indices


def test_the_front_end_of_the_training_texts_is_kept(tokenizers):
    for tokenizer in tokenizers.values():
        assert tokenizer.front_end_version == FRONT_END_VERSION
        assert Tokenizer.from_dict(tokenizer.to_dict()) == tokenizer


def test_a_voice_without_a_front_end_version_speaks_without_a_warning(tokenizers, recwarn):
    data = tokenizers["characters"].to_dict()
    del data["front_end_version"]
    assert Tokenizer.from_dict(data).transcribe("The Fox.") == "the fox."
    assert not recwarn.list


def test_another_version_of_the_front_end_is_warned_of(tokenizers):
    tokenizer = replace(tokenizers["characters"], front_end_version="0")
    with pytest.warns(UserWarning, match="version 0 of the text front end"):
        assert tokenizer.transcribe("The Fox.") == "the fox."


def test_a_front_end_version_that_is_no_string(tokenizers):
    with pytest.raises(UserError, match="front_end_version"):
        Tokenizer.from_dict({**tokenizers["characters"].to_dict(), "front_end_version": 2})
