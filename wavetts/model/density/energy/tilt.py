"""A tilted density: q(y | c) exp s(y, c) / Z(c), an energy on top of a frozen exact density.

q keeps its sampler and its normaliser, and the score s only has to say where q is wrong. Exponential tilting of a
generative model is in Song and Kingma 2021 (section 5.2) and, over flows, in Nijkamp et al. 2022 (2006.06897).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Literal

import torch
from torch import Tensor, nn

from wavetts.config import AudioConfig, DensityConfig, opt
from wavetts.errors import UserError
from wavetts.model.density.base import Density, Flow, SamplingOptions
from wavetts.model.density.compact import CompactFlowConfig
from wavetts.model.density.diffusion.standardised import normal, option_rows
from wavetts.model.density.energy import objectives
from wavetts.model.density.energy.heads import Augmentation, JointScore, Score, dot_product, log_normaliser_head
from wavetts.model.density.energy.importance import Normaliser, check_sample_size, normaliser, resample
from wavetts.model.density.energy.langevin import noise_space_langevin, split_noise

# Most values of a tilted density: importance sampling of many is hopeless, and they are what a subframe has.
MOST_VALUES = 160
# Draws or chains at once when a normaliser is estimated, for the memory.
CHUNK = 8192
# Share of the persistent chains that start anew at each step (Du and Mordatch 2019, section 3.2).
RESTARTS = 0.05


@dataclass
class TiltConfig(DensityConfig):
    """An energy on top of a frozen exact density of a subframe."""

    kind: Literal["tilt"] = opt("tilt", "a frozen exact density times exp of a learned score")
    score: Literal["network", "dot"] = opt("network", "s: a network of value and context, or f(value) . g(context)")
    num_features: int = opt(16, "dot: M, features of value and context", at_least=1)
    augmentation: Augmentation = opt("none", "dot: f as it is, softplus of it, or f and its squares")
    hidden_dim: int = opt(128, "width of the score's networks", at_least=1)
    num_layers: int = opt(2, "residual layers of each of them", at_least=0)
    objective: Literal["ranking", "binary", "denoising", "sliced", "langevin"] = opt(
        "ranking",
        "of training: ranking or binary noise contrastive estimation, denoising or sliced score matching, or maximum "
        "likelihood with draws by Langevin dynamics",
    )
    num_negatives: int = opt(8, "ranking, binary: draws of the frozen density for each value", at_least=1)
    noise: float = opt(0.1, "denoising: std of the noise; values have about unit variance", above=0)
    langevin_steps: int = opt(10, "of a chain in the noise space of the frozen flow", at_least=1, at_most=1000)
    langevin_size: float = opt(0.1, "delta of its steps", above=0, below=2)
    num_chains: int = opt(0, "langevin: chains that go on from step to step; 0: each starts at a draw", at_least=0)
    sampler: Literal["resample", "langevin"] = opt(
        "resample", "how values are drawn: the best of some draws, by lot; or a chain in the flow's noise space"
    )
    num_candidates: int = opt(16, "resample: draws of the frozen density that one is taken of", at_least=1)
    likelihood_draws: int = opt(256, "draws of the frozen density for the normaliser of each context", at_least=256)
    least_sample_size: float = opt(
        16.0, "no likelihood is given where the effective sample size of those is smaller", at_least=1
    )
    inner: DensityConfig = opt(CompactFlowConfig, "the frozen density")

    @property
    def tilts(self) -> bool:
        """See `DensityConfig.tilts`."""
        return True

    def check_length(self, length: int, field: str, section: str) -> None:
        """See `DensityConfig.check_length`."""
        if length > MOST_VALUES:
            raise UserError(f"{field}: {length} values are too many for a tilt; the most is {MOST_VALUES}")
        self.inner.check_length(length, field, f"{section}.inner")

    def build(self, length: int, cond_dim: int, audio: AudioConfig) -> Tilt:
        """See `DensityConfig.build`."""
        return Tilt(self, length, cond_dim, audio)


class Tilt(Density):
    """p(y | c) = q(y | c) exp s(y, c) / Z(c), with q frozen.

    The score is zero at the start, where p is q. `log_prob` estimates log Z(c) = log E_q[exp s] by importance sampling.
    `loss` is what the objective minimises, in nats for ranking, binary and langevin, and no likelihood.

    Args:
        config: its options.
        length: n, values.
        cond_dim: C, width of the context.
        audio: for q.

    Raises:
        UserError: q's likelihood is not exact, or q is no flow where chains in its noise space are asked for.
    """

    likelihood = "estimate"
    loss_is_likelihood = False
    chains: Tensor  # (num_chains, n)

    def __init__(self, config: TiltConfig, length: int, cond_dim: int, audio: AudioConfig) -> None:
        inner = config.inner.build(length, cond_dim, audio)
        if inner.likelihood != "exact":
            raise UserError(f"density: a tilt is of an exact density; {config.inner.kind}'s likelihood is not exact")
        if "langevin" in (config.objective, config.sampler) and not isinstance(inner, Flow):
            raise UserError(f"density: chains need the noise space of a flow, which {config.inner.kind} is not")
        draws = (1 + config.langevin_steps) * length
        if config.sampler == "resample":
            draws = config.num_candidates * inner.noise_dim + 1
        super().__init__(length, cond_dim, inner.past_dim, draws)
        self.inner = inner.requires_grad_(False).eval()
        seen = cond_dim + inner.past_dim
        self.score: Score = (
            JointScore(length, seen, config.hidden_dim, config.num_layers)
            if config.score == "network"
            else dot_product(
                length, seen, config.num_features, config.hidden_dim, config.num_layers, config.augmentation
            )
        )
        self.objective, self.num_negatives, self.noise = config.objective, config.num_negatives, config.noise
        self.log_z = log_normaliser_head(seen) if config.objective == "binary" else None
        self.steps, self.size = config.langevin_steps, config.langevin_size
        self.sampler, self.num_candidates = config.sampler, config.num_candidates
        self.follows_gradients = config.sampler == "langevin"
        self.draws, self.least_sample_size = config.likelihood_draws, config.least_sample_size
        if config.objective == "langevin":
            self.register_buffer("chains", torch.randn(config.num_chains, length))
        # Of the last `log_prob`, see `importance.sample_sizes`.
        self.sample_size: Tensor | None = None

    def train(self, mode: bool = True) -> Tilt:
        """As of a module; q stays in evaluation mode, as it is frozen."""
        super().train(mode)
        self.inner.eval()
        return self

    def trained_parts(self) -> list[nn.Module]:
        """All but q."""
        return [self.score] if self.log_z is None else [self.score, self.log_z]

    @torch.no_grad()
    def draw(self, cond: Tensor, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Draws of q for packed contexts (N, C + P): (N, count, n)."""
        noise = normal(cond.new_empty(len(cond), count, self.inner.noise_dim), generator)
        if isinstance(self.inner, Flow) and self.inner.broadcasts:
            return self.inner.inverse(noise, cond[:, None])
        return self.inner.sample(_repeated(cond, count), SamplingOptions(), noise)

    @torch.no_grad()
    def log_normaliser(self, cond: Tensor, generator: torch.Generator | None = None) -> Normaliser:
        """log Z(c) of packed contexts (N, C + P), each from `likelihood_draws` draws of q."""
        parts = []
        for some in cond.split(max(1, CHUNK // self.draws)):
            context = self.score.prepare(some)[:, None]
            parts.append(normaliser(self.score(self.draw(some, self.draws, generator), context)))
        return Normaliser(*(torch.cat(column) for column in zip(*parts, strict=True)))

    @torch.no_grad()
    def log_prob(self, frames: Tensor, cond: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """See `Density.log_prob`: an estimate, high by about half of 1 / ESS - 1 / draws nats.

        Raises:
            UserError: the effective sample size (harmonic mean over the contexts) is below `least_sample_size`.
        """
        with torch.autocast(frames.device.type, enabled=False):
            values, packed = self._pack(frames), self._pack(cond)
            found = self.log_normaliser(packed, generator)
            check_sample_size(found.sample_size, self.draws, self.least_sample_size)
            self.sample_size = found.sample_size
            tilt = self.score(values, self.score.prepare(packed)) - found.log_mean
            return (self.inner.log_prob(values, packed) + tilt).reshape(cond.shape[:-1])

    def loss(self, frames: Tensor, cond: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """See `Density.loss`: the objective; gradients reach the context through the score alone."""
        with torch.autocast(frames.device.type, enabled=False):
            values, packed = self._pack(frames), self._pack(cond)
            return getattr(self, f"_{self.objective}")(values, packed, generator).reshape(cond.shape[:-1])

    def _against_draws(self, values: Tensor, cond: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Scores of the values (N,) and of draws of q (N, num_negatives)."""
        context = self.score.prepare(cond)
        others = self.draw(cond.detach(), self.num_negatives, generator)
        return self.score(values, context), self.score(others, context[:, None])

    def _ranking(self, values: Tensor, cond: Tensor, generator: torch.Generator | None) -> Tensor:
        return objectives.ranking_nce(*self._against_draws(values, cond, generator))

    def _binary(self, values: Tensor, cond: Tensor, generator: torch.Generator | None) -> Tensor:
        assert self.log_z is not None
        true, others = self._against_draws(values, cond, generator)
        log_z = self.log_z(cond)
        return objectives.binary_nce(true - log_z[:, 0], others - log_z)

    def _denoising(self, values: Tensor, cond: Tensor, generator: torch.Generator | None) -> Tensor:
        noise = normal(values, generator)
        return self._matched(
            values, cond, lambda p, y: objectives.denoising_score_matching(p, y, self.noise, noise.clone())
        )

    def _sliced(self, values: Tensor, cond: Tensor, generator: torch.Generator | None) -> Tensor:
        probe = normal(values, generator)
        return self._matched(values, cond, lambda p, y: objectives.sliced_score_matching(p, y, probe.clone()))

    def _matched(
        self, values: Tensor, cond: Tensor, match: Callable[[objectives.LogDensity, Tensor], Tensor]
    ) -> Tensor:
        """A score matching's loss (N,) of log q + s."""
        trains = torch.is_grad_enabled()
        with objectives.gradients():
            cond = cond.clone()
            context, known = self.score.prepare(cond), cond.detach()
            loss = match(lambda y: self.inner.log_prob(y, known) + self.score(y, context), values.clone())
        return loss if trains else loss.detach()

    def _langevin(self, values: Tensor, cond: Tensor, generator: torch.Generator | None) -> Tensor:
        chains, fresh = self._starts(values, generator)
        noises = [normal(values, generator) for _ in range(self.steps)]
        negatives = self._chain(torch.cat([chains, fresh]), cond.detach(), noises)
        if len(chains) and self.training:
            self.chains[: len(chains)] = negatives[: len(chains)]
        with torch.no_grad():
            drawn = self._flow.inverse(negatives, cond.detach())
        context = self.score.prepare(cond)
        return objectives.contrastive_divergence(self.score(values, context), self.score(drawn, context))

    def _starts(self, values: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Noise (N, n) that chains start from: the persistent ones in another order, and fresh noise for the rest.

        A context gets any of the chains: in its noise space q looks alike for all of them.
        """
        device = values.device if generator is None else generator.device
        if self.training and len(self.chains):
            order = torch.randperm(len(self.chains), generator=generator, device=device).to(values.device)
            again = torch.rand((len(order), 1), generator=generator, device=device).to(values.device) < RESTARTS
            self.chains.copy_(torch.where(again, normal(self.chains, generator), self.chains[order]))
        kept = self.chains[: len(values)].clone()
        return kept, normal(values[len(kept) :], generator)

    @property
    def _flow(self) -> Flow:
        assert isinstance(self.inner, Flow)
        return self.inner

    def _chain(self, noise: Tensor, cond: Tensor, noises: list[Tensor], temperature: float | Tensor = 1.0) -> Tensor:
        """Noise (N, n) of q after a chain that follows the score; (N, C) contexts."""
        flow = self._flow
        with objectives.gradients():
            cond = cond.detach().clone()
            context = self.score.prepare(cond).detach()
            return noise_space_langevin(
                lambda z: self.score(flow.inverse(z, cond), context), noise, self.size, noises, temperature
            )

    @torch.no_grad()
    def sample(self, cond: Tensor, options: SamplingOptions, noise: Tensor | torch.Generator) -> Tensor:
        """See `Sampler.sample`; the temperature is that of q's noise, the score is as it was trained."""
        with torch.autocast(cond.device.type, enabled=False):
            noise, cond = self.draw_noise(cond, noise), cond.to(self._dtype)
            if self.sampler == "resample":
                return self._resampled(cond, options, noise)
            first, *later = split_noise(self._pack(noise), self.frame_length)
            packed, temperature = self._pack(cond), option_rows(options.temperature, cond)
            last = self._chain(first * temperature, packed, later, temperature)
            return self._flow.inverse(last, packed).reshape(*cond.shape[:-1], self.frame_length)

    def _resampled(self, cond: Tensor, options: SamplingOptions, noise: Tensor) -> Tensor:
        noise, lot = noise[..., :-1].unflatten(-1, (self.num_candidates, -1)), noise[..., -1:]
        drawn = self.inner.sample(_repeated(cond, self.num_candidates), _repeated_options(options), noise)
        # As rows, as 8-bit products take nothing else.
        context = _repeated(self.score.prepare(self._pack(cond)), self.num_candidates).flatten(0, 1)
        scores = self.score(self._pack(drawn), context).view(drawn.shape[:-1])
        # At temperature 0 the candidates are alike but for rounding, and no lot is drawn.
        cold = torch.as_tensor(options.temperature, device=lot.device) == 0
        return resample(drawn, scores, torch.where(cold, 0.5, torch.special.ndtr(lot)))

    @torch.no_grad()
    def initialize(self, frames: Tensor, cond: Tensor) -> None:
        """See `Density.initialize`: q's."""
        self.inner.initialize(frames, cond)


def train_tilts_alone(part: nn.Module) -> None:
    """Freezes all of a model but the scores of its tilts, and puts it into the mode to train these."""
    part.eval().requires_grad_(False)
    for tilt in (module for module in part.modules() if isinstance(module, Tilt)):
        tilt.train()
        for trained in tilt.trained_parts():
            trained.requires_grad_(True)


def onto_tilts(model: nn.Module, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a model without tilts as those of one in which some of its parts are tilted.

    Args:
        model: with tilts; their scores are taken as they are.
        tensors: of a model in which each tilt's q stands where the tilt stands.
    """
    renamed, fresh = dict(tensors), model.state_dict()
    for tilt in (name for name, part in model.named_modules() if isinstance(part, Tilt)):
        inner = f"{tilt}.inner."
        for name in [name for name in renamed if name.startswith(f"{tilt}.")]:
            renamed[inner + name.removeprefix(f"{tilt}.")] = renamed.pop(name)
        renamed |= {name: fresh[name] for name in fresh if name.startswith(f"{tilt}.") and not name.startswith(inner)}
    return renamed


def _repeated(cond: Tensor, count: int) -> Tensor:
    """(..., D) to (..., count, D)."""
    return cond[..., None, :].expand(*cond.shape[:-1], count, -1)


def _repeated_options(options: SamplingOptions) -> SamplingOptions:
    """Options (..., 1) as (..., 1, 1), for draws of which each frame has several."""
    values = {field.name: getattr(options, field.name) for field in fields(options)}
    return replace(options, **{name: value[..., None] for name, value in values.items() if isinstance(value, Tensor)})
