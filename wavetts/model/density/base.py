"""The contract of a density (`Sampler`, `Density`), how one is sampled, and what every normalizing flow shares."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class SamplingOptions:
    """How frames are drawn. A number is for all of them; a tensor (..., 1) has one for each.

    Attributes:
        temperature: scales the standard deviation of the base noise; 0 is deterministic, 1 draws from the density.
        guidance: w of (1 + w) x(cond) - w x(without cond), for a density that was trained for it; 0 is unguided.
        steps: of a diffusion's sampler; None: as many as its config says.
        augmentation: noise on the lower bands that a cascade's upper stage is shown, from 0 to 1.
    """

    temperature: float | Tensor = 1.0
    guidance: float | Tensor = 0.0
    steps: int | None = None
    augmentation: float = 0.0


class Sampler(nn.Module, ABC):
    """What speaking needs of a density: one frame for each context.

    Leading dimensions are free: packed valid frames (N, K) in training, (B, K) in synthesis.

    Args:
        frame_length: K, values that are drawn at once: a frame's samples, or those of a part of it.
        cond_dim: C, width of the context that the frame is drawn for.
        past_dim: P, how many samples before the frame it wants to see besides. They are appended to the context, the
            newest last: cond is (..., C + P).
        noise_dim: how many standard normal values one frame is made from; None: K.

    Attributes:
        guides: whether `SamplingOptions.guidance` does something.
    """

    guides: bool = False

    def __init__(self, frame_length: int, cond_dim: int, past_dim: int = 0, noise_dim: int | None = None) -> None:
        super().__init__()
        self.frame_length, self.cond_dim, self.past_dim = frame_length, cond_dim, past_dim
        self.noise_dim = frame_length if noise_dim is None else noise_dim

    @abstractmethod
    def sample(self, cond: Tensor, options: SamplingOptions, noise: Tensor | torch.Generator) -> Tensor:
        """Draws one frame for each context, without gradients; torch's global generator is not touched.

        Args:
            cond: (..., C + P).
            options: how.
            noise: (..., noise_dim) standard normal values, or the generator that they are drawn from.

        Returns:
            (..., K), in the parameters' precision (float32), under autocast too.
        """

    @torch.no_grad()
    def inpaint(
        self, cond: Tensor, options: SamplingOptions, generator: torch.Generator, frames: Tensor, given: Tensor
    ) -> Tensor:
        """Draws frames of which some values are given.

        Here what is drawn knows nothing of them; a density that can draw given both sides has a method of its own.

        Args:
            cond: (..., C + P).
            options: as of `sample`.
            generator: of all noise.
            frames: (..., K), right where they are given.
            given: (K,) True there.

        Returns:
            (..., K), what is given as it was.
        """
        drawn = self.sample(cond, options, generator)
        return torch.where(given, frames.to(drawn), drawn)

    def draw_noise(self, cond: Tensor, noise: Tensor | torch.Generator) -> Tensor:
        """The noise that `sample` takes: as it is given, or drawn; (..., noise_dim) for cond (..., C + P)."""
        shape = (*cond.shape[:-1], self.noise_dim)
        if isinstance(noise, torch.Generator):
            # Drawn where the generator is, so that a seed gives the same noise on every device.
            noise = torch.randn(shape, generator=noise, device=noise.device, dtype=self._dtype)
        assert noise.shape == shape, (noise.shape, shape)
        return noise.to(cond.device, self._dtype)

    def _pack(self, values: Tensor) -> Tensor:
        """(..., D) in any precision as (N, D) in the parameters' precision."""
        return values.reshape(-1, values.shape[-1]).to(self._dtype)

    @property
    def _dtype(self) -> torch.dtype:
        return next((p.dtype for p in self.parameters() if p.is_floating_point()), torch.float32)


class Density(Sampler):
    """Conditional density p(frame | cond) of one frame; frames are independent given cond.

    A subclass has `sample` and `log_prob`; `loss` and `initialize` where they are not the default.

    Attributes:
        likelihood: what `log_prob` gives: the exact log-density, a lower bound of it, an unbiased or consistent
            estimate, or none at all (then it raises NotImplementedError, and only `loss` trains).
        loss_is_likelihood: `loss` is what `likelihood` says of `log_prob`; otherwise it is something else that trains.
    """

    loss_is_likelihood: bool = True

    likelihood: Literal["exact", "bound", "estimate", "none"] = "exact"

    @abstractmethod
    def log_prob(self, frames: Tensor, cond: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Log-density of frames, in nats summed over the frame.

        Args:
            frames: (..., K).
            cond: (..., C + P), the same leading dimensions.
            generator: of the noise that a bound or an estimate needs; None: torch's default one.

        Returns:
            (...), in the parameters' precision (float32), under autocast too.
        """

    def loss(self, frames: Tensor, cond: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """What training minimises, in nats: (..., K), (..., C + P) -> (...); arguments as of `log_prob`."""
        return -self.log_prob(frames, cond, generator)

    def initialize(self, frames: Tensor, cond: Tensor) -> None:
        """Sets what is initialised from data: packed frames (N, K) and cond (N, C + P); a second call does nothing."""
        return  # Most densities have nothing of the kind.


class Layer(Protocol):
    """An invertible layer of a flow."""

    def __call__(self, x: Tensor, cond: Any) -> tuple[Tensor, Tensor]:
        """Data to noise: x (N, ...) to z and log-determinants (N,), nats summed over all dimensions but the first."""

    def inverse(self, z: Tensor, cond: Any) -> Tensor:
        """Noise to data."""


class Compose:
    """Invertible layers one after the other, each with what it is conditioned on: itself an invertible map.

    It is made for one context, to be used once, and holds no parameters of its own; those of the layers belong to the
    flow.

    Args:
        layers: from data to noise; with each, what it takes for `cond`.
    """

    def __init__(self, layers: Iterable[tuple[Layer, Any]]) -> None:
        self.layers = layers

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Data to noise: x (N, ...) to z and the log-determinants (N,)."""
        log_det = x.new_zeros(x.shape[0])
        for layer, cond in self.layers:
            x, layer_log_det = layer(x, cond)
            log_det = log_det + layer_log_det
        return x, log_det

    def initialize(self, x: Tensor) -> None:
        """Lets each layer that has an `initialize` set itself from the data that reach it."""
        for layer, cond in self.layers:
            if hasattr(layer, "initialize"):
                layer.initialize(x)
            x, _ = layer(x, cond)

    def inverse(self, z: Tensor) -> Tensor:
        """Noise to data."""
        for layer, cond in reversed(list(self.layers)):
            z = layer.inverse(z, cond)
        return z


class Flow(Density):
    """A density whose frames are an invertible function, given cond, of standard normal noise.

    A subclass says in `layers` what it is composed of.
    """

    @abstractmethod
    def layers(self, cond: Tensor) -> Iterable[tuple[Layer, Any]]:
        """The layers from data to noise for contexts (N, C + P), each with its `cond`, as `Compose` takes them."""

    def forward(self, frames: Tensor, cond: Tensor) -> tuple[Tensor, Tensor]:
        """Data to noise: (N, K), (N, C + P) -> (N, K) and the log-determinants (N,)."""
        return Compose(self.layers(cond)).forward(frames)

    def inverse(self, noise: Tensor, cond: Tensor) -> Tensor:
        """Noise to data: (N, K), (N, C + P) -> (N, K)."""
        return Compose(self.layers(cond)).inverse(noise)

    def log_prob(self, frames: Tensor, cond: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """See `Density.log_prob`."""
        assert frames.shape == (*cond.shape[:-1], self.frame_length), (frames.shape, cond.shape)
        # Log-determinants sum thousands of terms: bf16 would lose them.
        with torch.autocast(frames.device.type, enabled=False):
            noise, log_det = self.forward(self._pack(frames), self._pack(cond))
            log_prob = log_det - 0.5 * noise.square().sum(-1) - 0.5 * math.log(2 * math.pi) * self.frame_length
        return log_prob.reshape(cond.shape[:-1])

    @torch.no_grad()
    def sample(self, cond: Tensor, options: SamplingOptions, noise: Tensor | torch.Generator) -> Tensor:
        """See `Sampler.sample`."""
        with torch.autocast(cond.device.type, enabled=False):
            noise = self.draw_noise(cond, noise) * options.temperature
            frames = self.inverse(self._pack(noise), self._pack(cond))
        return frames.reshape(*cond.shape[:-1], self.frame_length)
