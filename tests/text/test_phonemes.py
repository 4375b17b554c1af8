from __future__ import annotations

import subprocess
import sys
import time

import pytest

from wavetts.errors import UserError
from wavetts.text.phonemes import espeak_version, phonemize, supported_languages


def test_stress_and_punctuation_stay():
    assert phonemize('"Hello," she said; (why not?) — well...') == '"həlˈoʊ," ʃiː sˈɛd; (wˌaɪ nˈɑːt?) — wˈɛl...'


@pytest.mark.parametrize(
    "text", ["$19.99.", "It cost 19.99. Yes, 1,5, 2.", "1.5.", "a, , b", "...", "-.-", "1,,2", ". 5 ."]
)
def test_marks_stay_aligned(text):
    """phonemizer's own preserve_punctuation gives two outputs for the first of these."""
    try:
        phonemes = phonemize(text)
    except UserError:
        assert not any(char.isalnum() for char in text)
        return
    assert phonemes.rstrip()[-1] == text.rstrip()[-1] or text[-1].isalnum()


def test_ties_hold_a_phoneme_together():
    assert phonemize("A chain, found", tie="^") == "ɐ t^ʃˈe^ɪn, fˈa^ʊnd"
    assert phonemize("A chain, found", tie="^").replace("^", "") == phonemize("A chain, found")


def test_same_as_phonemizer_where_that_works():
    from wavetts.text.phonemes import _espeak

    backend = _espeak()("en-us", preserve_punctuation=True, with_stress=True, language_switch="remove-flags")
    text = 'In being "comparatively" modern, it has (I think) never been surpassed; has it?'
    assert phonemize(text) == backend.phonemize([text], strip=True)[0].strip()


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en-us", "good morning"),
        ("en-gb", "good morning"),
        ("fr-fr", "bonjour, j'aime le football"),
        ("es", "¿buenos días?"),
        ("it", "buongiorno"),
        ("ru", "доброе утро"),
        ("de", "guten Morgen"),
    ],
)
def test_languages(language, text):
    phonemes = phonemize(text, language)
    assert "ˈ" in phonemes and "(" not in phonemes  # no (en) flags


def test_languages_do_not_disturb_each_other():
    first = [phonemize("table", language) for language in ("en-us", "fr-fr", "de")]
    assert len(set(first)) == 3
    assert first[::-1] == [phonemize("table", language) for language in ("de", "fr-fr", "en-us")]


@pytest.mark.parametrize(
    ("code", "near"), [("en", "en-us"), ("en_US", "en-us"), ("fr", "fr-fr"), ("deu", "de"), ("?", "en-us")]
)
def test_unknown_language(code, near):
    with pytest.raises(UserError, match=near):
        phonemize("hello", code)


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        ("[[fˈuː]]", "fˈuː"),
        ("hello [[fˈuː]], hello", "həlˈoʊ fˈuː, həlˈoʊ"),
        ("([[fˈuː]])", "(fˈuː)"),
        ("[[ fˈuː ]] [[bˈɑː]].", "fˈuː bˈɑː."),
        ("[[X9, y.]] hello", "X9, y. həlˈoʊ"),
    ],
)
def test_inline_phonemes(text, phonemes):
    assert phonemize(text) == phonemes


@pytest.mark.parametrize("text", ["", " \n", "...", "\0", "\ud800", "-"])
def test_nothing_to_speak(text):
    with pytest.raises(UserError, match="nothing to speak"):
        phonemize(text)


def test_white_space_and_characters_that_do_not_print():
    assert phonemize("hello\r\n\tthere\0you\ud800") == phonemize("hello thereyou")


def test_version_and_languages():
    assert espeak_version().split(".")[0] == "1"
    assert {"en-us", "en-gb", "fr-fr", "es", "it", "ru", "de"} <= set(supported_languages())


def test_silent_in_a_fresh_process():
    code = (
        "from wavetts.text.phonemes import phonemize\n"
        "import sys\n"
        "phonemize('un week-end de football, ok', 'fr-fr'); phonemize('日本 hello', 'ja')\n"
        "phonemize('Пушкин wrote it', 'en-us')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "" and done.stderr == ""


def test_import_is_light():
    heavy = "('phonemizer', 'num2words', 'torch', 'babel', 'unicode_rbnf', 'markdown_it', 'emoji')"
    code = f"import wavetts.text.tokenizer, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_speed():
    phonemize("warm up")
    start = time.process_time()
    for _ in range(100):
        phonemize("the invention of movable metal letters in the middle of the fifteenth century.")
    assert time.process_time() - start < 2  # about 0.04 s


def test_long_line():
    start = time.process_time()
    assert phonemize("Hello there, you. " * 5500).count(",") == 5500
    assert time.process_time() - start < 10  # about 1 s
