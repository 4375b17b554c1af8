"""Lossless coding with a diffusion: bits-back with asymmetric numeral systems (Kingma et al. 2021, section 7.3).

A row of integers costs as many bits as its variational bound with T steps: the random bits that draw the noisy values z
are decoded from the code itself, and the decoder of the row returns them. z is rounded to a grid much finer than its
standard deviations; this costs no bits, because the same rounding is used for drawing and for coding. Needs the package
`constriction` (extra `diffusion`).
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

# Grid steps per standard deviation, the smaller of the two that z is coded with at its level.
RESOLUTION = 4
# The largest distance of z from its mean, in standard deviations, that can be coded.
REACH = 40


@dataclass(frozen=True)
class Coder:
    """Codes rows of integers; the integer k stands for the values in [k, k + 1) times `step`.

    Args:
        density: in evaluation mode, with transform=none: each value is coded on its own, given z.
        step: width of the interval of one integer.
        lowest: the smallest integer that can be coded.
        highest: the largest integer that can be coded.
        num_steps: T.
    """

    density: Diffusion
    step: float
    lowest: int
    highest: int
    num_steps: int = 32

    def __post_init__(self) -> None:
        if self.density.dct is not None:
            raise UserError("transform: values are coded one by one; train a density with transform=none")

    @property
    def _levels(self) -> Tensor:
        """(T + 1,) from data to noise, in 64 bits."""
        times = torch.linspace(0, 1, self.num_steps + 1, dtype=torch.float64)
        return self.density.schedule(times.to(self.density._dtype))[0].double()

    def _grids(self) -> list[tuple[float, int]]:
        """For z at each level: the width of its grid, and the number of grid steps in its range."""
        levels, zero = self._levels, torch.zeros(1, dtype=torch.float64)
        drawn = [scales(levels[0])[1], *(self._forward(zero, s, t)[1] for s, t in pairwise(levels))]
        coded = [*(self._backward_spread(s, t) for s, t in pairwise(levels)), torch.ones(1)]
        pairs = [(float(first), float(second)) for first, second in zip(drawn, coded, strict=True)]
        return [(min(pair) / RESOLUTION, math.ceil(REACH * RESOLUTION * max(pair) / min(pair))) for pair in pairs]

    @staticmethod
    def _backward_spread(gamma_s: Tensor, gamma_t: Tensor) -> Tensor:
        return scales(gamma_s)[1] * torch.sqrt(-torch.expm1(gamma_s - gamma_t))

    def _forward(self, z: Tensor, gamma_s: Tensor, gamma_t: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and spread of q(z_t | z_s)."""
        (alpha_s, sigma_s), (alpha_t, sigma_t) = scales(gamma_s), scales(gamma_t)
        ratio = alpha_t / alpha_s
        return ratio * z, (sigma_t**2 - (ratio * sigma_s) ** 2).sqrt().expand_as(z)

    def _backward(self, z: Tensor, gamma_s: Tensor, gamma_t: Tensor, cond: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and spread of p(z_s | z_t)."""
        (alpha_s, _), (alpha_t, sigma_t) = scales(gamma_s), scales(gamma_t)
        share = -torch.expm1(gamma_s - gamma_t)
        mean = alpha_s / alpha_t * (z - share * sigma_t * self._eps(z, gamma_t, cond))
        return mean, self._backward_spread(gamma_s, gamma_t).expand_as(z)

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
        """The centres of the integers' intervals, standardised."""
        return self.density.standardise(((numbers + 0.5) * self.step).to(cond), cond)[0].double()

    def encode(self, numbers: Tensor, cond: Tensor, words: np.ndarray) -> np.ndarray:
        """Encodes rows (N, n) of integers, given contexts (N, C), on top of a code.

        Args:
            numbers: integers from `lowest` to `highest`.
            cond: the contexts.
            words: the code so far (uint32), or random words; they must hold enough bits to draw z, and `decode` returns
                them.

        Returns:
            The longer code.

        Raises:
            UserError: an integer is out of range, or too unlikely under the density to be coded.
        """
        if numbers.min() < self.lowest or numbers.max() > self.highest:
            raise UserError(f"numbers outside {self.lowest} to {self.highest}: make the coder with a wider range")
        levels, grids = self._levels, self._grids()
        with torch.no_grad():
            x = self._standardised(numbers, cond)
        alpha, sigma = scales(levels[0])
        code = _coder(_scrambled(words, 0))
        z = _take(code, alpha * x, sigma.expand_as(x), *grids[0])
        code.encode_reverse(_symbols(numbers), self._numbers(), *_parameters(*self._decoder(z, cond)))
        for i, (gamma_s, gamma_t) in enumerate(pairwise(levels)):
            code = _coder(_scrambled(code.get_compressed(), i + 1))
            ahead = _take(code, *self._forward(z, gamma_s, gamma_t), *grids[i + 1])
            _put(code, z, *self._backward(ahead, gamma_s, gamma_t, cond), *grids[i])
            z = ahead
        _put(code, z, torch.zeros_like(z), torch.ones_like(z), *grids[-1])
        return code.get_compressed()

    def decode(self, cond: Tensor, words: np.ndarray) -> tuple[Tensor, np.ndarray]:
        """Decodes the rows (N, n) that `encode` coded last; returns them and the remaining code."""
        levels, grids = self._levels, self._grids()
        z = torch.zeros(len(cond), self.density.frame_length, dtype=torch.float64)
        code = _coder(words)
        z = _take(code, z, torch.ones_like(z), *grids[-1])
        for i in range(self.num_steps - 1, -1, -1):
            gamma_s, gamma_t = levels[i], levels[i + 1]
            behind = _take(code, *self._backward(z, gamma_s, gamma_t, cond), *grids[i])
            _put(code, z, *self._forward(behind, gamma_s, gamma_t), *grids[i + 1])
            code = _coder(_scrambled(code.get_compressed(), i + 1))
            z = behind
        drawn = code.decode(self._numbers(), *_parameters(*self._decoder(z, cond)))
        numbers = torch.from_numpy(drawn.astype(np.int64)).view(z.shape)
        with torch.no_grad():
            x = self._standardised(numbers, cond)
        alpha, sigma = scales(levels[0])
        _put(code, z, alpha * x, sigma.expand_as(x), *grids[0])
        return numbers, _scrambled(code.get_compressed(), 0)

    @torch.no_grad()
    def bound(self, numbers: Tensor, cond: Tensor, generator: torch.Generator) -> Tensor:
        """One draw of the number of bits (N,) of rows, from the model alone, without coding.

        The diffusion term is `finite_term`, the decoder term is that of integers.
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

    def _numbers(self) -> Any:
        """The entropy model of the integers given z_0."""
        return _constriction().stream.model.QuantizedGaussian(self.lowest, self.highest)


def _constriction() -> Any:
    try:
        import constriction
    except ImportError:
        raise UserError("coding needs constriction: pip install 'wavetts[diffusion]'") from None
    return constriction


def _coder(words: np.ndarray) -> Any:
    return _constriction().stream.stack.AnsCoder(words)


def _scrambled(words: np.ndarray, number: int) -> np.ndarray:
    """XORs all words of a code but the last with pseudo-random ones; a second call undoes it.

    The bits coded last are the first that draw the next z. If the density is not exact, they are not quite random:
    the next z would be less likely, its bits less random still, and the error would grow from level to level.
    """
    mask = np.random.default_rng((number, len(words))).integers(0, 2**32, len(words), dtype=np.uint32)
    mask[-1] = 0  # which tells where the code ends
    return words ^ mask


def _take(code: Any, mean: Tensor, spread: Tensor, grid: float, reach: int) -> Tensor:
    """Decodes values on a grid by Gaussians: draws them with bits of the code."""
    centre = (mean / grid).round()
    model = _constriction().stream.model.QuantizedGaussian(-reach, reach)
    drawn = code.decode(model, *_parameters(mean / grid - centre, spread / grid))
    return grid * (centre + torch.from_numpy(drawn.astype(np.float64)).view(mean.shape))


def _put(code: Any, values: Tensor, mean: Tensor, spread: Tensor, grid: float, reach: int) -> None:
    """Encodes values on a grid by Gaussians."""
    # Relative to the mean: every symbol in range takes some probability from all others, so the range is kept small.
    centre = (mean / grid).round()
    symbols = (values / grid).round() - centre
    if symbols.abs().max() > reach:
        raise UserError("a row is too unlikely under the density to be coded: train the density on such data")
    model = _constriction().stream.model.QuantizedGaussian(-reach, reach)
    code.encode_reverse(_symbols(symbols), model, *_parameters(mean / grid - centre, spread / grid))


def _symbols(numbers: Tensor) -> np.ndarray:
    return numbers.flatten().numpy().astype(np.int32)


def _parameters(mean: Tensor, spread: Tensor) -> tuple[np.ndarray, np.ndarray]:
    return mean.flatten().numpy(), np.ascontiguousarray(spread.expand_as(mean).flatten().numpy())
