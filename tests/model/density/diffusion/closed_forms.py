"""Data whose densities and exact denoisers are known at every level of noise."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from wavetts.model.density.diffusion.prediction import scales


class Gaussian:
    """Independent values of mean 0 and given variances (n,)."""

    def __init__(self, variances: list[float]) -> None:
        self.variances = torch.tensor(variances)

    def eps(self, z: Tensor, gamma: Tensor) -> Tensor:
        alpha, sigma = scales(gamma)
        return sigma * z / (alpha**2 * self.variances + sigma**2)

    def entropy(self, noise: float = 0.0) -> float:
        """Of the values with noise of a variance added, nats."""
        return float(0.5 * torch.log(2 * math.pi * math.e * (self.variances + noise)).sum())

    def moments(self) -> tuple[Tensor, Tensor]:
        """x and eps (4, n) whose squares and products average to the true ones: exact means of quadratic functions."""
        std = self.variances.sqrt()
        signs = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
        return signs[:, :1] * std, signs[:, 1:].expand(4, len(std))

    def sample(self, count: int) -> Tensor:
        return self.variances.sqrt() * torch.randn(count, len(self.variances))


class Mixture:
    """n independent values, each of the same mixture of Gaussians."""

    def __init__(self, weights: list[float], means: list[float], stds: list[float]) -> None:
        self.weights, self.means, self.stds = (torch.tensor(part) for part in (weights, means, stds))
        self.mean = float((self.weights * self.means).sum())
        self.variance = float((self.weights * (self.stds**2 + self.means**2)).sum()) - self.mean**2

    def _parts(self, z: Tensor, gamma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log-densities of the parts, distances from their means, their variances: (..., n, parts)."""
        alpha, sigma = (part[..., None] for part in scales(gamma))
        variance = alpha**2 * self.stds**2 + sigma**2
        distance = z[..., None] - alpha * self.means
        log_density = -0.5 * (distance**2 / variance + variance.log() + math.log(2 * math.pi))
        return self.weights.log() + log_density, distance, variance

    def log_prob(self, z: Tensor, gamma: Tensor) -> Tensor:
        """Of z at a level, summed over n."""
        return torch.logsumexp(self._parts(z, gamma)[0], -1).sum(-1)

    def eps(self, z: Tensor, gamma: Tensor) -> Tensor:
        log_density, distance, variance = self._parts(z, gamma)
        share = torch.softmax(log_density, -1)
        return scales(gamma)[1] * (share * distance / variance).sum(-1)

    def sample(self, *shape: int) -> Tensor:
        part = torch.multinomial(self.weights, math.prod(shape), replacement=True)
        return (self.means[part] + self.stds[part] * torch.randn(len(part))).view(shape)


# Mean 0 and variance 1, far from Gaussian.
_SCALE = math.sqrt(0.6 * 0.8**2 + 0.4 * 1.2**2 + 0.6 * 0.3**2 + 0.4 * 0.25**2)
MIXTURE = ([0.6, 0.4], [-0.8 / _SCALE, 1.2 / _SCALE], [0.3 / _SCALE, 0.25 / _SCALE])


def wasserstein(first: Tensor, second: Tensor) -> float:
    """Of two samples of one value, equally large: the mean distance of their order statistics."""
    return float((first.flatten().sort().values - second.flatten().sort().values).abs().mean())
