"""Speech of a density that can be guided: it is pushed, and the decoder is not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from small_densities import SECTIONS

from wavetts.config.load import from_dict, to_dict
from wavetts.model.density import SamplingOptions
from wavetts.model.density.diffusion.density import DiffusionConfig
from wavetts.model.generate import Engine, Generation, generate
from wavetts.model.tacotron import WaveTacotron
from wavetts.runtime.engine import build_engine
from wavetts.runtime.int8 import Int8Linear


@pytest.mark.parametrize("kind", ["guided", "guided subframes of diffusion", "student", "diffusion"])
def test_guidance_goes_to_who_knows_it(small_config, monkeypatch, kind):
    config = from_dict({**to_dict(small_config()), "density": to_dict_of(kind)})
    torch.manual_seed(0)
    model = WaveTacotron(config, 12).eval()
    model.scale.fill_(20.0)  # as loud as speech: what is beyond full scale would be silenced
    with torch.no_grad():
        for parameter in model.density.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    seen, step = [], type(model.decoder).step

    def spy(self, frame, keys, state, guidance=0.0):
        seen.append(guidance)
        return step(self, frame, keys, state, guidance)

    monkeypatch.setattr(type(model.decoder), "step", spy)

    def speak(*guidances: float) -> list[np.ndarray]:
        utterances = [Generation([3, 4, 5], 1, 3, guidance=guidance, stop_threshold=1.0) for guidance in guidances]
        generate(Engine(model), utterances)
        return [utterance.waveform for utterance in utterances]

    plain, pushed = speak(0.0, 1.0)
    assert not np.array_equal(plain, pushed)
    # Each row has its own.
    np.testing.assert_allclose(speak(1.0)[0], pushed, atol=1e-4)
    if kind == "diffusion":
        assert all(isinstance(value, torch.Tensor) for value in seen)
    else:
        assert all(value == 0.0 for value in seen if not isinstance(value, torch.Tensor))
        assert not any(isinstance(value, torch.Tensor) for value in seen)


def to_dict_of(kind: str) -> dict:
    return dataclasses.asdict(SECTIONS[kind])


def test_eight_bit_weights_speak_nearly_the_same(small_config):
    large = DiffusionConfig(hidden_dim=256, num_layers=2, gamma_min=-6.0, gamma_max=5.0, sampler_steps=3)
    config = from_dict({**to_dict(small_config()), "density": dataclasses.asdict(large)})
    torch.manual_seed(0)
    model = WaveTacotron(config, 12).eval()
    cond, noise = torch.randn(4, model.density.cond_dim), torch.randn(4, model.density.noise_dim)
    with torch.no_grad():
        for parameter in model.density.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    exact = model.density.sample(cond, SamplingOptions(), noise)
    small = build_engine(model, "int8").density
    rounded = small.sample(cond, SamplingOptions(), noise)
    assert isinstance(small.denoiser.network.layers[0], Int8Linear)
    assert not torch.equal(rounded, exact)
    assert (rounded - exact).norm() < 0.1 * exact.norm()
