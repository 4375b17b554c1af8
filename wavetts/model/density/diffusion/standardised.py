"""Base class of the diffusion and its students: a denoiser of values standardised by an affine layer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from wavetts.config import DensityConfig, opt
from wavetts.errors import UserError
from wavetts.model.density.base import Compose, Density, Layer
from wavetts.model.density.diffusion.bound import EpsModel
from wavetts.model.density.diffusion.denoiser import ConvNetwork, Denoiser, MLPNetwork
from wavetts.model.density.diffusion.samplers import Known
from wavetts.model.density.diffusion.schedule import SCHEDULES
from wavetts.model.density.transforms import DCT, ConditionalAffine


@dataclass
class DenoiserConfig(DensityConfig):
    """The fields shared by a diffusion and its students: denoiser, levels and standardisation."""

    network: Literal["mlp", "conv"] = opt("mlp", "denoiser: dense layers for subframes, convolutions for whole frames")
    hidden_dim: int = opt(256, "width of the denoiser", at_least=1)
    num_layers: int = opt(4, "residual blocks of the denoiser", at_least=1)
    squeeze: int = opt(10, "conv: samples that a position holds", at_least=1)
    fourier_octaves: int = opt(0, "mlp: octaves of sines of the noisy values, from a few noise floors on", at_least=0)
    prediction: Literal["eps", "x", "v"] = opt("v", "what the denoiser predicts: noise, data or velocity")
    schedule: Literal["linear", "cosine", "learned"] = opt("linear", "levels of noise over training's time")
    gamma_min: float = opt(-12.0, "log of noise over signal at the data's end; learned: at the start", below=0)
    gamma_max: float = opt(6.0, "log of noise over signal at the noise's end; learned: at the start", above=0)
    transform: Literal["dct", "none"] = opt("dct", "what the affine layer and the diffusion see")
    standardise: Literal["context", "overall"] = opt(
        "context",
        "mean and scale of the affine layer: the context's, or the same for all, and all is left to the denoiser",
    )
    num_cepstra: int = opt(0, "smooth functions of frequency in the affine layer's log-scales", at_least=0)
    affine_bound: float = opt(6.0, "bound of the affine layer's log-scale", above=0)

    def check_length(self, length: int, field: str, section: str) -> None:
        """See `DensityConfig.check_length`."""
        if self.network == "conv" and length % self.squeeze:
            raise UserError(f"{field}: {length} is not a multiple of {self.squeeze}, {section}.squeeze")

    def build_denoiser(self, length: int, cond_dim: int, num_extras: int = 0) -> Denoiser:
        """Builds the denoiser of `length` values with `num_extras` inputs beside the level."""
        sizes = (length, cond_dim, self.hidden_dim, self.num_layers, self.gamma_min, self.gamma_max, num_extras)
        network = (
            MLPNetwork(*sizes, octaves=self.fourier_octaves)
            if self.network == "mlp"
            else ConvNetwork(*sizes, squeeze=self.squeeze)
        )
        return Denoiser(network, self.prediction)


class StandardisedDiffusion(Density):
    """A diffusion of values that a conditional affine layer has standardised.

    x -> DCT -> (x - mean) / scale, given the context; log-determinants are exact. The affine layer is trained by its
    own Gaussian likelihood, which gives unit variance under every weighting; it gets no gradient from the diffusion.

    Args:
        config: its options.
        length: n.
        cond_dim: C, width of the context.
        num_extras: number of inputs of the denoiser beside the level.
        noise_dim: see `Sampler`.
    """

    def __init__(
        self, config: DenoiserConfig, length: int, cond_dim: int, num_extras: int = 0, noise_dim: int | None = None
    ) -> None:
        super().__init__(length, cond_dim, noise_dim=noise_dim)
        self.dct = DCT(length) if config.transform == "dct" else None
        self.by_context = config.standardise == "context"
        self.affine = ConditionalAffine(
            length, cond_dim if self.by_context else 1, config.affine_bound, config.num_cepstra
        )
        self.schedule = SCHEDULES[config.schedule](config.gamma_min, config.gamma_max)
        self.denoiser = config.build_denoiser(length, cond_dim, num_extras)

    def layers(self, cond: Tensor) -> Iterable[tuple[Layer, Any]]:
        """From values (N, n) to standardised ones, given contexts (N, C), as `Compose` takes them."""
        affine = [(self.affine, cond if self.by_context else torch.ones_like(cond[:, :1]))]
        return affine if self.dct is None else [(self.dct, None), *affine]

    def standardise(self, frames: Tensor, cond: Tensor) -> tuple[Tensor, Tensor]:
        """Packed frames (N, n) and contexts to standardised values (N, n) and log-determinants (N,)."""
        return Compose(self.layers(cond)).forward(frames)

    def _gaussian_gradient(self, values: Tensor, log_det: Tensor) -> Tensor:
        """Zeros (N,) whose gradient is that of the affine layer's own Gaussian likelihood."""
        gaussian = 0.5 * values.square().sum(-1) - log_det
        return gaussian - gaussian.detach()

    def eps_model(self, cond: Tensor, extras: Tensor | None = None) -> EpsModel:
        """The denoiser for packed contexts (N, C), of standardised values."""
        context = self.denoiser.prepare(cond)
        return lambda z, gamma: self.denoiser.eps(z, gamma, context, extras)

    def known(self, cond: Tensor, frames: Tensor, given: Tensor) -> Known:
        """Known values of frames as `Known` standardised values.

        The layers are affine, so known values are linear combinations of standardised ones. In an orthonormal basis of
        these combinations they are coordinates of a rotated space, in which the noise is isotropic, too.

        Args:
            cond: (N, C).
            frames: (N, n), used where `given` is True.
            given: (n,), True for known values.
        """
        n, rows = self.frame_length, len(cond)
        basis = torch.cat([cond.new_zeros(1, n), torch.eye(n).to(cond)]).repeat(rows, 1)
        images = Compose(self.layers(cond.repeat_interleave(n + 1, 0))).inverse(basis).view(rows, n + 1, n)
        offset, matrix = images[:, 0], (images[:, 1:] - images[:, :1])[..., given]  # (N, n, known)
        q, r = torch.linalg.qr(matrix)
        wanted = (frames - offset)[:, given, None]
        coordinates = torch.linalg.solve_triangular(r.mT, wanted, upper=False)
        return Known((q @ coordinates)[..., 0], lambda z: (q @ (q.mT @ z[..., None]))[..., 0])


def normal(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard normal values of the shape of a tensor, drawn on the generator's device."""
    device = like.device if generator is None else generator.device
    return torch.randn(like.shape, generator=generator, device=device, dtype=like.dtype).to(like.device)


def option_rows(value: float | Tensor, cond: Tensor) -> float | Tensor:
    """An option, a number or (..., 1), as a number or (N, 1)."""
    return value.expand(*cond.shape[:-1], 1).reshape(-1, 1) if isinstance(value, Tensor) else value
