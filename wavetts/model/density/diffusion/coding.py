"""Lossless coding with a diffusion: bits-back with asymmetric numeral systems (Kingma et al. 2021, section 7.3).

A row of whole numbers costs as many bits as its bound says, in T steps: what the noisy values z are drawn with is taken
from the code itself, and given back when it is read. z is rounded to a grid much finer than any of its spreads, which
costs nothing, as it is coded and taken back alike. Needs the package `constriction` (the extra `diffusion`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wavetts.errors import UserError
from wavetts.model.density.base import Compose
from wavetts.model.density.diffusion.density import Diffusion
from wavetts.model.density.diffusion.prediction import scales, to_x

# Of the smallest spread of z, in steps of its grid.
RESOLUTION = 12
# What z is kept within; its spread is 1.
LARGEST = 12.0


@dataclass(frozen=True)
class Coder:
    """Codes rows of whole numbers, each number k standing for values in [k, k + 1) times `step`.

    Args:
        density: in evaluation mode, without a transform: each value is coded by itself, given z.
        step: of the numbers.
        lowest: the smallest number that there may be.
        highest: the largest one.
        num_steps: T.
    """

    density: Diffusion
    step: float
    lowest: int
    highest: int
    num_steps: int = 32

    def __post_init__(self) -> None:
        if self.density.dct is not None:
            raise UserError("transform: values are coded one by one; it must be none")

    @property
    def _levels(self) -> Tensor:
        """(T + 1,) from data to noise, in 64 bits."""
        times = torch.linspace(0, 1, self.num_steps + 1, dtype=torch.float64)
        return self.density.schedule(times.to(self.density._dtype))[0].double()

    @property
    def _grid(self) -> float:
        """The width of z's grid."""
        spreads = [scales(gamma)[1] for gamma in self._levels[:1]]
        spreads += [s * math.sqrt(-math.expm1(float(g - h))) for s, g, h in self._ahead()]
        return float(min(spreads)) / RESOLUTION

    def _ahead(self) -> list[tuple[Tensor, Tensor, Tensor]]:
        """sigma_s, gamma_s and gamma_t of each step."""
        return [(scales(gamma_s)[1], gamma_s, gamma_t) for gamma_s, gamma_t in pairwise(self._levels)]

    def _forward(self, z: Tensor, gamma_s: Tensor, gamma_t: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and spread of q(z_t | z_s)."""
        (alpha_s, sigma_s), (alpha_t, sigma_t) = scales(gamma_s), scales(gamma_t)
        ratio = alpha_t / alpha_s
        return ratio * z, (sigma_t**2 - (ratio * sigma_s) ** 2).sqrt().expand_as(z)

    def _backward(self, z: Tensor, gamma_s: Tensor, gamma_t: Tensor, cond: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and spread of p(z_s | z_t)."""
        (alpha_s, sigma_s), (alpha_t, sigma_t) = scales(gamma_s), scales(gamma_t)
        share = -torch.expm1(gamma_s - gamma_t)
        eps = self._eps(z, gamma_t, cond)
        return alpha_s / alpha_t * (z - share * sigma_t * eps), (sigma_s * share.sqrt()).expand_as(z)

    @torch.no_grad()
    def _eps(self, z: Tensor, gamma: Tensor, cond: Tensor) -> Tensor:
        dtype = self.density._dtype
        return self.density.eps_model(cond)(z.to(dtype), gamma.to(dtype).expand(len(z))).double()

    @torch.no_grad()
    def _decoder(self, z: Tensor, cond: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and spread, in steps, of p(x | z_0)."""
        gamma = self._levels[0]
        mean = to_x(self._eps(z, gamma, cond), z, gamma, "eps").to(cond)
        log_variance = torch.nn.functional.logsigmoid(gamma) + self.density.decoder_log_variance
        layers = Compose(self.density.layers(cond))
        middle, above = layers.inverse(mean), layers.inverse(mean + torch.exp(0.5 * log_variance).to(mean))
        return middle.double() / self.step - 0.5, (above - middle).double() / self.step

    def _standardised(self, numbers: Tensor, cond: Tensor) -> Tensor:
        """The middles of the numbers' intervals, as the diffusion sees them."""
        return self.density.standardise(((numbers + 0.5) * self.step).to(cond), cond)[0].double()

    def encode(self, numbers: Tensor, cond: Tensor, code: Any) -> None:
        """Puts rows (N, n) of whole numbers, given contexts (N, C), onto an `AnsCoder` that has bits already."""
        levels, grid = self._levels, self._grid
        with torch.no_grad():
            x = self._standardised(numbers, cond)
        alpha, sigma = scales(levels[0])
        z = grid * self._take(code, alpha * x / grid, (sigma / grid).expand_as(x))
        self._put(code, numbers, *self._decoder(z, cond), (self.lowest, self.highest))
        for gamma_s, gamma_t in pairwise(levels):
            mean, spread = self._forward(z, gamma_s, gamma_t)
            ahead = grid * self._take(code, mean / grid, spread / grid)
            mean, spread = self._backward(ahead, gamma_s, gamma_t, cond)
            self._put(code, (z / grid).round(), mean / grid, spread / grid)
            z = ahead
        self._put(code, (z / grid).round(), torch.zeros_like(z), torch.full_like(z, 1 / grid))

    def decode(self, cond: Tensor, code: Any) -> Tensor:
        """Takes rows (N, n) off a code that `encode` has put on it last, and leaves it as it was before."""
        levels, grid = self._levels, self._grid
        z = torch.zeros(len(cond), self.density.frame_length, dtype=torch.float64)
        z = grid * self._take(code, z, torch.full_like(z, 1 / grid))
        for gamma_t, gamma_s in pairwise(levels.flip(0)):
            mean, spread = self._backward(z, gamma_s, gamma_t, cond)
            behind = grid * self._take(code, mean / grid, spread / grid)
            mean, spread = self._forward(behind, gamma_s, gamma_t)
            self._put(code, (z / grid).round(), mean / grid, spread / grid)
            z = behind
        numbers = self._take(code, *self._decoder(z, cond), (self.lowest, self.highest))
        x = self._standardised(numbers, cond)
        alpha, sigma = scales(levels[0])
        self._put(code, (z / grid).round(), alpha * x / grid, (sigma / grid).expand_as(x))
        return numbers.long()

    def bound(self, numbers: Tensor, cond: Tensor, generator: torch.Generator) -> Tensor:
        """A draw of the bits (N,) that rows cost, from the same model without any coding.

        The bound's diffusion term is that of `finite_term`, its decoder's of whole numbers.
        """
        x, levels = self._standardised(numbers, cond), self._levels

        def normal() -> Tensor:
            return torch.randn(x.shape, generator=generator, dtype=torch.float64)

        alpha, sigma = scales(levels[0])
        mean, spread = self._decoder(alpha * x + sigma * normal(), cond)
        decoder = torch.distributions.Normal(mean, spread)
        mass = decoder.cdf(numbers + 0.5) - decoder.cdf(numbers - 0.5)
        nats = -mass.clamp(min=1e-30).log().sum(-1)
        for gamma_s, gamma_t in pairwise(levels):
            eps = normal()
            alpha, sigma = scales(gamma_t)
            error = (eps - self._eps(alpha * x + sigma * eps, gamma_t, cond)).square().sum(-1)
            nats = nats + 0.5 * torch.expm1(gamma_t - gamma_s) * error
        variance = torch.sigmoid(levels[-1])
        prior = 0.5 * (variance + (1 - variance) * x.square() - 1 - variance.log()).sum(-1)
        return (nats + prior) / math.log(2)

    def _bounds(self, numbers: tuple[int, int] | None) -> Any:
        import constriction

        most = math.ceil(LARGEST / self._grid)
        return constriction.stream.model.QuantizedGaussian(*(numbers or (-most, most)))

    def _take(self, code: Any, mean: Tensor, spread: Tensor, bounds: tuple[int, int] | None = None) -> Tensor:
        drawn = code.decode(self._bounds(bounds), mean.flatten().numpy(), spread.flatten().numpy())
        return torch.from_numpy(drawn.astype(np.float64)).view(mean.shape)

    def _put(
        self, code: Any, numbers: Tensor, mean: Tensor, spread: Tensor, bounds: tuple[int, int] | None = None
    ) -> None:
        symbols = numbers.flatten().numpy().astype(np.int32)
        code.encode_reverse(symbols, self._bounds(bounds), mean.flatten().numpy(), spread.flatten().numpy())
