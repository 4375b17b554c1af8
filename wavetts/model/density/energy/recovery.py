"""Diffusion recovery likelihood (Gao et al. 2021, 2012.08125): an energy for each level of noise."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavetts.config import AudioConfig, DensityConfig, opt
from wavetts.errors import UserError
from wavetts.model.density.base import Compose, Density, Layer, SamplingOptions
from wavetts.model.density.diffusion.standardised import normal, option_rows
from wavetts.model.density.energy.annealing import annealed_log_weights
from wavetts.model.density.energy.importance import check_sample_size, normaliser
from wavetts.model.density.energy.langevin import split_noise
from wavetts.model.density.energy.levels import Levels, recovery_chain
from wavetts.model.density.energy.objectives import LogDensity, contrastive_divergence
from wavetts.model.density.energy.tilt import CHUNK, MOST_VALUES
from wavetts.model.density.transforms import DCT, ConditionalAffine
from wavetts.model.layers import module_list

# Of the steps of annealed importance sampling, relative to the noise at a level, for one value.
ANNEALING_SIZE = 0.8
# Of the power iteration of a spectral norm.
ITERATIONS = 10


@dataclass
class RecoveryConfig(DensityConfig):
    """Energies trained by recovery likelihood, of what an affine layer over the DCT leaves."""

    kind: Literal["recovery"] = opt("recovery", "an energy for each level of noise, drawn from by Langevin dynamics")
    hidden_dim: int = opt(256, "width of the energy's network", at_least=1)
    num_layers: int = opt(3, "its residual layers", at_least=0)
    num_levels: int = opt(6, "T, levels of noise", at_least=2)
    gamma_min: float = opt(-4.0, "log of noise over signal at the first level", below=0)
    gamma_max: float = opt(5.0, "the same at the last level, which is taken for standard normal", above=0)
    chain_steps: int = opt(30, "Langevin steps at each level", at_least=1, at_most=1000)
    chain_size: float = opt(0.4, "b, their size relative to the level's noise", above=0, at_most=1)
    transform: Literal["dct", "none"] = opt("dct", "what the affine layer and the energy see")
    num_cepstra: int = opt(0, "smooth functions of frequency in the affine layer's log-scales", at_least=0)
    affine_bound: float = opt(6.0, "bound of the affine layer's log-scale", above=0)
    likelihood_draws: int = opt(64, "chains of annealed importance sampling for each context", at_least=2)
    annealing_steps: int = opt(10, "their steps from level to level", at_least=1)
    least_sample_size: float = opt(
        8.0, "no likelihood is given where the effective sample size of those is smaller", at_least=1
    )

    def check_length(self, length: int, field: str, section: str) -> None:
        """See `DensityConfig.check_length`."""
        if length > MOST_VALUES:
            raise UserError(f"{field}: {length} values are too many for a recovery likelihood; at most {MOST_VALUES}")

    def build(self, length: int, cond_dim: int, audio: AudioConfig) -> Recovery:
        """See `DensityConfig.build`."""
        return Recovery(self, length, cond_dim)


def spectrally_normed(weight: Tensor) -> Tensor:
    """A matrix over its largest singular value (Miyato et al. 2018), found by a few power iterations from its own rows.

    A function of the matrix alone: there is no state, and training and evaluation compute the same.
    """
    with torch.no_grad():
        left = F.normalize(weight.sum(1), dim=0)
        for _ in range(ITERATIONS):
            left = F.normalize(weight @ (left @ weight), dim=0)
    return weight / torch.linalg.vector_norm(left @ weight)


class Prepared(NamedTuple):
    """What an energy needs besides values and levels, computed once for a whole chain."""

    context: Tensor  # (N, H)
    weights: list[Tensor]  # of the layers, of spectral norm 1


class EnergyNetwork(nn.Module):
    """f(y, t, c), zero at the start, of linear growth in y: with a Gaussian's energy beside it there is a normaliser.

    Args:
        length: n, values.
        cond_dim: C, width of the context.
        width: H.
        num_layers: residual layers.
        num_levels: T.
    """

    def __init__(self, length: int, cond_dim: int, width: int, num_layers: int, num_levels: int) -> None:
        super().__init__()
        self.input = nn.Linear(length, width, bias=False)
        # Of spectral norm 1 alone, each of many units would see so little of few values that none of them bends.
        self.gain = math.sqrt(width / length)
        self.level = nn.Embedding(num_levels, width)
        self.cond_linear = nn.Linear(cond_dim, width)
        self.layers = module_list(nn.Linear(width, width) for _ in range(num_layers))
        self.output = nn.Linear(width, 1, bias=False)
        nn.init.zeros_(self.output.weight)

    def prepare(self, cond: Tensor) -> Prepared:
        """Contexts (N, C), projected and made as large as the values beside them, and the normed matrices."""
        hidden = self.cond_linear(cond)
        weights = [spectrally_normed(layer.weight) for layer in (self.input, *self.layers)]
        return Prepared(F.layer_norm(hidden, hidden.shape[-1:]), weights)

    def forward(self, y: Tensor, t: Tensor, prepared: Prepared) -> Tensor:
        """Values (N, n), levels (N,) or (): (N,)."""
        first, *others = prepared.weights
        hidden = self.gain * F.linear(y, first) + self.level(t) + prepared.context
        for layer, weight in zip(self.layers, others, strict=True):
            hidden = hidden + F.linear(F.silu(hidden), weight, layer.bias)
        return self.output(F.silu(hidden))[..., 0]


class Recovery(Density):
    """A density of n values by the energies of T levels of noise.

    Values are standardised by an affine layer over the DCT, given the context and trained by its own Gaussian
    likelihood. Of standardised x_t the level's energy is F(x) = f(a x, t, c) / b^2 - |x|^2 / 2 with a = sqrt(1 - s^2):
    a change of what is right for standard normal data. f / b^2, and not f, is what the chain of step size b s follows,
    and so what the normalised density has in its exponent. `log_prob` estimates log Z(c) of level 0 by annealed
    importance sampling, from the standard normal down the levels.

    Args:
        config: its options.
        length: n.
        cond_dim: C, width of the context.
    """

    likelihood = "estimate"
    loss_is_likelihood = False
    follows_gradients = True

    def __init__(self, config: RecoveryConfig, length: int, cond_dim: int) -> None:
        super().__init__(length, cond_dim, noise_dim=length * (1 + config.num_levels * config.chain_steps))
        self.levels = Levels(config.num_levels, config.gamma_min, config.gamma_max)
        self.steps, self.size = config.chain_steps, config.chain_size
        self.dct = DCT(length) if config.transform == "dct" else None
        self.affine = ConditionalAffine(length, cond_dim, config.affine_bound, config.num_cepstra)
        self.network = EnergyNetwork(length, cond_dim, config.hidden_dim, config.num_layers, config.num_levels)
        self.draws, self.annealing_steps = config.likelihood_draws, config.annealing_steps
        self.least_sample_size = config.least_sample_size
        # Of the last `log_prob`, see `importance.sample_sizes`.
        self.sample_size: Tensor | None = None

    def layers(self, cond: Tensor) -> Iterable[tuple[Layer, Any]]:
        """From values (N, n) to standardised ones, given contexts (N, C), as `Compose` takes them."""
        return [(self.affine, cond)] if self.dct is None else [(self.dct, None), (self.affine, cond)]

    def energy(self, y: Tensor, t: Tensor, known: Prepared) -> Tensor:
        """F of y = a x (N, n) at levels (N,) or (), with N `prepare`d contexts: (N,) nats."""
        scale = self.levels.scale[t][..., None]
        return self.network(y, t, known) / self.size**2 - 0.5 * (y / scale).square().sum(-1)

    def loss(self, frames: Tensor, cond: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """See `Density.loss`: the affine layer's Gaussian loss, and F of the chain's draws over F of the data.

        The gradient of the second is that of the recovery likelihood at one random level of each frame.
        """
        with torch.autocast(frames.device.type, enabled=False):
            packed = self._pack(cond)
            x, log_det = Compose(self.layers(packed)).forward(self._pack(frames))
            gaussian = 0.5 * x.square().sum(-1) + 0.5 * math.log(2 * math.pi) * self.frame_length - log_det
            x = x.detach()
            device = x.device if generator is None else generator.device
            t = torch.randint(len(self.levels), (len(x),), generator=generator, device=device).to(x.device)
            y, noisy = self.levels.pair(x, t, normal(x, generator), normal(x, generator))
            noises = [normal(x, generator) for _ in range(self.steps)]
            drawn = self._descend(noisy, t, packed, noises)
            known = self.network.prepare(packed)
            contrast = contrastive_divergence(self.energy(y, t, known), self.energy(drawn, t, known))
        return (gaussian + contrast).reshape(cond.shape[:-1])

    def _descend(self, noisy: Tensor, t: Tensor, cond: Tensor, noises: Iterable[Tensor]) -> Tensor:
        """Draws (N, n) of y_t given x_{t+1} (N, n) and packed contexts (N, C), at levels (N,) or ()."""
        # Made anew where gradients are to be had, also in inference mode.
        with torch.inference_mode(False), torch.no_grad():
            noisy, t, known = noisy.clone(), t.clone(), self.network.prepare(cond.clone())
            std = self.levels.std[t][..., None]
        return recovery_chain(lambda y: self.energy(y, t, known), noisy, std, self.size, noises)

    @torch.no_grad()
    def sample(self, cond: Tensor, options: SamplingOptions, noise: Tensor | torch.Generator) -> Tensor:
        """See `Sampler.sample`: from noise down the levels, by a chain at each."""
        with torch.autocast(cond.device.type, enabled=False):
            packed, temperature = self._pack(cond), option_rows(options.temperature, cond)
            noise = self._pack(self.draw_noise(cond, noise))
            x, *later = (part * temperature for part in split_noise(noise, self.frame_length))
            for number in reversed(range(len(self.levels))):
                noises, later = later[: self.steps], later[self.steps :]
                t = torch.tensor(number, device=x.device)
                x = self._descend(x, t, packed, noises) / self.levels.scale[number]
            return Compose(self.layers(packed)).inverse(x).reshape(*cond.shape[:-1], self.frame_length)

    @torch.no_grad()
    def log_weights(self, cond: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Of packed contexts (N, C), log weights (N, draws) of Z(c) of level 0 over that of the standard normal."""
        parts = []
        for some in cond.split(max(1, CHUNK // self.draws)):
            start = normal(some.new_empty(len(some) * self.draws, self.frame_length), generator)
            with torch.inference_mode(False):
                known = self.network.prepare(some.clone())
                known = known._replace(context=known.context.repeat_interleave(self.draws, 0))
                path = [lambda x: -0.5 * x.square().sum(-1), *(self._marginal(t, known) for t in self._down())]
            sizes = [self._annealing_size(t) for t in self._down()]
            found = annealed_log_weights(
                path,
                start,
                sizes,
                self.annealing_steps,
                lambda like: normal(like, generator),
                lambda like: torch.special.ndtr(normal(like, generator)),
            )
            parts.append(found.view(len(some), self.draws))
        return torch.cat(parts)

    def _down(self) -> Iterable[int]:
        return reversed(range(len(self.levels)))

    def _marginal(self, t: int, known: Prepared) -> LogDensity:
        """log of the unnormalised density of x_t, with `prepare`d contexts."""
        scale, level = float(self.levels.scale[t]), torch.tensor(t, device=known.context.device)
        return lambda x: self.energy(scale * x, level, known)

    def _annealing_size(self, t: int) -> float:
        """Of steps at a level: the noise of the next one says how fine the density is; less for many values."""
        noise = float((1 - self.levels.signal[t + 1].square()).sqrt())
        return ANNEALING_SIZE * noise * self.frame_length ** (-1 / 6)

    @torch.no_grad()
    def log_prob(self, frames: Tensor, cond: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """See `Density.log_prob`: an estimate, high by about half of 1 / ESS - 1 / draws nats.

        Raises:
            UserError: the effective sample size (harmonic mean over the contexts) is below `least_sample_size`.
        """
        with torch.autocast(frames.device.type, enabled=False):
            packed = self._pack(cond)
            x, log_det = Compose(self.layers(packed)).forward(self._pack(frames))
            found = normaliser(self.log_weights(packed, generator))
            check_sample_size(found.sample_size, self.draws, self.least_sample_size)
            self.sample_size = found.sample_size
            energy = self._marginal(0, self.network.prepare(packed))(x)
            log_z = found.log_mean + 0.5 * math.log(2 * math.pi) * self.frame_length
            return (energy - log_z + log_det).reshape(cond.shape[:-1])
