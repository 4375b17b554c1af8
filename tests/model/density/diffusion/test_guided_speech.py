"""Speech of a density that can be guided: it is pushed, and the decoder is not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_densities import SECTIONS

from wavetts.config.load import to_dict
from wavetts.model.generate import Utterance, generate


@pytest.mark.parametrize("kind", ["guided", "guided subframes of diffusion", "student", "diffusion"])
def test_guidance_goes_to_who_knows_it(small_config, monkeypatch, kind):
    from wavetts.config.load import from_dict
    from wavetts.model.tacotron import WaveTacotron

    config = from_dict({**to_dict(small_config()), "density": to_dict_of(kind)})
    torch.manual_seed(0)
    model = WaveTacotron(config, 12).eval()
    with torch.no_grad():
        for parameter in model.density.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    seen, step = [], type(model.decoder).step

    def spy(self, frame, keys, state, guidance=0.0):
        seen.append(guidance)
        return step(self, frame, keys, state, guidance)

    monkeypatch.setattr(type(model.decoder), "step", spy)

    def speak(*guidances: float) -> list[np.ndarray]:
        utterances = [Utterance([3, 4, 5], 1, 3, guidance=guidance, stop_threshold=1.0) for guidance in guidances]
        generate(model, utterances)
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
    import dataclasses

    return dataclasses.asdict(SECTIONS[kind])
