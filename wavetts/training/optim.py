"""Optimiser, learning-rate schedule and the average of the weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from wavetts.config import TrainConfig


def build_optimizer(model: nn.Module, train: TrainConfig) -> torch.optim.AdamW:
    """AdamW that decays matrices (and filters) but no biases and gains, fused into one kernel."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": train.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=train.learning_rate, betas=tuple(train.betas), fused=True)


def progress(train: TrainConfig, step: int, minutes: float) -> float:
    """The part of a run that is done, by steps or by wall time, whichever is further."""
    by_time = minutes / train.max_minutes if train.max_minutes > 0 else 0.0
    return max(step / train.max_steps, by_time)


def learning_rate(train: TrainConfig, step: int, minutes: float) -> float:
    """Linear warm-up, then constant, then linear to `final_ratio` of the peak over the last `decay_fraction`.

    Args:
        train: the schedule.
        step: steps done so far.
        minutes: of training so far; counts if `max_minutes` is set.
    """
    rate = train.learning_rate * min(1.0, (step + 1) / max(1, train.warmup_steps))
    left = 1.0 - min(1.0, progress(train, step, minutes))
    if left < train.decay_fraction:
        rate *= train.final_ratio + (1.0 - train.final_ratio) * left / train.decay_fraction
    return rate


def build_average(model: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of the weights, in evaluation mode; buffers are the last step's.

    The decay of update n is min(decay, (1 + n) / (10 + n)), so that the start of training is soon forgotten.
    """

    def average(averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
        count = int(count)
        get_ema_multi_avg_fn(min(decay, (1 + count) / (10 + count)))(averaged, current, count)

    return AveragedModel(model, multi_avg_fn=average).eval().requires_grad_(False)


def clip_gradients(model: nn.Module, max_norm: float) -> Tensor:
    """Scales the gradients to a norm of at most `max_norm` and returns the norm before, (), finite or not."""
    return torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
