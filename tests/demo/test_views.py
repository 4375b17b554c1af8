from __future__ import annotations

import base64
import dataclasses
import io
import re

import numpy as np
import pytest
from matplotlib.image import imread
from toy import RATE
from toy_voice import save_voice

from wavetts.demo import views
from wavetts.demo.actions import Actions, Spoken, Variant
from wavetts.synthesis import catalog
from wavetts.synthesis.settings import SynthesisSettings
from wavetts.synthesis.voice import load_voice


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    return load_voice(save_voice(tmp_path_factory.mktemp("voice"), stop="never"), "cpu", 1)


def speak(voice, text: str) -> Spoken:
    pieces = voice.prepare(text, 0)
    (result,) = voice.speak([pieces], SynthesisSettings(max_seconds=0.2, retries=0))
    return Spoken(voice, pieces, result.seconds, len(pieces), 0.1, 0.02, result)


def test_sentences_are_escaped_and_tell_what_became_of_them(voice):
    spoken = speak(voice, "One here. Two three.")
    piece = dataclasses.replace(spoken.pieces[0], spoken="<b>one</b>", unknown=["<", "ß"])
    spoken.result.takes[0] = dataclasses.replace(spoken.result.takes[0], piece=piece)
    shown = views.sentences(spoken)
    assert "<summary>&lt;b&gt;one&lt;/b&gt; <span>" in shown
    assert shown.count('class="phones"') == 2
    assert "0.20 s, did not stop; left out, unknown to this voice: &lt; ß" in shown


def test_what_is_said_in_other_words_is_told(voice):
    shown = views.sentences(speak(voice, "Dr. Two paid <$5>."))
    assert "<tr><td>$5</td><td>money</td><td>five dollars</td></tr>" in shown
    assert "<td>paid</td>" not in shown
    assert "<table>" not in views.sentences(speak(voice, "One two."))


def test_figures(voice):
    spoken = speak(voice, "One. Two.")
    assert views.figures(spoken) == (
        "<b>0.6 s</b> of speech made in <b>0.1 s</b>, the first sound after 0.02 s, real-time factor 0.17. "
        "2 of 2 sentences broke off: try another seed."
    )
    assert views.figures(Spoken(voice, [])) == ""
    assert 'style="width: 50%"' in views.bar(1, 2)


def test_attention_has_a_label_for_each_token_and_a_picture(voice):
    spoken = speak(voice, "One. Two.")
    take = spoken.result.takes[0]
    shown = views.attention(take, voice.tokenizer.symbols, voice.sample_rate)
    tokens = re.search(r'<div class="tokens">(.*?)</div>', shown)[1]
    assert re.findall(r"<span>(.*?)</span>", tokens) == ["begin", "o", "n", "e", ".", "end"]
    assert pixels(shown).shape == (6, 10)
    # Every sentence has its own, however long the text is.
    assert views.sentences(spoken).count('<figure class="attention">') == 2


def test_spectrogram_has_axes_in_seconds_and_khz(voice):
    spoken = speak(voice, "One.")
    shown = views.spectrogram(spoken)
    assert re.findall(r'<span style="bottom: (.*?)%">(\d)</span>', shown) == [
        ("0", "0"), ("25", "2"), ("50", "4"), ("75", "6"), ("100", "8"),
    ]  # fmt: skip
    assert re.findall(r'left: ([\d.]+)%"[^>]*>([\d.]+)<', shown) == [("0.00", "0"), ("50.00", "0.1"), ("100.00", "0.2")]
    assert 'style="width: 100.00%"' in shown


def test_compared_spectrograms_have_the_same_scales(voice):
    """Half as long is half as wide, half as loud is darker."""
    spoken = speak(voice, "One.")
    quiet = dataclasses.replace(spoken.result, audio=0.05 * spoken.result.audio)
    soft = dataclasses.replace(spoken, result=quiet)
    shown = [views.spectrogram(one, longest=0.4) for one in (spoken, soft)]
    assert all('style="width: 50.00%"' in one for one in shown)
    loud, dark = (pixels(one).mean() for one in shown)
    assert dark < 0.8 * loud
    alone, soft_alone = (pixels(views.spectrogram(one)).mean() for one in (spoken, soft))
    assert soft_alone == pytest.approx(alone, rel=0.05)


def test_voice_cards(voice, tmp_path, monkeypatch):
    folder = save_voice(tmp_path / "mine" / "carded")
    (folder / "README.md").write_text("---\ndescription: Loud & <clear>.\nlicense: CC0-1.0\n---\n")
    save_voice(tmp_path / "models" / "run")
    monkeypatch.setattr(catalog, "BUNDLED", tmp_path / "none")
    monkeypatch.setenv("WAVETTS_VOICES", str(tmp_path / "mine"))
    actions = Actions(tmp_path / "models", "cpu", 1)
    carded, model = (views.voice_card(actions, name) for name in ("carded", "run"))
    for part in ("Loud &amp; &lt;clear&gt;.", "<dd>en-us</dd>", "<dd>CC0-1.0</dd>", f"<dd>{RATE / 1000:g} kHz</dd>"):
        assert part in carded
    assert "A model after 0 steps of training." in model
    assert "<dd>not stated</dd>" in model


def test_a_card_of_a_comparison_says_how_it_was_spoken(voice):
    spoken = speak(voice, "One.")
    variant = Variant("<b>", "noise", SynthesisSettings(temperature=0.5, guidance=0.25, seed=7))
    assert views.variant_title(variant, spoken) == (
        "<h3>&lt;b&gt;<span>noise, temperature 0.5, guidance 0.25, seed 7</span></h3>"
    )


def pixels(shown: str) -> np.ndarray:
    """Brightness (rows, columns) of the only picture in some HTML."""
    (data,) = re.findall(r"data:image/png;base64,([^\"]+)", shown)
    return imread(io.BytesIO(base64.b64decode(data)), format="png")[..., :3].mean(-1)
