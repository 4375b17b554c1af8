"""Distilled diffusion: a sampler of few steps with guidance as an input (Meng et al. 2023, 2210.03142)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from wavetts.config import AudioConfig, opt
from wavetts.errors import UserError
from wavetts.model.density.base import Compose, SamplingOptions
from wavetts.model.density.diffusion.bound import EpsModel
from wavetts.model.density.diffusion.denoiser import guided_eps
from wavetts.model.density.diffusion.density import Diffusion, DiffusionConfig
from wavetts.model.density.diffusion.prediction import noised, scales, to_x
from wavetts.model.density.diffusion.samplers import Path, ddim_step, level_at, run, spaced_levels
from wavetts.model.density.diffusion.schedule import stratified_times
from wavetts.model.density.diffusion.standardised import DenoiserConfig, StandardisedDiffusion, normal, option_rows

# In a denoiser's weights: what takes the level, and of a student the guidance beside it.
_LEVEL_INPUT = "level.hidden.weight"


@dataclass
class StudentConfig(DenoiserConfig):
    """The student of a diffusion: few DDIM steps, with the guidance as an input."""

    kind: Literal["student"] = opt(
        "student", "distilled from a diffusion (`wavetts distill`): few steps, no likelihood"
    )
    sampler_steps: int = opt(4, "its DDIM steps", at_least=1)
    largest_guidance: float = opt(0.0, "it knows guidances from 0 to this", at_least=0)

    def check(self) -> None:
        """See `Section.check`."""
        if self.prediction == "eps":
            raise UserError(
                "prediction: eps says nothing of the data where there is only noise; a student needs x or v"
            )
        if self.schedule == "learned":
            raise UserError("schedule: a student is not trained on the bound; it needs linear or cosine")

    @classmethod
    def of(cls, config: DiffusionConfig, steps: int, largest_guidance: float) -> StudentConfig:
        """The section of a teacher's student, which has the same network."""
        names = {item.name for item in dataclasses.fields(DenoiserConfig)} - {"kind"}
        same = {name: getattr(config, name) for name in names}
        if config.schedule == "learned":
            same["schedule"] = "linear"
        return cls(**same, sampler_steps=steps, largest_guidance=largest_guidance)

    def build(self, length: int, cond_dim: int, audio: AudioConfig) -> Student:
        """See `DensityConfig.build`."""
        return Student(self, length, cond_dim)


class Student(StandardisedDiffusion):
    """Samples in a few DDIM steps, guided without a second evaluation of the network. It has no likelihood.

    Args:
        config: its options.
        length: n.
        cond_dim: C.
    """

    likelihood = "none"
    guides = True
    loss_is_likelihood = False

    def __init__(self, config: StudentConfig, length: int, cond_dim: int) -> None:
        super().__init__(config, length, cond_dim, num_extras=1)
        self.sampler_steps, self.largest_guidance = config.sampler_steps, config.largest_guidance

    def eps_model(self, cond: Tensor, extras: Tensor | None = None) -> EpsModel:
        """The denoiser for packed contexts (N, C) and guidances (N, 1), 0 if None, of standardised values."""
        return super().eps_model(cond, cond.new_zeros(len(cond), 1) if extras is None else extras)

    def log_prob(self, frames: Tensor, cond: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Not available: a student has no likelihood.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("a student draws values and cannot say how likely they are")

    def loss(self, frames: Tensor, cond: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """See `Density.loss`: unguided denoising of data, weighted as in distillation; no bound of a likelihood."""
        with torch.autocast(frames.device.type, enabled=False):
            packed = self._pack(cond)
            values, log_det = self.standardise(self._pack(frames), packed)
            x = values.detach()
            gamma, _ = self.schedule(stratified_times(len(x), x, generator))
            z = noised(x, normal(x, generator), gamma)
            losses = self.distance(x, to_x(self.eps_model(packed)(z, gamma), z, gamma, "eps"), gamma)
            return (losses + self._gaussian_gradient(values, log_det)).reshape(cond.shape[:-1])

    @staticmethod
    def distance(target: Tensor, x: Tensor, gamma: Tensor) -> Tensor:
        """max(SNR, 1) |x^ - x~|^2 (Salimans and Ho 2022, section 4): (N, n), (N, n), (N,) -> (N,)."""
        return torch.exp(-gamma).clamp(min=1.0) * (target - x).square().sum(-1)

    @torch.no_grad()
    def sample(self, cond: Tensor, options: SamplingOptions, noise: Tensor | torch.Generator) -> Tensor:
        """See `Sampler.sample`; `options.guidance` may be up to `largest_guidance`."""
        with torch.autocast(cond.device.type, enabled=False):
            packed, temperature = self._pack(cond), option_rows(options.temperature, cond)
            guidance = torch.as_tensor(option_rows(options.guidance, cond)).to(packed)
            extras = guidance.clamp(0.0, self.largest_guidance).expand(len(packed), 1)
            steps = self.sampler_steps if options.steps is None else options.steps
            levels = spaced_levels(self.schedule.gamma_min, self.schedule.gamma_max, steps).to(packed)
            noise = self._pack(self.draw_noise(cond, noise)) * temperature
            values = run("ddim", Path(self.eps_model(packed, extras), levels, lambda: noise), noise)
            return Compose(self.layers(packed)).inverse(values).reshape(*cond.shape[:-1], -1)


def halving_target(teacher: EpsModel, z: Tensor, levels: Tensor) -> Tensor:
    """The target x~ with which one DDIM step of a student equals two steps of its teacher.

    x~ = (z_s - r z_t) / (alpha_s - r alpha_t) with r = sigma_s / sigma_t (Salimans and Ho 2022, equation 8; Meng et al.
    2023, section 3.2), where the teacher reaches z_s from z_t.

    Args:
        teacher: the teacher's denoiser.
        z: (N, n) at the first level.
        levels: (N, 3): the start of the step, the end of the teacher's first step, the end of the step.
    """
    path = Path(teacher, levels, lambda: z)
    first, middle, last = levels.unbind(-1)
    reached = ddim_step(path, ddim_step(path, z, first, middle), middle, last)
    (alpha_t, sigma_t), (alpha_s, sigma_s) = scales(first), scales(last)
    ratio = sigma_s / sigma_t
    return (reached - ratio * z) / (alpha_s - ratio * alpha_t)


def match_guided(
    student: Student,
    teacher: Diffusion,
    values: Tensor,
    cond: Tensor,
    null: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Stage one's loss: the distance from the teacher's guided x, at any level and guidance.

    Args:
        student: the density to train.
        teacher: the diffusion to distil.
        values: (N, n).
        cond: (N, C).
        null: (N, C), the contexts without the text; None for a teacher without guidance.
        generator: of noise, levels and guidances.

    Returns:
        (N,), weighted by max(SNR, 1).
    """
    with torch.no_grad():
        x, _ = teacher.standardise(values, cond)
        gamma = level_at(stratified_times(len(x), x, generator), student.schedule.gamma_min, student.schedule.gamma_max)
        z = noised(x, normal(x, generator), gamma)
        guidance = _guidances(student, x, generator)
        model = teacher.eps_model(cond) if null is None else guided_eps(teacher.denoiser, cond, null, guidance)
        target = to_x(model(z, gamma), z, gamma, "eps")
    return student.distance(target, to_x(student.eps_model(cond, guidance)(z, gamma), z, gamma, "eps"), gamma)


def halve(
    student: Student, teacher: Student, values: Tensor, cond: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """Stage two's loss: the distance from the result of two steps of the teacher, at the student's levels.

    Arguments and result as for `match_guided`; the teacher has twice the student's `sampler_steps`.
    """
    with torch.no_grad():
        x, _ = teacher.standardise(values, cond)
        schedule = student.schedule
        levels = spaced_levels(schedule.gamma_min, schedule.gamma_max, 2 * student.sampler_steps).to(x)
        step = (stratified_times(len(x), x, generator) * student.sampler_steps).long()
        triples = torch.stack([levels[2 * step + i] for i in range(3)], -1)
        gamma = triples[:, 0]
        z = noised(x, normal(x, generator), gamma)
        guidance = _guidances(student, x, generator)
        target = halving_target(teacher.eps_model(cond, guidance), z, triples)
    return student.distance(target, to_x(student.eps_model(cond, guidance)(z, gamma), z, gamma, "eps"), gamma)


def _guidances(student: Student, x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Random guidances (N, 1), uniform from 0 to the student's `largest_guidance`."""
    device = x.device if generator is None else generator.device
    drawn = torch.rand((len(x), 1), generator=generator, device=device, dtype=x.dtype)
    return student.largest_guidance * drawn.to(x.device)


def make_student(teacher: Diffusion, config: DiffusionConfig, steps: int, largest_guidance: float) -> Student:
    """Makes a student that equals its unguided teacher.

    Args:
        teacher: of values without contexts of its own, a `Diffusion`.
        config: the teacher's.
        steps: sampling steps of the student.
        largest_guidance: the largest guidance that it will be trained for.
    """
    section = student_section(config, teacher, steps, largest_guidance)
    student = Student(section, teacher.frame_length, teacher.cond_dim)
    student.load_state_dict(student_weights(teacher.state_dict()))
    return student


def student_section(
    config: DiffusionConfig, teacher: StandardisedDiffusion, steps: int, largest_guidance: float
) -> StudentConfig:
    """The section of a teacher's student."""
    ends = {name: getattr(teacher.schedule, name).item() for name in ("gamma_min", "gamma_max")}
    return StudentConfig.of(dataclasses.replace(config, **ends), steps, largest_guidance)


def student_weights(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a teacher, or of a module that contains it, with the shapes of its student's."""
    kept = {}
    for name, value in weights.items():
        if name.endswith("decoder_log_variance") or ".levels." in f".{name}" or ".schedule." in f".{name}":
            continue
        if name.endswith(_LEVEL_INPUT):
            value = torch.cat([value, value.new_zeros(len(value), 1)], 1)
        kept[name] = value
    return kept
