"""Optimiser, learning-rate schedule and the average of the weights."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from wavetts.config import TrainConfig
from wavetts.model.lora import has_changes, plain_weights


def build_optimizer(model: nn.Module, train: TrainConfig) -> torch.optim.AdamW:
    """Builds a fused AdamW with weight decay of matrices and filters.

    Biases and gains are not decayed, nor the weights of modules with `decays = False`, such as invertible matrices,
    whose determinant decay would pull towards 0.
    """
    exempt = {id(p) for module in model.modules() if not getattr(module, "decays", True) for p in module.parameters()}
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decayed = [p for p in parameters if p.ndim >= 2 and id(p) not in exempt]
    others = [p for p in parameters if p.ndim < 2 or id(p) in exempt]
    groups = [{"params": decayed, "weight_decay": train.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=train.learning_rate, betas=(train.betas[0], train.betas[1]), fused=True)


def progress(train: TrainConfig, step: int, minutes: float) -> float:
    """The share of a run that is done, by steps or by wall time, whichever is larger."""
    by_time = minutes / train.max_minutes if train.max_minutes > 0 else 0.0
    return max(step / train.max_steps, by_time)


def learning_rate(train: TrainConfig, step: int, minutes: float) -> float:
    """Linear warm-up, then constant, then linear to `final_ratio` of the peak over the last `decay_fraction`.

    Args:
        train: the schedule.
        step: number of steps so far.
        minutes: minutes of training so far; used if `max_minutes` is set.
    """
    rate = train.learning_rate * min(1.0, (step + 1) / max(1, train.warmup_steps))
    left = 1.0 - min(1.0, progress(train, step, minutes))
    if left < train.decay_fraction:
        rate *= train.final_ratio + (1.0 - train.final_ratio) * left / train.decay_fraction
    return rate


class WeightAverage(AveragedModel):
    """An exponential moving average of the weights of a model, in evaluation mode; buffers are those of the last step.

    `module` is a model without low-rank changes: the weights with their changes are averaged, not the factors, as the
    product of averages is not the average of products.
    """

    def update_parameters(self, model: nn.Module) -> None:
        """Takes the weights as they are now into the average."""
        if has_changes(model):
            if not hasattr(self, "_plain"):
                # In a tuple, so that it is no part of this module's state.
                self._plain = (copy.deepcopy(self.module),)
            (plain,) = self._plain
            plain.load_state_dict(plain_weights(model))
            model = plain
        super().update_parameters(model)


def build_average(model: nn.Module, decay: float) -> WeightAverage:
    """Builds the average of a model without low-rank changes.

    The decay of update n is min(decay, (1 + n) / (10 + n)), so that the first steps lose their weight quickly.
    """

    def average(averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
        count = int(count)
        get_ema_multi_avg_fn(min(decay, (1 + count) / (10 + count)))(averaged, current, count)

    return WeightAverage(model, multi_avg_fn=average).eval().requires_grad_(False)


def clip_gradients(model: nn.Module, max_norm: float) -> Tensor:
    """Scales the gradients to a norm of at most `max_norm` and returns the norm before, (), finite or not."""
    return torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
