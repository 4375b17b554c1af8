from __future__ import annotations

import dataclasses

import pytest
from toy_voice import save_voice

from wavetts.demo import views
from wavetts.demo.actions import Spoken
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
    assert "<div>&lt;b&gt;one&lt;/b&gt;<div" in shown
    assert shown.count('class="phones"') == 2
    assert "did not stop, 0.20 s; left out, unknown to this voice: &lt; ß" in shown


def test_figures(voice):
    spoken = speak(voice, "One. Two.")
    assert views.figures(spoken) == (
        "<b>0.6 s</b> of speech made in <b>0.1 s</b>, the first sound after 0.02 s, real-time factor 0.17. "
        "2 of 2 sentences broke off: try another seed."
    )
    assert views.figures(Spoken(voice, [])) == ""
    assert 'style="width: 50%"' in views.bar(1, 2)


def test_pictures_have_the_text_s_tokens_and_fit_the_page(voice):
    spoken = speak(voice, "One. Two.")
    picture = views.alignment(spoken)
    (axes,) = picture.axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert "".join(labels) == "<begin>one.<end><begin>two.<end>"
    assert axes.images[0].get_array().shape == (len(labels), 2 * 10)
    sound = views.spectrogram(spoken, "Seed 1")
    assert sound.axes[0].get_title() == "Seed 1"
    assert picture.get_figwidth() == sound.get_figwidth()
    for figure in (picture, sound):
        assert figure.patch.get_alpha() == 0


def test_long_texts_show_the_first_sentences(voice):
    (axes,) = views.alignment(speak(voice, "A sentence of several words. " * 8)).axes
    assert axes.get_title().endswith("the first 4 of 8 sentences")
    assert len(axes.get_yticklabels()) == axes.images[0].get_array().shape[0] <= 120
