"""Variational diffusion (Kingma et al. 2021) as a density of n values given a context."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavetts.config import AudioConfig, opt
from wavetts.errors import UserError
from wavetts.model.density.base import Compose, Density, SamplingOptions
from wavetts.model.density.diffusion import likelihood as flow_ode
from wavetts.model.density.diffusion.bound import (
    EpsModel,
    continuous_term,
    decoder_term,
    finite_term,
    noise_error,
    prior_kl,
)
from wavetts.model.density.diffusion.denoiser import guided_eps
from wavetts.model.density.diffusion.prediction import noised, to_x
from wavetts.model.density.diffusion.samplers import METHODS, Known, Path, run, spaced_levels
from wavetts.model.density.diffusion.schedule import VarianceGate, stratified_times
from wavetts.model.density.diffusion.standardised import DenoiserConfig, StandardisedDiffusion, normal, option_rows
from wavetts.model.density.diffusion.weighting import WEIGHTINGS, AdaptiveLevels, mean_weight

# The decoder term needs its own evaluation of the network: in training it is computed for this share of the rows.
DECODER_SHARE = 1 / 8
# Langevin steps at each level in inpainting: they fit the drawn values to the known ones.
CORRECTIONS = 4
# Tags of the kinds of likelihood.
TAGS: dict[str, Literal["bound", "estimate"]] = {"bound": "bound", "ode": "estimate"}


@dataclass
class DiffusionConfig(DenoiserConfig):
    """Variational diffusion of DCT coefficients standardised by a conditional affine layer."""

    kind: Literal["diffusion"] = opt("diffusion", "DCT, conditional affine, diffusion")
    weighting: Literal["elbo", "v_mse", "eps_mse", "sigmoid", "edm_monotone"] = opt(
        "elbo", "of the levels in the loss; elbo: maximum likelihood, the others: less for the finest detail"
    )
    adaptive: bool = opt(False, "draw levels in training where the weighted loss is large")
    num_steps: int = opt(0, "T, steps of a bound in discrete time; 0: continuous time", at_least=0)
    sampler: Literal["ancestral", "ddim", "heun", "euler_maruyama", "predictor_corrector"] = opt(
        "heun", "how values are drawn"
    )
    sampler_steps: int = opt(8, "steps of the sampler", at_least=1)
    likelihood: Literal["bound", "ode"] = opt(
        "bound", "what is reported: the variational bound, or the density of the probability-flow ODE, an estimate"
    )
    likelihood_draws: int = opt(4, "draws of the level for the bound of each frame", at_least=1)
    likelihood_steps: int = opt(128, "steps of the ODE for likelihood=ode", at_least=1)

    @property
    def guidable(self) -> bool:
        """See `DensityConfig.guidable`."""
        return True

    def check(self) -> None:
        """See `Section.check`."""
        if self.weighting != "elbo" and self.schedule == "learned":
            raise UserError(
                "schedule: a learned schedule is trained on the bound: set weighting=elbo or another schedule"
            )
        if self.adaptive and (self.schedule == "learned" or self.num_steps):
            raise UserError(
                "adaptive: draws levels in continuous time: set num_steps=0 and a schedule that is not learned"
            )
        if self.num_steps and (self.weighting != "elbo" or self.schedule == "learned"):
            raise UserError(
                "num_steps: a bound in discrete time needs weighting=elbo and a schedule that is not learned"
            )

    def build(self, length: int, cond_dim: int, audio: AudioConfig) -> Diffusion:
        """See `DensityConfig.build`."""
        return Diffusion(self, length, cond_dim)


class Diffusion(StandardisedDiffusion):
    """A density trained as a denoiser at all levels of noise; its likelihood is a variational bound.

    Args:
        config: its options.
        length: n, values.
        cond_dim: C, width of the context.
    """

    def __init__(self, config: DiffusionConfig, length: int, cond_dim: int) -> None:
        draws = METHODS[config.sampler].draws * config.sampler_steps
        super().__init__(config, length, cond_dim, noise_dim=length * (1 + draws))
        self.sampler, self.sampler_steps = config.sampler, config.sampler_steps
        self.loss_is_likelihood = config.weighting == "elbo"
        self.weight, self.num_steps = WEIGHTINGS[config.weighting], config.num_steps
        self.mean_weight = mean_weight(config.weighting, config.gamma_min, config.gamma_max)
        self.levels = AdaptiveLevels(config.gamma_min, config.gamma_max) if config.adaptive else None
        self.draws, self.ode_steps = config.likelihood_draws, config.likelihood_steps
        # log of each value's variance given z_0, over that of standard normal data.
        self.decoder_log_variance = nn.Parameter(torch.zeros(length))
        self.ode, self.likelihood = config.likelihood == "ode", TAGS[config.likelihood]

    def _decoder_loss(self, x: Tensor, model: EpsModel, eps: Tensor) -> Tensor:
        """-log p(x | z_0) of standardised values (N, n) with noise (N, n).

        Only with weighting=elbo does it train the denoiser, which gives the mean; other weightings weight the lowest
        level themselves.
        """
        gamma = self.schedule.gamma_min.expand(len(x))
        z = noised(x, eps, gamma)
        mean = to_x(model(z, gamma), z, gamma, "eps")
        log_variance = F.logsigmoid(self.schedule.gamma_min) + self.decoder_log_variance
        return decoder_term(x, mean if self.loss_is_likelihood else mean.detach(), log_variance)

    def _diffusion_loss(self, x: Tensor, model: EpsModel, t: Tensor, eps: Tensor) -> Tensor:
        """One draw of the diffusion term (N,), in continuous time or in `num_steps` steps."""
        if self.num_steps:
            return finite_term(model, x, self.schedule, self.num_steps, t, eps)
        gate = VarianceGate() if torch.is_grad_enabled() else None
        return continuous_term(model, x, self.schedule, t, eps, gate)

    def loss(
        self, frames: Tensor, cond: Tensor, generator: torch.Generator | None = None, shown: Tensor | None = None
    ) -> Tensor:
        """See `Density.loss`: the weighted loss divided by the mean weight; with weighting=elbo a draw of the bound.

        If `shown` is given, the denoiser gets these contexts instead of cond. Values are still standardised by cond, so
        that predictions with and without the text are of the same quantity (see `Guided`).
        """
        with torch.autocast(frames.device.type, enabled=False):
            packed = self._pack(cond)
            values, log_det = self.standardise(self._pack(frames), packed)
            x, context = values.detach(), self.denoiser.prepare(packed if shown is None else self._pack(shown))

            def model(z: Tensor, gamma: Tensor) -> Tensor:
                return self.denoiser.eps(z, gamma, context)

            t, eps = stratified_times(len(x), x, generator), normal(x, generator)
            if self.loss_is_likelihood and self.levels is None:
                losses = self._diffusion_loss(x, model, t, eps)
            else:
                gamma, rate = self.schedule(t) if self.levels is None else self.levels(t)
                weighted = self.weight(-gamma) * noise_error(model, x, gamma, eps)
                if self.levels is not None and self.training:
                    self.levels.update(gamma, weighted.detach())
                losses = 0.5 * rate * weighted / self.mean_weight
            losses = losses + prior_kl(x, self.schedule.gamma_max)
            # Rows are as random as their times.
            some = torch.argsort(t)[: math.ceil(len(x) * DECODER_SHARE)] if self.training else slice(None)
            part, noise = context[some], normal(x, generator)[some]
            decoder = self._decoder_loss(x[some], lambda z, gamma: self.denoiser.eps(z, gamma, part), noise)
            losses = losses.index_put(
                (torch.arange(len(x), device=x.device)[some],), decoder * len(x) / len(decoder), True
            )
            losses = losses - log_det.detach() + self._gaussian_gradient(values, log_det)
        return losses.reshape(cond.shape[:-1])

    def log_prob(self, frames: Tensor, cond: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """See `Density.log_prob`: the bound, a mean over `likelihood_draws` levels, or the ODE's density."""
        if self.ode:
            return self._ode_log_prob(frames, cond, generator)
        return self.bound_draws(frames, cond, generator).mean(0)

    def bound_draws(self, frames: Tensor, cond: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draws of the bound of frames (..., n), nats: (draws, ...); the bound is their mean.

        The times of a frame are stratified: one in each of `draws` equal intervals.
        """
        with torch.autocast(frames.device.type, enabled=False):
            packed = self._pack(cond)
            x, log_det = self.standardise(self._pack(frames), packed)
            model = self.eps_model(packed)
            ends = log_det - prior_kl(x, self.schedule.gamma_max)
            draws = []
            for number in range(self.draws):
                t = (number + stratified_times(len(x), x, generator)) / self.draws
                losses = self._diffusion_loss(x, model, t, normal(x, generator))
                draws.append(ends - losses - self._decoder_loss(x, model, normal(x, generator)))
        return torch.stack(draws).reshape(self.draws, *cond.shape[:-1])

    @torch.no_grad()
    def _ode_log_prob(self, frames: Tensor, cond: Tensor, generator: torch.Generator | None) -> Tensor:
        with torch.autocast(frames.device.type, enabled=False):
            packed = self._pack(cond)
            x, log_det = self.standardise(self._pack(frames), packed)
            levels = flow_ode.ode_levels(self.schedule.gamma_min, self.schedule.gamma_max, self.ode_steps)
            # The affine layer gives the data mean 0 and variance 1, those of the final Gaussian.
            value = flow_ode.log_prob(self.eps_model(packed), x, levels, generator=generator)
        return (value + log_det).reshape(cond.shape[:-1])

    @torch.no_grad()
    def sample(
        self, cond: Tensor, options: SamplingOptions, noise: Tensor | torch.Generator, null: Tensor | None = None
    ) -> Tensor:
        """See `Sampler.sample`; with `null`, contexts (..., C) without the text, sampling is guided."""
        with torch.autocast(cond.device.type, enabled=False):
            first, *later = self._pack(self.draw_noise(cond, noise)).split(self.frame_length, -1)
            blocks = iter(later)
            return self._draw(cond, options, first, null, lambda: next(blocks)).reshape(*cond.shape[:-1], -1)

    @torch.no_grad()
    def inpaint(
        self,
        cond: Tensor,
        options: SamplingOptions,
        generator: torch.Generator,
        frames: Tensor,
        given: Tensor,
        null: Tensor | None = None,
    ) -> Tensor:
        """See `Sampler.inpaint`: by the predictor-corrector sampler; `null` as for `sample`."""
        with torch.autocast(cond.device.type, enabled=False):
            packed = self._pack(cond)
            known = self.known(packed, self._pack(frames), given)

            def draw() -> Tensor:
                return normal(known.values, generator)

            drawn = self._draw(cond, options, draw(), null, draw, known)
        return torch.where(given, frames.to(drawn), drawn.reshape(frames.shape))

    def _draw(
        self,
        cond: Tensor,
        options: SamplingOptions,
        noise: Tensor,
        null: Tensor | None,
        draw: Callable[[], Tensor],
        known: Known | None = None,
    ) -> Tensor:
        """Values (N, n) from noise (N, n)."""
        packed, temperature = self._pack(cond), option_rows(options.temperature, cond)
        steps = self.sampler_steps if options.steps is None else options.steps
        method = self.sampler if known is None else "predictor_corrector"
        if known is None and METHODS[method].draws and steps > self.sampler_steps:
            raise UserError(
                f"steps: {steps} are more than the {self.sampler_steps} of {method} that the density was made for"
            )
        model = self.eps_model(packed)
        if null is not None:
            model = guided_eps(self.denoiser, packed, self._pack(null), option_rows(options.guidance, cond))
        gammas = spaced_levels(self.schedule.gamma_min, self.schedule.gamma_max, steps).to(packed)
        corrections = 1 if known is None else CORRECTIONS
        path = Path(model, gammas, draw, temperature, known, corrections)
        return Compose(self.layers(packed)).inverse(run(method, path, noise * temperature))


def report(density: Density, what: Literal["bound", "ode"]) -> None:
    """Chooses what `log_prob` of a diffusion, or of the diffusions within a density, returns, and its tag."""
    for part in density.modules():
        if isinstance(part, Diffusion):
            part.ode = what == "ode"
        if isinstance(part, Density) and part.likelihood in TAGS.values():
            part.likelihood = TAGS[what]
