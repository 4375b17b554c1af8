"""The interface of a density (`Sampler`, `Density`), its sampling options, and what all normalizing flows share."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from wavetts.errors import UserError


@dataclass(frozen=True)
class SamplingOptions:
    """How frames are drawn. A number holds for all frames; a tensor (..., 1) has one value per frame.

    Attributes:
        temperature: scales the standard deviation of the base noise; 0 is deterministic, 1 draws from the density.
        guidance: w of (1 + w) x(cond) - w x(without cond), for a density that was trained for it; 0 is unguided.
        steps: of a diffusion's sampler; None: as many as its config says.
        voiced_scale: scales the temperature where the samples before are voiced (`pitch.Voicing`), in a density of
            subframes.
        augmentation: noise on the lower bands that a cascade's upper stage is shown, from 0 to 1.
    """

    temperature: float | Tensor = 1.0
    guidance: float | Tensor = 0.0
    steps: int | None = None
    voiced_scale: float | Tensor = 1.0
    augmentation: float = 0.0


class Sampler(nn.Module, ABC):
    """The part of a density that synthesis needs: drawing one frame for each context.

    Leading dimensions are free: packed valid frames (N, K) in training, (B, K) in synthesis.

    Args:
        frame_length: K, number of values that are drawn at once: the samples of a frame, or of a part of one.
        cond_dim: C, width of the context.
        past_dim: P, number of samples before the frame that the density is conditioned on as well. They are appended
            to the context, the newest last, so that cond is (..., C + P).
        noise_dim: number of standard normal values that one frame is computed from; None: K.

    Attributes:
        guides: whether `SamplingOptions.guidance` does something.
        follows_gradients: whether `sample` differentiates its networks, which 8-bit ones are not made for.
    """

    guides: bool = False
    follows_gradients: bool = False

    def __init__(self, frame_length: int, cond_dim: int, past_dim: int = 0, noise_dim: int | None = None) -> None:
        super().__init__()
        self.frame_length, self.cond_dim, self.past_dim = frame_length, cond_dim, past_dim
        self.noise_dim = frame_length if noise_dim is None else noise_dim

    @abstractmethod
    def sample(self, cond: Tensor, options: SamplingOptions, noise: Tensor | torch.Generator) -> Tensor:
        """Draws one frame for each context, without gradients; torch's global generator is not used.

        Args:
            cond: (..., C + P).
            options: temperature and the like.
            noise: (..., noise_dim) standard normal values, or the generator that draws them.

        Returns:
            (..., K), in the parameters' precision (float32), under autocast too.
        """

    def sample_clean(
        self, cond: Tensor, options: SamplingOptions, noise: Tensor | torch.Generator, dither: float
    ) -> tuple[Tensor, Tensor]:
        """`sample`, and what is to be heard of it: without the noise of this standard deviation, see `remove_dither`.

        Args:
            cond: (..., C + P).
            options: as of `sample`.
            noise: as of `sample`.
            dither: standard deviation of the white noise that training added; 0: what is drawn is heard.

        Returns:
            Twice (..., K).
        """
        frames = self.sample(cond, options, noise)
        return frames, self.remove_dither(frames, cond, dither) if dither else frames

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

    def remove_dither(self, frames: Tensor, cond: Tensor, std: float) -> Tensor:
        """What is to be heard of frames that were drawn by a model of a signal with dither; `Density` says how.

        Raises:
            NotImplementedError: this sampler cannot.
        """
        raise NotImplementedError(f"{type(self).__name__} removes no dither")

    def draw_noise(self, cond: Tensor, noise: Tensor | torch.Generator) -> Tensor:
        """The noise (..., noise_dim) of `sample` for cond (..., C + P): the given values, or drawn by the generator."""
        shape = (*cond.shape[:-1], self.noise_dim)
        if isinstance(noise, torch.Generator):
            # Drawn on the generator's device: a generator on the CPU gives the same noise whatever the model's device.
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

    A subclass defines `sample` and `log_prob`, and `loss` and `initialize` if they differ from the defaults.

    Attributes:
        likelihood: what `log_prob` returns: the exact log-density, a lower bound of it, an unbiased or consistent
            estimate, or nothing (then it raises NotImplementedError, and only `loss` is defined).
        loss_is_likelihood: whether `loss` is the negative of `log_prob`; otherwise training minimises something else.
    """

    loss_is_likelihood: bool = True

    likelihood: Literal["exact", "bound", "estimate", "none"] = "exact"

    @abstractmethod
    def log_prob(self, frames: Tensor, cond: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Log-density of frames, in nats summed over the frame.

        Args:
            frames: (..., K).
            cond: (..., C + P), the same leading dimensions.
            generator: draws the noise that a bound or an estimate needs; None: torch's default generator.

        Returns:
            (...), in the parameters' precision (float32), under autocast too.
        """

    def loss(self, frames: Tensor, cond: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The loss of training (...), in nats, by default `-log_prob`; arguments as for `log_prob`."""
        return -self.log_prob(frames, cond, generator)

    def remove_dither(self, frames: Tensor, cond: Tensor, std: float) -> Tensor:
        """The expected signal without the white noise that training added: frames + std^2 grad log p(frames).

        Exact for the density of a signal with noise (Tweedie's formula; Robbins 1956, Efron 2011), up to what a network
        sees of samples, which counts as given. What goes on from the frames goes on from them as they were drawn.

        Args:
            frames: (..., K), drawn.
            cond: (..., C + P), that they were drawn for.
            std: of the noise.

        Returns:
            (..., K).

        Raises:
            UserError: the likelihood is not exact; the noise of a bound would be louder than what is removed.
        """
        if self.likelihood != "exact":
            raise UserError(f"synthesis.remove_dither: needs an exact likelihood; this density's is {self.likelihood}")
        with torch.inference_mode(False), torch.enable_grad():
            # Copies, as those of inference mode cannot be differentiated.
            noisy, cond = frames.detach().clone().requires_grad_(), cond.detach().clone()
            (score,) = torch.autograd.grad(self.log_prob(noisy, cond).sum(), noisy)
        return frames + std**2 * score

    def log_prob_in_turn(
        self, parts: Tensor, contexts: Tensor, samples: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """`log_prob` of consecutive parts, of a density with a `past_dim`; it may share what their pasts share.

        Args:
            parts: (N, J, K).
            contexts: (N, J, C), in any precision.
            samples: (N, P + (J - 1) K), those before the first part and then those of all but the last.
            generator: as of `log_prob`.

        Returns:
            (N, J).
        """
        return self.log_prob(parts, self._with_pasts(contexts, samples), generator)

    def loss_in_turn(
        self, parts: Tensor, contexts: Tensor, samples: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """`loss` of consecutive parts; arguments as of `log_prob_in_turn`."""
        return self.loss(parts, self._with_pasts(contexts, samples), generator)

    def _with_pasts(self, contexts: Tensor, samples: Tensor) -> Tensor:
        pasts = samples.unfold(1, self.past_dim, self.frame_length)
        return torch.cat([contexts.to(samples), pasts], -1)

    def initialize(self, frames: Tensor, cond: Tensor) -> None:
        """Data-dependent initialisation from packed frames (N, K) and cond (N, C + P); by default there is none.

        Only the first call has an effect.
        """
        return


class Layer(Protocol):
    """An invertible layer of a flow."""

    def __call__(self, x: Tensor, cond: Any) -> tuple[Tensor, Tensor]:
        """Maps data to noise.

        Args:
            x: (N, ...).
            cond: what the layer is conditioned on.

        Returns:
            z (N, ...) and the log-determinants (N,), nats summed over all dimensions but the first.
        """

    def inverse(self, z: Tensor, cond: Any) -> Tensor:
        """Maps noise z (N, ...) to data x (N, ...)."""


class Compose:
    """The composition of invertible layers, each with its `cond`.

    An instance is used once, for one context. It has no parameters; those of the layers belong to the flow.

    Args:
        layers: pairs of a layer and its `cond`, in the order from data to noise.
    """

    def __init__(self, layers: Iterable[tuple[Layer, Any]]) -> None:
        self.layers = layers

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Maps data x (N, ...) to noise z and the log-determinants (N,)."""
        log_det = x.new_zeros(x.shape[0])
        for layer, cond in self.layers:
            x, layer_log_det = layer(x, cond)
            log_det = log_det + layer_log_det
        return x, log_det

    def initialize(self, x: Tensor) -> None:
        """Calls `initialize` of the layers that have one, in order, with the output of the layers before."""
        for layer, cond in self.layers:
            if initialize := getattr(layer, "initialize", None):
                initialize(x)
            x, _ = layer(x, cond)

    def inverse(self, z: Tensor) -> Tensor:
        """Maps noise z (N, ...) to data."""
        for layer, cond in reversed(list(self.layers)):
            z = layer.inverse(z, cond)
        return z


class Flow(Density):
    """A density whose frames are an invertible function, given cond, of standard normal noise.

    A subclass returns from `layers` the layers that it is composed of.

    Attributes:
        broadcasts: whether `inverse` takes noise (N, n, K) for contexts (N, 1, C), and computes what it needs of a
            context once for its n frames.
    """

    broadcasts: bool = False

    @abstractmethod
    def layers(self, cond: Tensor) -> Iterable[tuple[Layer, Any]]:
        """Pairs of a layer and its `cond`, in the order from data to noise, for contexts (N, C + P)."""

    def forward(self, frames: Tensor, cond: Tensor) -> tuple[Tensor, Tensor]:
        """Maps frames (N, K), given contexts (N, C + P), to noise (N, K) and the log-determinants (N,)."""
        return Compose(self.layers(cond)).forward(frames)

    def inverse(self, noise: Tensor, cond: Tensor) -> Tensor:
        """Maps noise (N, K), given contexts (N, C + P), to frames (N, K)."""
        return Compose(self.layers(cond)).inverse(noise)

    def log_prob(self, frames: Tensor, cond: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """See `Density.log_prob`."""
        assert frames.shape == (*cond.shape[:-1], self.frame_length), (frames.shape, cond.shape)
        # Log-determinants are sums of thousands of terms, for which bf16 is too coarse.
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
