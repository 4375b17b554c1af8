"""Distilling a model whose density is a diffusion to few steps (Meng et al. 2023; Salimans and Ho 2022).

Stage one: one network with the guidance as an input learns what the guided pair of the teacher says. Stage two, again
and
again: a student of half as many steps learns to get in one where the one before it gets in two. Only the denoiser is
trained; encoder, decoder, the affine layer and what makes contexts of the past are the teacher's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wavetts.config import Config, DensityConfig
from wavetts.config.load import apply_overrides, from_dict, to_dict
from wavetts.corpus.batches import Batch
from wavetts.errors import UserError
from wavetts.model.checkpoint import MODEL_NAME, load_model, save_model
from wavetts.model.density.base import Density
from wavetts.model.density.diffusion.density import Diffusion, DiffusionConfig
from wavetts.model.density.diffusion.guidance import Guided, GuidedConfig
from wavetts.model.density.diffusion.standardised import StandardisedDiffusion
from wavetts.model.density.diffusion.student import Student, halve, match_guided, student_section, student_weights
from wavetts.model.density.linear_prediction import LinearPrediction, LinearPredictionConfig
from wavetts.model.density.subframe import SubframeConfig, SubframeDensity
from wavetts.model.layers import length_mask, valid_index
from wavetts.model.tacotron import WaveTacotron
from wavetts.training.loop import train
from wavetts.training.state import list_states


def student_model(teacher: WaveTacotron, steps: int, largest_guidance: float) -> WaveTacotron:
    """A model whose density is a student of a model's diffusion, with the teacher's weights.

    Args:
        teacher: a model whose density is a diffusion, guided or not, of whole frames or of subframes.
        steps: of the student.
        largest_guidance: that it is to know; 0 for a teacher that cannot be guided.

    Raises:
        UserError: the teacher's density is of another kind.
    """
    leaf = find_diffusion(teacher.density)
    if not isinstance(leaf, Diffusion):
        raise UserError(f"density.kind={teacher.config.density.kind}: only diffusion can be distilled")
    section = _replace_section(teacher.config.density, leaf, steps, largest_guidance)
    config = dataclasses.replace(teacher.config, density=section)
    student = WaveTacotron(config, teacher.encoder.embedding.num_embeddings)
    weights = student_weights(teacher.state_dict())
    if isinstance(teacher.density, Guided):
        weights.pop("density.null")
        weights = {name.replace("density.inner.", "density.", 1): value for name, value in weights.items()}
    student.load_state_dict(weights)
    return student


def _replace_section(
    section: DensityConfig, leaf: StandardisedDiffusion, steps: int, largest_guidance: float
) -> DensityConfig:
    """A teacher's section with a student's in the place of the diffusion's."""
    if isinstance(section, GuidedConfig):
        return _replace_section(section.inner, leaf, steps, largest_guidance)
    if isinstance(section, (SubframeConfig, LinearPredictionConfig)):
        return dataclasses.replace(section, inner=_replace_section(section.inner, leaf, steps, largest_guidance))
    assert isinstance(section, DiffusionConfig)
    return student_section(section, leaf, steps, largest_guidance)


def find_diffusion(density: Density) -> StandardisedDiffusion | None:
    """The diffusion or student that a density is, or holds in subframes or guided; None if there is none."""
    if isinstance(density, Guided):
        return find_diffusion(density.inner)
    if isinstance(density, SubframeDensity):
        return find_diffusion(density.flow)
    if isinstance(density, LinearPrediction):
        return find_diffusion(density.inner)
    return density if isinstance(density, StandardisedDiffusion) else None


def _diffused(density: Density, frames: Tensor, cond: Tensor, null: Tensor | None = None) -> tuple[Tensor, ...]:
    """What the diffusion inside a density sees of packed frames (N, K) in training.

    Returns:
        Values (M, n), contexts (M, D) and, from a density that can be guided, contexts without the text.
    """
    if isinstance(density, Guided):
        return _diffused(density.inner, frames, cond, density.without_context(cond))
    contexts = [cond] if null is None else [cond, null]
    if isinstance(density, SubframeDensity):
        # The past is disturbed as it was for the teacher.
        parts = density.subframes_alike(frames, contexts, disturbed=True)
        return _diffused(density.flow, *(part.flatten(0, 1) for part in parts))
    if isinstance(density, LinearPrediction):
        assert null is None, "its residual is not guided"
        return _diffused(density.inner, *density.residual(frames, cond))
    return (frames, *contexts)


@dataclass
class Distance:
    """The sum of a distillation's distances over a batch; they are no nats."""

    total: Tensor

    def loss(self, num_samples: int) -> Tensor:
        """See `Losses`."""
        return self.total / num_samples

    def sums(self) -> dict[str, Tensor]:
        """See `Losses`."""
        return {"distance": self.total.detach()}


@dataclass(frozen=True)
class Distillation:
    """What a student's training minimises (an `Objective`).

    Attributes:
        teacher: a model in evaluation mode whose density is a diffusion.
        former: in stage two, the student of twice as many steps; None in stage one.
    """

    teacher: WaveTacotron
    former: WaveTacotron | None = None
    terms = ("distance",)

    def prepare(self, model: WaveTacotron) -> None:
        """See `Objective`: all but the denoiser stays as it is."""
        model.requires_grad_(False)
        _leaf(model, Student).denoiser.requires_grad_(True)
        for part in (self.teacher, self.former):
            if part is not None:
                part.to(model.scale.device)

    def __call__(self, model: WaveTacotron, batch: Batch, step: int) -> Distance:
        """See `Objective`: teacher forced, on the recordings' frames."""
        model.eval()  # the contexts are those of synthesis
        with torch.no_grad():
            frames = model.to_frames(batch.waveform, noise=True)
            frames = frames * length_mask(batch.frame_lengths, frames.shape[1], frames.device)[..., None]
            index = valid_index(batch.frame_lengths, frames.shape[1]).to(frames.device, non_blocking=True)
            cond = model(batch.tokens, batch.token_lengths, frames).cond.flatten(0, 1)[index].float()
            values, context, *null = _diffused(self.teacher.density, frames.flatten(0, 1)[index], cond)
        student = _leaf(model, Student)
        if self.former is None:
            teacher = _leaf(self.teacher, Diffusion)
            return Distance(match_guided(student, teacher, values, context, null[0] if null else None).sum())
        return Distance(halve(student, _leaf(self.former, Student), values, context).sum())

    def figures(self, sums: dict[str, float], num_frames: float, model: WaveTacotron) -> dict[str, float]:
        """See `Objective`: "loss", per sample."""
        return {"loss": sums["distance"] / (num_frames * model.frame_length)}


def _leaf(model: WaveTacotron, kind: type) -> Any:
    leaf = find_diffusion(model.density)
    assert isinstance(leaf, kind), type(leaf)
    return leaf


def distill(
    teacher: Path,
    data_dir: Path,
    run_dir: Path,
    steps: int = 4,
    first_steps: int = 16,
    largest_guidance: float = 2.0,
    overrides: Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    voice_folders: Sequence[Path] = (),
) -> Path:
    """Makes a student of a model, stage by stage; called again, it goes on where it was interrupted.

    The run folder gets a run's folder for each stage: `guided` if the teacher can be guided, `steps-N` for each
    halving.

    Args:
        teacher: model file or run folder; its density is a diffusion, guided or not, of frames, subframes or
            their residual.
        data_dir: what `wavetts preprocess` made, in the teacher's symbols.
        run_dir: made if it is not there.
        steps: of the last student.
        first_steps: of the first one; `steps` times a power of two.
        largest_guidance: that the student is to know, if the teacher can be guided.
        overrides: `train.field=value`, of the teacher's own config, for each stage.
        device: as for `train`.
        threads: as for `train`.
        voice_folders: as for `load_model`.

    Returns:
        The folder of the last student.

    Raises:
        UserError: the teacher is no diffusion or predicts noise, steps do not go together, or as of `train`.
    """
    counts = [first_steps]
    while counts[-1] > steps and counts[-1] % 2 == 0:
        counts.append(counts[-1] // 2)
    if counts[-1] != steps or len(counts) < 2:
        raise UserError(f"steps: {first_steps} halved again and again do not become {steps}")
    loaded = load_model(teacher, voice_folders=voice_folders)
    config = _training_config(loaded.config, overrides, str(teacher))
    guided = isinstance(loaded.model.density, Guided)
    student = student_model(loaded.model, first_steps, largest_guidance if guided else 0.0)
    former = run_dir / "teacher" / MODEL_NAME
    info = {**loaded.info, "likelihood": "none", "teacher": str(teacher)}
    save_model(former, student.state_dict(), student.config, loaded.tokenizer, info)
    stages = ([("guided", first_steps)] if guided else []) + [(f"steps-{count}", count) for count in counts[1:]]
    for name, count in stages:
        source = load_model(former)
        stage = dataclasses.replace(config, density=_with_steps(source.config.density, count))
        objective = Distillation(loaded.model, None if name == "guided" else source.model)
        folder = run_dir / name
        begun = bool(list_states(folder))
        train(stage, data_dir, folder, begun, None if begun else former, device, threads, voice_folders, objective)
        former = folder / MODEL_NAME
    return former.parent


def _training_config(config: Config, overrides: Sequence[str], source: str) -> Config:
    """The teacher's config with a stage's training; no alignment prior, no adapter."""
    if wrong := [override for override in overrides if not override.startswith("train.")]:
        raise UserError(f"override {wrong[0]!r}: only train.* can differ from the teacher's")
    values = apply_overrides(to_dict(config), ["train.adapter_rank=0", "train.short_epochs=0", *overrides])
    return from_dict(values, source)


def _with_steps(section: DensityConfig, steps: int) -> DensityConfig:
    """A student's section with another number of steps."""
    if isinstance(section, (SubframeConfig, LinearPredictionConfig)):
        return dataclasses.replace(section, inner=_with_steps(section.inner, steps))
    return dataclasses.replace(section, sampler_steps=steps)
