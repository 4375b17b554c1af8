from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wavetts.audio.figures import (
    alignment_figure,
    alignment_image,
    curve_figure,
    save_figure,
    spectrogram_figure,
    spectrogram_image,
)
from wavetts.errors import UserError
from wavetts.jsonlines import write_json_lines


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with the figures of ten steps."""
    lines = [
        {"kind": kind, "step": step, "minutes": step / 60, "loss": 1 / step, "bits_per_sample": 9 + 1 / step}
        for step in range(1, 11)
        for kind in ("train", "dev")
    ]
    write_json_lines(tmp_path / "run/metrics.jsonl", lines)
    return tmp_path / "run"


def test_curves_of_runs(run: Path, tmp_path: Path):
    save_figure(curve_figure([run, run / "metrics.jsonl"], "bits_per_sample"), tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes()[:4] == b"\x89PNG"
    save_figure(curve_figure([run], "loss", over="minutes"), tmp_path / "minutes.png")
    assert (tmp_path / "minutes.png").stat().st_size > 1000
    with pytest.raises(UserError, match="no finite figure named 'bits'"):
        curve_figure([run], "bits")
    with pytest.raises(UserError, match=r"metrics\.jsonl: cannot be read: No such file"):
        curve_figure([tmp_path], "loss")
    with pytest.raises(UserError, match=r"x\.tune: pictures are written as \..*\.png"):
        save_figure(curve_figure([run], "loss"), tmp_path / "x.tune")
    for content, message in ((b"\xff\n", ":1: not JSON"), (b'{"step": 1}\n', ":1: no figures of a step")):
        (tmp_path / "other.jsonl").write_bytes(content)
        with pytest.raises(UserError, match=f"other.jsonl{message}"):
            curve_figure([tmp_path / "other.jsonl"], "loss")


def test_a_curve_shows_the_figures(run: Path):
    axes = curve_figure([run], "loss").axes[0]
    assert [line.get_label() for line in axes.lines] == ["run train", "run dev"]
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [[step, 1 / step] for step in range(1, 11)])


def test_an_alignment_has_frames_across_and_tokens_upwards():
    alignment = np.eye(3, 5)  # the third of five tokens in the last of three frames
    axes = alignment_figure(alignment, list("abcde"), "title").axes[0]
    assert axes.images[0].get_array()[2, 2] == 1 and axes.images[0].get_array().shape == (5, 3)
    assert [label.get_text() for label in axes.get_yticklabels()] == list("abcde")


@pytest.mark.parametrize("seconds", [0.01, 1.0])
def test_a_spectrogram_shows_a_tone_where_it_is(seconds: float):
    rate = 8000
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(round(seconds * rate)) / rate)
    image = spectrogram_figure(tone, rate).axes[0].images[0]
    assert image.get_extent()[2:] == [0, rate / 2000]
    bins = image.get_array().shape[0]
    assert np.argmax(image.get_array()[:, 0]) == pytest.approx(1000 / (rate / 2) * (bins - 1), abs=4)


def brightness(png: bytes) -> np.ndarray:
    """(rows from the top, columns)"""
    import io

    from matplotlib.image import imread

    return imread(io.BytesIO(png))[..., :3].sum(-1)


def test_spectrogram_image_shows_a_tone_at_its_height():
    """Of the picture's 8 kHz, whatever the rate; above half of the rate it is dark."""
    for rate in (8000, 16000, 22050):
        tone = 0.5 * np.sin(2 * np.pi * 2000 * np.arange(rate) / rate)
        rows = brightness(spectrogram_image(tone, rate)).mean(1)
        assert len(rows) == pytest.approx(400, abs=1)
        # Row 0 is the top, 8 kHz.
        assert rows.argmax() == pytest.approx(0.75 * len(rows), abs=2)
    low = brightness(spectrogram_image(np.random.default_rng(0).standard_normal(8000), 8000))
    assert low[:190].max() < low[210:].mean()


def test_alignment_image_goes_up_and_to_the_right():
    picture = brightness(alignment_image(np.eye(6, 4)[:4]))
    assert picture.shape == (4, 4)
    assert [column.argmax() for column in picture.T] == [3, 2, 1, 0]
