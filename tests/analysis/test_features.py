"""Features are those that the model computes, a row for each valid frame."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from toy import no_noise, toy_config, write_corpus

from wavetts.analysis.features import batch_features, density_features, forced_features
from wavetts.config import Config
from wavetts.config.load import from_dict, to_dict
from wavetts.corpus.batches import Corpus
from wavetts.corpus.manifest import load_manifest
from wavetts.model.density.energy.tilt import Tilt
from wavetts.model.tacotron import WaveTacotron
from wavetts.text.tokenizer import Tokenizer

COMPACT = {"kind": "compact", "num_couplings": 2, "hidden_dim": 8}
TILT = {"kind": "tilt", "score": "dot", "num_features": 3, "hidden_dim": 8, "inner": COMPACT}


def subframes(**inner) -> dict:
    return {"kind": "subframe", "subframe_length": 40, "context_dim": 12, "inner": inner}


def with_density(density: dict) -> Config:
    return from_dict({**to_dict(toy_config()), "density": density})


@pytest.fixture(scope="module")
def utterances(tmp_path_factory):
    return load_manifest(write_corpus(tmp_path_factory.mktemp("corpus") / "data", dev=5) / "dev.jsonl")


def make(config: Config, utterances, seed: int = 0) -> tuple[WaveTacotron, Corpus]:
    tokenizer = Tokenizer.build(["abcdefgh"], "characters", "en-us")
    torch.manual_seed(seed)
    model = WaveTacotron(config, len(tokenizer.symbols)).eval()
    with torch.no_grad():
        # Layers that start at zero would say nothing.
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        model.scale.fill_(5.0)
    return model, Corpus(utterances, tokenizer, config)


@torch.inference_mode()
def test_cond_and_attention_are_those_of_the_decoders_steps(utterances):
    model, corpus = make(toy_config(), utterances)
    batch = corpus.collate(corpus.plan_in_order(np.inf)[0])
    with no_noise():
        found = batch_features(model, batch)
        frames = model.to_frames(batch.waveform, noise=False)
    assert set(found) == {"cond", "attention"}
    keys = model.decoder.attention.prepare(model.encoder(batch.tokens, batch.token_lengths), batch.token_lengths)
    state, previous = model.decoder.init_state(keys), torch.zeros_like(frames[:, 0])
    conds, contexts = [], []
    for frame in frames.unbind(1):
        cond, _, state = model.decoder.step(previous, keys, state)
        conds.append(cond)
        contexts.append(state.context)
        previous = frame
    valid = torch.arange(frames.shape[1]) < batch.frame_lengths[:, None]
    torch.testing.assert_close(found["cond"], torch.stack(conds, 1)[valid], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found["attention"], torch.stack(contexts, 1)[valid], atol=1e-5, rtol=1e-4)


def test_rows_do_not_depend_on_what_is_in_the_batch(utterances):
    model, corpus = make(with_density(subframes(**COMPACT)), utterances)
    with no_noise():
        together = forced_features(model, corpus, corpus.plan_in_order(np.inf), seed=0)
        alone = forced_features(model, corpus, corpus.plan_in_order(0.01), seed=0)
    assert set(together.values) == {"cond", "attention", "density"}
    np.testing.assert_array_equal(together.utterances, alone.utterances)
    frames = [utterance.samples // corpus.frame_length for utterance in utterances]
    assert list(np.bincount(together.utterances)) == frames
    for name, values in together.values.items():
        assert len(values) == sum(frames)
        np.testing.assert_allclose(values, alone.values[name], atol=2e-5)


def test_the_noise_is_the_seeds_and_leaves_torchs_generator_alone(utterances):
    config = toy_config()
    config.audio.dither = 0.1
    model, corpus = make(config, utterances)
    plan = corpus.plan_in_order(1.0)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    one, same, other = (forced_features(model, corpus, plan, seed).values["cond"] for seed in (0, 0, 1))
    assert torch.rand(1) == expected
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-4


@torch.inference_mode()
@pytest.mark.parametrize("augmentation", ["none", "nonnegative", "squared"])
def test_f_and_g_are_the_scores_factors(utterances, augmentation):
    config = with_density(subframes(**{**TILT, "augmentation": augmentation}))
    model, corpus = make(config, utterances)
    density, tilt = model.density, model.density.flow
    assert isinstance(tilt, Tilt)
    frames, cond = torch.randn(7, density.frame_length), torch.randn(7, density.cond_dim + density.past_dim)
    found = density_features(density, frames, cond)
    parts, contexts = density.subframes(frames, cond)
    torch.testing.assert_close(found["density"], contexts[:, 2])
    assert found["f"].shape == (7, 3)
    f = torch.cat([found["f"], found["f"].square()], 1) if augmentation == "squared" else found["f"]
    assert augmentation != "nonnegative" or bool((f > 0).all())
    expected = tilt.score(parts[:, 2], tilt.score.prepare(contexts[:, 2]))
    torch.testing.assert_close((f * found["g"]).sum(1), expected)
    assert expected.abs().min() > 0
    forced = forced_features(model, corpus, corpus.plan_in_order(np.inf), seed=0)
    assert list(forced.values) == ["cond", "attention", "density", "f", "g"]


@torch.inference_mode()
def test_of_linear_prediction_the_context_is_the_residuals(utterances):
    inner = {"kind": "linear_prediction", "order": 4, "num_bins": 8, "inner": {"kind": "couplings", "num_couplings": 2}}
    model, _ = make(with_density(subframes(**inner)), utterances)
    density = model.density
    frames, cond = 0.1 * torch.randn(5, density.frame_length), torch.randn(5, density.cond_dim + density.past_dim)
    found = density_features(density, frames, cond)["density"]
    assert found.shape == (5, 12)
    # It sees the samples before its own subframe, and none of those after.
    later = frames.clone()
    later[:, 80:] = 0.3
    torch.testing.assert_close(density_features(density, later, cond)["density"], found)
    earlier = frames.clone()
    earlier[:, 60:80] = 0.3 * torch.randn(5, 20)
    assert (density_features(density, earlier, cond)["density"] - found).abs().max() > 1e-4


def test_a_density_of_whole_frames_has_no_context_of_its_own(utterances):
    model, _ = make(dataclasses.replace(toy_config()), utterances)
    assert density_features(model.density, torch.zeros(2, 160), torch.zeros(2, 16)) == {}
