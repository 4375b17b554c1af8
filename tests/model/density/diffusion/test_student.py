"""Distillation against closed forms: what two steps of the teacher reach, one of the student reaches."""

from __future__ import annotations

import copy

import pytest
import torch
from closed_forms import MIXTURE, Gaussian, Mixture, wasserstein
from torch import Tensor

from wavetts.config import AudioConfig
from wavetts.model.density import SamplingOptions
from wavetts.model.density.diffusion.density import DiffusionConfig
from wavetts.model.density.diffusion.prediction import scales
from wavetts.model.density.diffusion.samplers import Path, ddim_step, run, spaced_levels
from wavetts.model.density.diffusion.student import StudentConfig, halve, halving_target, make_student, match_guided

LOW, HIGH = torch.tensor(-8.0, dtype=torch.float64), torch.tensor(6.0, dtype=torch.float64)


def x_as_eps(x: Tensor, z: Tensor, gamma: Tensor) -> Tensor:
    alpha, sigma = scales(gamma)
    return (z - alpha * x) / sigma


@pytest.mark.usefixtures("float64")
def test_one_step_to_an_exact_target_is_two_steps_of_the_teacher():
    torch.manual_seed(0)
    mixture = Mixture(*MIXTURE)
    levels = spaced_levels(LOW, HIGH, 8)
    for first, middle, last in ((0, 1, 2), (4, 5, 6), (6, 7, 8)):
        triple = levels[[first, middle, last]]
        z = torch.randn(50, 4)
        target = halving_target(mixture.eps, z, triple.expand(50, 3))
        path = Path(mixture.eps, triple, torch.Tensor)
        reached = ddim_step(path, ddim_step(path, z, triple[0], triple[1]), triple[1], triple[2])
        student = Path(lambda z, gamma, target=target: x_as_eps(target, z, gamma), triple[[0, 2]], torch.Tensor)
        torch.testing.assert_close(ddim_step(student, z, triple[0], triple[2]), reached, atol=1e-6, rtol=0)


@pytest.mark.usefixtures("float64")
def test_a_student_of_a_linear_gaussian_teacher_equals_twice_its_steps():
    """Of Gaussian data all is linear: the student that minimises the loss at each level is known by regression."""
    torch.manual_seed(0)
    data = Gaussian([0.3, 1.0, 2.0])
    teacher_levels = spaced_levels(LOW, HIGH, 8)
    student_levels = teacher_levels[::2]

    slopes = []
    for i in range(4):
        z = torch.randn(100, 3)
        target = halving_target(data.eps, z, teacher_levels[2 * i : 2 * i + 3].expand(100, 3))
        slopes.append((target * z).sum(0) / z.square().sum(0))
        torch.testing.assert_close(target, slopes[-1] * z)  # nothing that a linear student could not say

    def student(z: Tensor, gamma: Tensor) -> Tensor:
        number = int((student_levels - gamma).abs().argmin())
        return x_as_eps(slopes[number] * z, z, gamma)

    z = torch.randn(200, 3)
    by_teacher = run("ddim", Path(data.eps, teacher_levels, torch.Tensor), z)
    by_student = run("ddim", Path(student, student_levels, torch.Tensor), z)
    torch.testing.assert_close(by_student, by_teacher, atol=1e-9, rtol=1e-9)
    fewer = run("ddim", Path(data.eps, student_levels, torch.Tensor), z)
    assert (fewer - by_teacher).abs().max() > 0.01  # which its teacher in 4 steps would not


def teacher_of(mixture: Mixture, steps: int):
    """A small diffusion trained on pairs of the mixture's values: cond chooses its sign, the null leaves it open."""
    torch.manual_seed(0)
    config = DiffusionConfig(
        hidden_dim=64, num_layers=2, gamma_min=-8.0, gamma_max=6.0, transform="none", prediction="v", sampler="ddim"
    )
    density = config.build(2, 1, AudioConfig()).train()
    optimizer = torch.optim.Adam(density.parameters(), 3e-3)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1.0, 2 * (1 - step / steps))
        x = mixture.sample(512, 2).float()
        cond = torch.randint(-1, 2, (512, 1)).float()
        sign = torch.where(cond == 0, torch.randint(0, 2, (512, 1)).float() * 2 - 1, cond)
        loss = density.loss(sign * x, cond).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return config, density.eval()


def draw(density, cond: Tensor, steps: int, guidance: float = 0.0, null: Tensor | None = None) -> Tensor:
    options = SamplingOptions(steps=steps, guidance=guidance)
    generator = torch.Generator().manual_seed(5)
    return density.sample(cond, options, generator, *([] if null is None else [null]))


@pytest.mark.slow
def test_students_of_a_trained_mixture(monkeypatch):
    """Stage one matches guided pairs; four steps come as near to the data as the teacher's many do."""
    mixture = Mixture(*MIXTURE)
    config, teacher = teacher_of(mixture, 1500)
    student = make_student(teacher, config, steps=8, largest_guidance=1.0)
    cond, null = torch.ones(4000, 1), torch.zeros(4000, 1)
    # Before any training it is its teacher, unguided.
    torch.testing.assert_close(draw(student, cond, 8), draw(teacher, cond, 8))

    def train(model, loss_of, steps: int) -> None:
        optimizer = torch.optim.Adam(model.parameters(), 2e-3)
        generator = torch.Generator().manual_seed(1)
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = 2e-3 * min(1.0, 2 * (1 - step / steps))
            x = mixture.sample(256, 2).float()
            told = torch.randint(0, 2, (256, 1)).float() * 2 - 1
            loss = loss_of(model, told * x, told, generator).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    train(student, lambda model, x, c, g: match_guided(model, teacher, x, c, torch.zeros_like(c), g), 800)
    for guidance in (0.0, 1.0):
        pair = draw(teacher, cond, 8, guidance, null)
        one = draw(student, cond, 8, guidance)
        assert wasserstein(one, pair) < 0.05, guidance
    assert wasserstein(draw(teacher, cond, 8, 1.0, null), draw(teacher, cond, 8)) > 0.1  # guidance does something
    by_teacher = draw(student, cond, 8)
    halved = copy.deepcopy(student)
    halved.sampler_steps = 4
    torch.testing.assert_close(draw(halved, cond, 4), draw(student, cond, 4))  # the student starts as the teacher
    train(halved, lambda model, x, c, g: halve(model, student, x, c, g), 800)
    data = mixture.sample(4000, 2).float()
    assert wasserstein(draw(halved, cond, 4), data) < 1.1 * wasserstein(by_teacher, data) + 0.01
    # As the teacher in four steps is not.
    assert wasserstein(draw(halved, cond, 4), by_teacher) < 0.5 * wasserstein(draw(student, cond, 4), by_teacher)


def test_a_student_has_no_likelihood_and_says_so():
    student = StudentConfig(hidden_dim=8, num_layers=1).build(4, 3, AudioConfig())
    assert student.likelihood == "none"
    with pytest.raises(NotImplementedError, match="how likely"):
        student.log_prob(torch.randn(2, 4), torch.randn(2, 3))


def test_guidance_beyond_what_it_was_taught_is_clamped():
    torch.manual_seed(0)
    student = StudentConfig(hidden_dim=8, num_layers=1, largest_guidance=2.0).build(4, 3, AudioConfig())
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    cond, noise = torch.randn(5, 3), torch.randn(5, 4)
    drawn = [student.sample(cond, SamplingOptions(guidance=w), noise) for w in (0.0, 2.0, 3.0)]
    assert not torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[1], drawn[2])
