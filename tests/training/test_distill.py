"""`wavetts distill` on a toy corpus: stages, resumption, what is trained and what is not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from toy import metrics, toy_config, write_corpus

from wavetts.errors import UserError
from wavetts.model.checkpoint import load_model
from wavetts.model.density import SamplingOptions
from wavetts.model.density.diffusion.density import DiffusionConfig
from wavetts.model.density.diffusion.guidance import GuidedConfig
from wavetts.model.density.diffusion.student import Student
from wavetts.model.density.linear_prediction import LinearPredictionConfig
from wavetts.model.density.subframe import SubframeConfig
from wavetts.training.distill import distill, find_diffusion, student_model
from wavetts.training.loop import train

DIFFUSION = DiffusionConfig(hidden_dim=16, num_layers=1, gamma_min=-8.0, gamma_max=5.0, schedule="learned")
SECTIONS = {
    "whole frames": DIFFUSION,
    "guided subframes": GuidedConfig(
        inner=SubframeConfig(subframe_length=80, context_dim=16, past_noise=0.3, inner=DIFFUSION)
    ),
    "residual": SubframeConfig(
        subframe_length=80,
        context_dim=16,
        inner=LinearPredictionConfig(order=8, num_bins=16, num_cepstra=4, inner=DIFFUSION),
    ),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "data")


@pytest.fixture(scope="module", params=SECTIONS)
def teacher(request, data, tmp_path_factory) -> Path:
    config = dataclasses.replace(toy_config(max_steps=6, eval_every=3), density=SECTIONS[request.param])
    run = tmp_path_factory.mktemp("runs") / "teacher"
    train(config, data, run, device="cpu", threads=1)
    (dev, *_) = metrics(run, "dev")
    assert dev["standard_error"] > 0  # of a bound, and told
    return run


def test_a_student_is_its_teacher_before_it_is_trained(teacher):
    loaded = load_model(teacher)
    student = student_model(loaded.model, steps=5, largest_guidance=1.0).eval()
    generator = torch.Generator().manual_seed(0)
    cond = torch.randn(3, loaded.model.density.cond_dim + loaded.model.density.past_dim, generator=generator)
    # In float64 and by DDIM; its levels are the learned schedule's ends.
    find_diffusion(loaded.model.density).sampler = "ddim"
    noise, options = torch.randn(3, student.density.noise_dim, generator=generator), SamplingOptions(steps=5)
    drawn = (density.sample(cond, options, noise) for density in (student.density, loaded.model.density))
    # Between float32 samples: rounding is larger where a period is fitted to noise.
    torch.testing.assert_close(*drawn, atol=1e-4, rtol=1e-4)


def test_stages_train_the_denoiser_alone_and_go_on_where_they_ended(teacher, data, tmp_path):
    guided = "guided" in load_model(teacher).config.density.kind
    options = {"steps": 2, "first_steps": 8, "device": "cpu", "threads": 1}
    overrides = ["train.max_steps=3", "train.eval_every=3", "train.save_every=3"]
    run = tmp_path / "student"
    last = distill(teacher, data, run, overrides=overrides, **options)
    assert last == run / "steps-2"
    names = {"teacher", "steps-4", "steps-2"} | ({"guided"} if guided else set())
    assert {path.name for path in run.iterdir()} == names
    first, loaded = load_model(teacher), load_model(last)
    leaf = find_diffusion(loaded.model.density)
    assert isinstance(leaf, Student)
    assert leaf.sampler_steps == 2
    assert leaf.largest_guidance == (2.0 if guided else 0.0)
    assert loaded.info["likelihood"] == "none"
    assert "bits_per_sample" not in metrics(last, "dev")[-1]
    before = {name.replace("density.inner.", "density.", 1): value for name, value in first.model.state_dict().items()}
    after = loaded.model.state_dict()
    moved = {name for name in before.keys() & after.keys() if not torch.equal(before[name], after[name])}
    assert moved
    assert all(".denoiser." in name for name in moved)
    # Everything is there: the same command changes nothing, and with more steps the stages go on.
    distill(teacher, data, run, overrides=overrides, **options)
    assert all(torch.equal(value, after[name]) for name, value in load_model(last).model.state_dict().items())


def test_mistakes_are_told(data, tmp_path):
    config = toy_config(max_steps=1)
    run = tmp_path / "compact"
    train(config, data, run, device="cpu", threads=1)
    with pytest.raises(UserError, match=r"density.kind=compact: only diffusion"):
        distill(run, data, tmp_path / "student")
    with pytest.raises(UserError, match="16 halved again and again do not become 3"):
        distill(run, data, tmp_path / "student", steps=3)
    with pytest.raises(UserError, match=r"only train\.\*"):
        distill(run, data, tmp_path / "student", overrides=["decoder.skip=false"])
    assert not (tmp_path / "student").exists()
