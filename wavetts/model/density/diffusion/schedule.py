"""Noise schedules: gamma, the log of the noise-to-signal ratio, as a function of time.

z_t = alpha x + sigma eps with alpha^2 = sigmoid(-gamma) and sigma^2 = sigmoid(gamma) at gamma = gamma(t), t from 0
(data) to 1 (noise): the variance-preserving diffusion of Kingma et al. 2021 (arXiv 2107.00630), section 3. lambda =
-gamma is the log of the signal-to-noise ratio. The continuous-time bound depends on a schedule's endpoints alone
(their section 5.1); its course in between sets the variance of the estimate.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def alpha_sigma(gamma: Tensor) -> tuple[Tensor, Tensor]:
    """Scales of signal and noise, each in gamma's shape; their squares sum to 1."""
    return torch.sigmoid(-gamma).sqrt(), torch.sigmoid(gamma).sqrt()


def stratified_times(
    count: int, like: Tensor, generator: torch.Generator | None = None, shuffle: bool = True
) -> Tensor:
    """Times in [0, 1), each uniform, one in each of `count` equal intervals (Kingma et al. 2021, appendix I.1).

    Stratification removes most of the variance that the choice of t adds to the mean over a batch.

    Args:
        count: number of times.
        like: a tensor whose type and device the result has.
        generator: on the CPU or that device; None: torch's default one.
        shuffle: shuffle the times, so that the order of the rows carries no information.

    Returns:
        (count,).
    """
    device = like.device if generator is None else generator.device
    start = torch.rand((), generator=generator, device=device, dtype=like.dtype)
    order = torch.randperm(count, generator=generator, device=device) if shuffle else torch.arange(count, device=device)
    return ((order + start) / count).remainder(1.0).to(like.device)


class VarianceGate:
    """Turns the gradient of a loss into that of its square, for parameters that affect only the variance of the loss.

    With E[L] fixed, the gradient of the variance is that of E[L^2], 2 L dL (Kingma et al. 2021, section 5.1 and
    appendix I.2). Tensors that pass `watch` get their gradients multiplied, row by row, by 2 L; `set_losses`
    must be called with L between the forward and the backward pass.
    """

    def __init__(self) -> None:
        self.factor: Tensor | None = None

    def watch(self, values: Tensor) -> Tensor:
        """Marks rows (N,) whose gradients are to be scaled, and returns them."""
        if values.requires_grad:
            values.register_hook(self._scale)
        return values

    def set_losses(self, losses: Tensor) -> None:
        """Sets the losses (N,) of the rows."""
        self.factor = 2 * losses.detach()

    def _scale(self, gradient: Tensor) -> Tensor:
        assert self.factor is not None, "losses are set before the backward pass"
        return gradient * self.factor


class Schedule(nn.Module):
    """gamma(t), from `gamma_min` at t = 0 to `gamma_max` at t = 1, and its slope.

    Args:
        gamma_min: log noise-to-signal ratio at t = 0; e^(gamma_min / 2) is the noise floor.
        gamma_max: log noise-to-signal ratio at t = 1, where almost no signal may be left.
    """

    gamma_min: Tensor
    gamma_max: Tensor

    def __init__(self, gamma_min: float, gamma_max: float) -> None:
        super().__init__()
        assert gamma_min < gamma_max
        for name, value in (("gamma_min", gamma_min), ("gamma_max", gamma_max)):
            self.register_buffer(name, torch.tensor(value, dtype=torch.get_default_dtype()), persistent=False)

    def forward(self, t: Tensor, gate: VarianceGate | None = None) -> tuple[Tensor, Tensor]:
        """Times (...) to gamma and d gamma / dt, (...) each.

        `gate` watches gamma as far as it depends on the parameters between the endpoints of a learned schedule.
        """
        raise NotImplementedError


class LinearSchedule(Schedule):
    """gamma is linear in t: equal time for equal ranges of gamma."""

    def forward(self, t: Tensor, gate: VarianceGate | None = None) -> tuple[Tensor, Tensor]:
        """See `Schedule.forward`."""
        span = self.gamma_max - self.gamma_min
        return self.gamma_min + span * t, span.expand_as(t)


class CosineSchedule(Schedule):
    """alpha = cos(pi u / 2) (Nichol and Dhariwal 2021) with u linear in t between the endpoints.

    gamma = 2 log tan(pi u / 2): most of the time goes to levels where signal and noise are equally strong.
    """

    def __init__(self, gamma_min: float, gamma_max: float) -> None:
        super().__init__(gamma_min, gamma_max)
        first, last = (2 / math.pi * math.atan(math.exp(gamma / 2)) for gamma in (gamma_min, gamma_max))
        self.first, self.span = first, last - first

    def forward(self, t: Tensor, gate: VarianceGate | None = None) -> tuple[Tensor, Tensor]:
        """See `Schedule.forward`."""
        # Near u = 0 the angle is tiny and exact; near u = 1 its complement is used, as tan of it would lose digits.
        angle = 0.5 * math.pi * (self.first + self.span * t)
        rest = 0.5 * math.pi * ((1 - self.first - self.span) + self.span * (1 - t))
        gamma = 2 * (torch.log(torch.sin(angle)) - torch.log(torch.sin(rest)))
        return gamma, math.pi * self.span / (torch.sin(angle) * torch.sin(rest))


class LearnedSchedule(Schedule):
    """A monotone network of t (Kingma et al. 2021, appendix H) between learned endpoints.

    w t + sum_k v_k sigmoid(a_k t + b_k) with positive w, v, a, rescaled to begin at gamma_min and to end at gamma_max;
    linear at the start, but for a small perturbation. The endpoints are trained on the bound, all other
    parameters to reduce the variance of its estimate, by the gate of `forward`.

    Args:
        gamma_min: as of `Schedule`, at the start of training.
        gamma_max: the same.
        hidden_dim: number of sigmoids, the range of k.
    """

    def __init__(self, gamma_min: float, gamma_max: float, hidden_dim: int = 64) -> None:
        super().__init__(gamma_min, gamma_max)
        del self.gamma_min, self.gamma_max
        self.gamma_min, self.gamma_max = (nn.Parameter(torch.tensor(g)) for g in (gamma_min, gamma_max))
        # Through softplus: 1 for the linear part, little for the others, whose steps lie all over [0, 1].
        self.linear = nn.Parameter(torch.tensor(math.log(math.expm1(1.0))))
        self.heights = nn.Parameter(torch.full((hidden_dim,), -5.0))
        self.slopes = nn.Parameter(torch.full((hidden_dim,), 10.0))
        self.offsets = nn.Parameter(-10.0 * (torch.arange(hidden_dim) + 0.5) / hidden_dim)

    def _raw(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """The network's output and its derivative at times (...)."""
        linear, heights, slopes = F.softplus(self.linear), F.softplus(self.heights), F.softplus(self.slopes)
        steps = torch.sigmoid(t[..., None] * slopes + self.offsets)
        value = linear * t + (heights * steps).sum(-1)
        return value, linear + (heights * slopes * steps * (1 - steps)).sum(-1)

    def forward(self, t: Tensor, gate: VarianceGate | None = None) -> tuple[Tensor, Tensor]:
        """See `Schedule.forward`."""
        (value, slope), (ends, _) = self._raw(t), self._raw(torch.tensor([0.0, 1.0]).to(t))
        first, height = ends[0], ends[1] - ends[0]
        share, share_slope = (value - first) / height, slope / height
        if gate is not None:
            share, share_slope = gate.watch(share), gate.watch(share_slope)
        span = self.gamma_max - self.gamma_min
        return self.gamma_min + span * share, span * share_slope


SCHEDULES: dict[str, Callable[[float, float], Schedule]] = {
    "linear": LinearSchedule,
    "cosine": CosineSchedule,
    "learned": LearnedSchedule,
}
