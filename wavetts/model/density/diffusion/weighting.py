"""Weighted diffusion losses, L_w = 1/2 E[w(lambda) (-dlambda/dt) |eps - eps_hat|^2] (Kingma and Gao 2023, 2303.00848).

Their table 1 gives w for the losses of the literature. With a w that does not grow with lambda the loss is a mixture of
bounds on data with added noise (their theorem 1); with w = 1 it is the bound itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

# Of the EDM noise distribution (Karras et al. 2022): ln sigma ~ N(-1.2, 1.2^2), so lambda ~ N(2.4, 2.4^2).
EDM_MEAN, EDM_STD, EDM_DATA_STD = 2.4, 2.4, 0.5
# Where the sigmoid weighting falls, in lambda; the best of Kingma and Gao 2023, appendix.
SIGMOID_SHIFT = 2.0


def _edm(log_snr: Tensor) -> Tensor:
    density = torch.exp(-0.5 * ((log_snr - EDM_MEAN) / EDM_STD) ** 2)
    return density * (torch.exp(-log_snr) + EDM_DATA_STD**2)


def _edm_peak() -> float:
    """The maximum of `_edm`: a zero of the derivative of its logarithm, by bisection."""
    low, high = -30.0, EDM_MEAN
    for _ in range(80):
        middle = 0.5 * (low + high)
        odds = math.exp(-middle) / (math.exp(-middle) + EDM_DATA_STD**2)
        low, high = (middle, high) if -(middle - EDM_MEAN) / EDM_STD**2 > odds else (low, middle)
    return 0.5 * (low + high)


EDM_PEAK = _edm_peak()

# w(lambda) of each weighting; "eps_mse" alone is not monotone.
WEIGHTINGS: dict[str, Callable[[Tensor], Tensor]] = {
    # Maximum likelihood.
    "elbo": torch.ones_like,
    # |v - v_hat|^2, times from a cosine schedule.
    "v_mse": lambda log_snr: torch.exp(-0.5 * log_snr),
    # |eps - eps_hat|^2, times from a cosine schedule (Nichol and Dhariwal 2021).
    "eps_mse": lambda log_snr: 1 / torch.cosh(0.5 * log_snr),
    "sigmoid": lambda log_snr: torch.sigmoid(SIGMOID_SHIFT - log_snr),
    # EDM's, held at its largest value where it would fall towards the noise.
    "edm_monotone": lambda log_snr: _edm(log_snr.clamp(min=EDM_PEAK)),
}


def mean_weight(name: str, gamma_min: float, gamma_max: float) -> float:
    """The mean of a weighting over the levels of a schedule: a loss divided by it has the scale of a bound."""
    gamma = torch.linspace(gamma_min, gamma_max, 10001, dtype=torch.float64)
    return float(torch.trapezoid(WEIGHTINGS[name](-gamma), gamma) / (gamma_max - gamma_min))


class AdaptiveLevels(nn.Module):
    """Draws gamma where the weighted loss is large: importance sampling, which changes no gradient's mean.

    The density over gamma is constant in each of `num_bins` bins, proportional to a running mean of
    w(lambda) |eps - eps_hat|^2 there, mixed with the uniform one (Kingma and Gao 2023, appendix F).

    Args:
        gamma_min: the lowest level.
        gamma_max: the highest.
        num_bins: of equal width.
        decay: decay of the running means, applied to a bin for each batch that falls into it.
        uniform: share of the uniform density in the mixture, so that every bin is drawn.
    """

    means: Tensor
    edges: Tensor

    def __init__(
        self, gamma_min: float, gamma_max: float, num_bins: int = 100, decay: float = 0.98, uniform: float = 0.1
    ) -> None:
        super().__init__()
        self.decay, self.uniform, self.span = decay, uniform, gamma_max - gamma_min
        self.register_buffer("means", torch.ones(num_bins))
        self.register_buffer("edges", torch.linspace(gamma_min, gamma_max, num_bins + 1), persistent=False)

    def _shares(self) -> Tensor:
        """Probability of each bin."""
        shares = self.means / self.means.sum()
        return (1 - self.uniform) * shares + self.uniform / len(shares)

    def forward(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Maps uniform times (N,) to gamma of the importance density, and the inverse of that density, (N,) each."""
        shares = self._shares()
        ends = shares.cumsum(0)
        index = torch.searchsorted(ends, t * ends[-1], right=True).clamp(max=len(shares) - 1)
        within = ((t * ends[-1] - (ends[index] - shares[index])) / shares[index]).clamp(0.0, 1.0)
        width = self.span / len(shares)
        return torch.lerp(self.edges[index], self.edges[index + 1], within), width / shares[index]

    @torch.no_grad()
    def update(self, gamma: Tensor, weighted: Tensor) -> None:
        """Updates the running means by levels (N,) and their w(lambda) |eps - eps_hat|^2 (N,)."""
        index = torch.bucketize(gamma, self.edges[1:-1])
        counts = torch.zeros_like(self.means).index_add_(0, index, torch.ones_like(weighted))
        sums = torch.zeros_like(self.means).index_add_(0, index, weighted)
        new = torch.lerp(sums / counts.clamp(min=1), self.means, self.decay)
        self.means.copy_(torch.where(counts > 0, new, self.means))
