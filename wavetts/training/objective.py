"""The objective of training, and the figures that are logged of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from wavetts.config import TrainConfig
from wavetts.corpus.batches import Batch
from wavetts.model.alignment import diagonal_prior
from wavetts.model.density.energy.importance import estimates_normaliser, sample_sizes
from wavetts.model.density.energy.tilt import train_tilts_alone
from wavetts.model.layers import length_mask, valid_index
from wavetts.model.tacotron import Output, WaveTacotron


class Losses(Protocol):
    """The losses of a micro-batch, as sums, so that those of micro-batches and processes can be added."""

    def loss(self, num_samples: int) -> Tensor:
        """The loss of this micro-batch, divided by `num_samples`, the number of samples of the whole batch."""

    def sums(self) -> dict[str, Tensor]:
        """Detached scalars (), summed over micro-batches, processes and steps; the keys are `Objective.terms`."""


class Objective(Protocol):
    """What training minimises."""

    @property
    def terms(self) -> tuple[str, ...]:
        """The keys of `Losses.sums`."""

    def prepare(self, model: WaveTacotron) -> None:
        """Freezes parameters that are not trained; called before the optimiser is built."""

    def __call__(self, model: WaveTacotron, batch: Batch, step: int) -> Losses:
        """The losses of a batch on the model's device at an optimiser step; gradients reach the model's weights.

        Noise comes from torch's default generator, which training seeds for each step and micro-batch.
        """

    def figures(self, sums: dict[str, float], num_frames: float, model: WaveTacotron) -> dict[str, float]:
        """The figures that are logged, by name, from sums over `num_frames` frames; "loss" is the minimised one."""


@dataclass(frozen=True)
class MaximumLikelihood:
    """The paper's objective (section 2.3): the negative log-likelihood of frames and stop tokens.

    Attributes:
        train: weights, noise of the history, alignment prior and precision.
    """

    train: TrainConfig
    terms = ("nll", "stop")

    def prepare(self, model: WaveTacotron) -> None:
        """See `Objective`; all parameters are trained, or the scores of tilts alone."""
        if model.config.density.tilts:
            train_tilts_alone(model)

    def __call__(self, model: WaveTacotron, batch: Batch, step: int) -> LossSums:
        """See `Objective`."""
        return loss_sums(model, batch, self.train, step)

    def figures(self, sums: dict[str, float], num_frames: float, model: WaveTacotron) -> dict[str, float]:
        """See `Objective`.

        "loss" and "stop_loss" (nats per frame); "nll" (nats per sample) and "bits_per_sample" where the density's loss
        is a likelihood.
        """
        samples = num_frames * model.frame_length
        nll, stop = sums["nll"] / samples, sums["stop"] / num_frames
        figures = {"loss": nll + self.train.stop_weight * stop / model.frame_length}
        if model.density.loss_is_likelihood:
            figures["nll"] = nll
            figures["bits_per_sample"] = bits_per_sample(sums["nll"], int(samples), float(model.scale))
        return {**figures, "stop_loss": stop}


@dataclass
class LossSums:
    """Losses summed over the valid frames of a micro-batch."""

    frame_nll: Tensor  # () nats, of the scaled signal
    packed_nll: Tensor  # (N,) the same of each valid frame, utterance after utterance
    packed_variance: Tensor  # (N,) of what a bound's or an estimate's noise adds to it; 0 if it is exact or trains
    packed_inverse_size: Tensor  # (N,) one over the effective sample size of an estimate's normaliser; 0 without one
    stop_bce: Tensor  # () nats
    num_frames: int
    num_samples: int
    stop_weight: float  # of the stop term; 1 in the paper
    output: Output

    def loss(self, num_samples: int) -> Tensor:
        """The loss of this micro-batch: nats of frames plus `stop_weight` times the stop loss, over `num_samples`.

        The paper's sum (section 2.3) is divided by K, which makes losses and gradient norms comparable between frame
        lengths.

        Args:
            num_samples: number of samples in the valid frames of the whole batch, over all processes.
        """
        return (self.frame_nll + self.stop_weight * self.stop_bce) / num_samples

    def sums(self) -> dict[str, Tensor]:
        """See `Losses`: nats of the frames and of their stop decisions."""
        return {"nll": self.frame_nll.detach(), "stop": self.stop_bce.detach()}


def loss_sums(
    model: WaveTacotron,
    batch: Batch,
    train: TrainConfig | None = None,
    step: int = 0,
    noise: bool = True,
    by_loss: bool = False,
) -> LossSums:
    """Teacher-forced negative log-likelihood and stop loss of a batch (paper, section 2.3).

    Args:
        model: the network.
        batch: on the model's device.
        train: for history noise, alignment prior and precision; None evaluates: clean history, no prior, float32, and
            the density's log-likelihood even where training minimises something else.
        step: the optimiser step, which the prior depends on.
        noise: dequantise and dither the waveform.
        by_loss: evaluate what training minimises, and no likelihood.
    """
    frames = model.to_frames(batch.waveform, noise)
    device, (_, frame_count, _) = frames.device, frames.shape
    frames = frames * length_mask(batch.frame_lengths, frame_count, device)[..., None]
    index = valid_index(batch.frame_lengths, frame_count).to(device, non_blocking=True)
    history = prior = None
    if train is not None and (train.history_noise or train.history_gain):
        history = frames
        if train.history_noise:
            spread = train.history_noise * frames.std(dim=-1, keepdim=True)
            history = history + spread * torch.randn_like(frames)
        if train.history_gain:
            history = history * torch.exp(train.history_gain * torch.randn_like(frames[..., :1]))
    if train is not None and step < train.prior_steps:
        prior = diagonal_prior(batch.token_lengths, batch.frame_lengths).to(device, non_blocking=True)
    bf16 = train is not None and train.precision == "bf16"
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        output = model(batch.tokens, batch.token_lengths, frames, history, prior)
    density, packed = model.density, (frames.flatten(0, 1)[index], output.cond.flatten(0, 1)[index].float())
    variance = sizes = None
    if train is not None or by_loss or density.likelihood == "none":
        packed_nll = density.loss(*packed)
    elif density.likelihood == "exact":
        packed_nll = -density.log_prob(*packed)
    else:
        # Two draws of its noise, whose difference tells how sure their mean is.
        first, second = density.log_prob(*packed), density.log_prob(*packed)
        packed_nll, variance = -(first + second) / 2, ((first - second) / 2).square()
        sizes = sample_sizes(density, len(index)) if estimates_normaliser(density) else None
    last = torch.zeros(len(index)).index_fill(0, batch.frame_lengths.cumsum(0) - 1, 1.0)
    logits, target = output.stop_logits.flatten()[index].float(), last.to(device, non_blocking=True)
    stop_bce = F.binary_cross_entropy_with_logits(logits, target, reduction="sum")
    num_frames = len(index)
    return LossSums(
        packed_nll.sum(),
        packed_nll.detach(),
        torch.zeros_like(packed_nll) if variance is None else variance.detach(),
        torch.zeros_like(packed_nll) if sizes is None else 1 / sizes,
        stop_bce,
        num_frames,
        num_frames * model.frame_length,
        1.0 if train is None else train.stop_weight,
        output,
    )


def bits_per_sample(frame_nll: float, num_samples: int, scale: float) -> float:
    """Bits per sample of 16-bit audio, uniformly dequantised: -log p(x) / (S ln 2) + 15.

    Args:
        frame_nll: sum over frames of -log p of the scaled signal, nats.
        num_samples: S, samples of those frames.
        scale: the model's `scale`; its log-det is ln(scale) a sample.
    """
    return (frame_nll / num_samples - math.log(scale)) / math.log(2) + 15
