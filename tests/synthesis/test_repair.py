"""Repair: what is left stays as it is, what is lost is drawn, and the draws are chosen by what follows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import soundfile
import torch
from toy import FRAME, RATE, toy_config

from wavetts.errors import UserError
from wavetts.model.checkpoint import save_model
from wavetts.model.density.base import Sampler
from wavetts.model.density.diffusion.density import Diffusion, DiffusionConfig
from wavetts.model.density.subframe import SubframeConfig
from wavetts.model.tacotron import WaveTacotron
from wavetts.synthesis.repair import repair
from wavetts.synthesis.settings import SynthesisSettings
from wavetts.synthesis.voice import load_voice
from wavetts.text.tokenizer import Tokenizer

SMALL = DiffusionConfig(hidden_dim=16, num_layers=1, gamma_min=-8.0, gamma_max=5.0, sampler_steps=3)
DENSITIES = {
    "compact": toy_config().density,
    "diffusion": SMALL,
    "subframes of diffusion": SubframeConfig(subframe_length=40, context_dim=16, inner=SMALL),
}


def save(folder, section):
    config = dataclasses.replace(toy_config(), density=section)
    tokenizer = Tokenizer.build(["abcdefghijklmnopqrstuvwxyz ,.'"], "characters", "en-us")
    torch.manual_seed(0)
    model = WaveTacotron(config, len(tokenizer.symbols))
    model.scale.fill_(20.0)
    folder.mkdir(parents=True)
    save_model(folder / "model.safetensors", model.state_dict(), config, tokenizer, {"step": 0})
    return folder


@pytest.fixture(params=DENSITIES)
def voice(request, tmp_path):
    return load_voice(save(tmp_path / "voice", DENSITIES[request.param]), "cpu", 1, "float32")


def recording(seconds: float = 0.5) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.1 * np.sin(2 * np.pi * 200 * time)).astype(np.float32)


def test_what_is_left_stays_and_what_is_lost_is_drawn(voice):
    samples, lost = recording(), [(FRAME + 30, 3 * FRAME + 50), (len(recording()) - 70, len(recording()))]
    settings = SynthesisSettings(seed=3, temperature=1.0)
    fixed = repair(voice, samples, lost, "abc", settings, candidates=2)
    kept = np.ones(len(samples), dtype=bool)
    for first, last in lost:
        kept[first:last] = False
    assert np.array_equal(fixed[kept], samples[kept])
    assert fixed.dtype == np.float32
    assert np.isfinite(fixed).all()
    assert np.abs(fixed[~kept]).max() > 1e-3
    # What was in the lost stretch is not looked at; the seed decides.
    spoiled = np.where(kept, samples, 0.9).astype(np.float32)
    assert np.array_equal(repair(voice, spoiled, lost, "abc", settings, candidates=2), fixed)
    other = repair(voice, samples, lost, "abc", dataclasses.replace(settings, seed=4), candidates=2)
    assert not np.array_equal(other, fixed)


def test_both_edges_join(voice):
    samples, (first, last) = recording(), (2 * FRAME, 3 * FRAME)
    fixed = repair(voice, samples, [(first, last)], "abc", SynthesisSettings(temperature=0.3), candidates=1)
    typical = np.abs(np.diff(fixed[first:last])).max()
    assert abs(fixed[last] - fixed[last - 1]) < 2 * typical + 0.05
    assert abs(fixed[first] - fixed[first - 1]) < 2 * typical + 0.05


def test_the_likeliest_continuation_is_chosen(tmp_path, monkeypatch):
    voice = load_voice(save(tmp_path / "voice", DENSITIES["compact"]), "cpu", 1, "float32")
    drawn, density = [], voice.model.density
    sample = type(density).sample

    def keep(self, cond, options, noise):
        drawn.append(sample(self, cond, options, noise))
        return drawn[-1]

    # The likelihood of what follows, made up: the loudest draw is the best one.
    def log_prob(self, frames, cond, generator=None):
        return loudness.pop(0)

    monkeypatch.setattr(type(density), "sample", keep)
    monkeypatch.setattr(type(density), "log_prob", log_prob)
    samples, lost = recording(), [(2 * FRAME, 3 * FRAME - 1)]
    loudness = [torch.tensor(value) for value in (0.0, 0.0, 5.0, 0.0) * 3]
    fixed = repair(voice, samples, lost, "abc", SynthesisSettings(temperature=1.0), candidates=4)
    expected = voice.model.to_waveform(drawn[0][2:3, None], torch.tensor([float(samples[2 * FRAME - 1])]))[0]
    # Up to where the end is led in.
    assert np.allclose(fixed[2 * FRAME : 3 * FRAME - 60], expected[: FRAME - 60].detach().numpy(), atol=1e-5)


def test_a_diffusion_draws_given_both_sides(monkeypatch, tmp_path):
    """Within a frame, its own method is asked; of a frame that is lost as a whole, nothing is given."""
    calls = []
    monkeypatch.setattr(
        Diffusion,
        "inpaint",
        lambda self, cond, options, generator, frames, given: (
            calls.append(given) or Sampler.inpaint(self, cond, options, generator, frames, given)
        ),
    )
    voice = load_voice(save(tmp_path / "voice", SMALL), "cpu", 1, "float32")
    repair(voice, recording(), [(FRAME + 30, 3 * FRAME + 50)], "abc", candidates=1)
    assert [int(given.sum()) for given in calls] == [30, FRAME - 51]


def test_mistakes_are_told(voice):
    with pytest.raises(UserError, match="not within"):
        repair(voice, recording(), [(100, 99999)], "abc")
    with pytest.raises(UserError, match="2 sentences"):
        repair(voice, recording(), [(100, 200)], "First one. Second one.")


def test_command(run, tmp_path):
    save(tmp_path / "voice", DENSITIES["compact"])
    soundfile.write(tmp_path / "in.wav", recording(), RATE, subtype="PCM_16")
    arguments = ("repair", "in.wav", "--lost", "0.1-0.15", "--text", "abc", "--voice", "voice", "--candidates", "1")
    code, out, _ = run(*arguments)
    assert code == 0
    assert "50 ms of 0.50 s" in out
    fixed, rate = soundfile.read(tmp_path / "in.repaired.wav", dtype="float32")
    assert rate == RATE
    before = soundfile.read(tmp_path / "in.wav", dtype="float32")[0]
    assert np.array_equal(fixed[: RATE // 10], before[: RATE // 10])
    assert not np.array_equal(fixed, before)
    for lost, message in (
        ("0.4", "write FROM-TO"),
        ("0.4-0.9", "must begin before it ends, within the"),
        ("0.3-0.2", "must begin before it ends"),
    ):
        code, _, error = run(*arguments[:3], lost, *arguments[4:])
        assert code == 2
        assert message in error
