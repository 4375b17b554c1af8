"""A flow for each part of a frame, given the samples before it: what is drawn goes on from what was drawn."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavetts.config import SubframeFlowConfig
from wavetts.model.density.base import NormalizingFlow
from wavetts.model.density.compact import CompactFlow

# Of the log-magnitudes: louder than any speech. What is drawn may go out of range, what is seen of it must not.
LOUDEST = 2.5
# Cepstral coefficients of a random filter: at 16 kHz its response is over after a millisecond or two.
FILTER_ORDER = 8


class SubframeFlow(NormalizingFlow):
    """Compact flows of J subframes, one after the other, each given cond and the last K samples before it.

    A pitch wanders, so that over 40 ms nobody can tell which phases the harmonics will have: a density of the whole
    frame soon learns how strong they are, and very late how they belong together. Over 5 ms the samples before tell
    much of it. The subframes' densities multiply to that of the frame: this is one exact flow, triangular over its
    subframes. `forward` sees all of them at once, `inverse` draws one after the other, and the decoder, whose steps are
    what training waits for, still steps by whole frames.

    Args:
        config: its options.
        frame_length: K, samples per frame, a multiple of `config.subframe_length`.
        cond_dim: C, width of the conditioning without the frame before.
    """

    def __init__(self, config: SubframeFlowConfig, frame_length: int, cond_dim: int):
        super().__init__(frame_length, cond_dim)
        self.subframe_length = config.subframe_length
        self.past_noise, self.past_gain, self.past_filter = config.past_noise, config.past_gain, config.past_filter
        width, count = config.context_dim, frame_length // config.subframe_length
        self.register_buffer("window", torch.hann_window(frame_length), persistent=False)
        self.past_linear = nn.Linear(frame_length + frame_length // 2, width, bias=False)
        self.cond_linear = nn.Linear(cond_dim, width)
        # Where in the frame a subframe is.
        self.position = nn.Parameter(0.3 * torch.randn(count, width))
        self.layer = nn.Linear(width, width)
        self.flow = CompactFlow(config, config.subframe_length, width)

    @property
    def past_dim(self) -> int:
        """See `FrameDensity.past_dim`."""
        return self.frame_length

    def _context(self, past: Tensor, bias: Tensor) -> Tensor:
        """What the flow of a subframe is conditioned on, (..., context_dim).

        Args:
            past: (..., K), the samples before the subframe.
            bias: (..., context_dim), projected cond and position.
        """
        magnitude = torch.fft.rfft(past * self.window)[..., 1:].abs()
        spectrum = (0.5 * (torch.log(magnitude + 0.1) - 1.0)).clamp(max=LOUDEST)
        level = (past.square().mean(-1, keepdim=True) + 1e-3).sqrt()
        with self.flow.couplings[0].network_precision(past):
            hidden = F.silu(self.past_linear(torch.cat([past / level, spectrum], -1)) + bias)
            hidden = hidden + F.silu(self.layer(hidden))
        return hidden.to(past.dtype)

    def _bias(self, cond: Tensor) -> Tensor:
        """cond (N, C) as (N, J, context_dim)."""
        return self.cond_linear(cond)[:, None] + self.position

    def loss(self, frames: Tensor, cond: Tensor) -> Tensor:
        """See `FrameDensity.loss`; in training mode what is seen of the past is disturbed, as drawn samples are."""
        return -self._log_prob(frames, cond, self._disturbed_forward if self.training else self.forward)

    def _disturbed_forward(self, frames: Tensor, cond: Tensor) -> tuple[Tensor, Tensor]:
        seen, cond, before = frames, *cond.split([self.cond_dim, self.frame_length], -1)
        if self.past_filter:
            before, seen = self._filtered(torch.cat([before, seen], 1)).chunk(2, 1)
        past = self._past(seen, before)
        if self.past_noise:
            # Of any strength up to this: what is clean may be trusted more than what is not.
            strength = self.past_noise * torch.rand_like(past[..., :1]) * past.std(-1, keepdim=True)
            past = past + strength * torch.randn_like(past)
        if self.past_gain:
            past = past * torch.exp(self.past_gain * torch.randn_like(past[..., :1]))
        return self._forward(frames, past, cond)

    def _filtered(self, samples: Tensor) -> Tensor:
        """Samples (N, S), each row through a random filter of its own that bends its spectral envelope.

        The past then tells pitch and phase, and only cond what sound it is. The filter is causal, else the past would
        tell of what is to come: the exponential of a causal cepstrum is (Oppenheim and Schafer 1975, on homomorphic
        signal processing).
        """
        # Long enough that the end's response does not come round to the beginning.
        length = max(2 * samples.shape[1], 1024)
        bins = torch.arange(length // 2 + 1, device=samples.device)
        angle = bins[:, None] * torch.arange(1, FILTER_ORDER + 1, device=samples.device) * (2 * math.pi / length)
        waves = torch.polar(torch.ones_like(angle), -angle).to(torch.complex(samples[:1], samples[:1]).dtype)
        cepstrum = self.past_filter * torch.randn(len(samples), FILTER_ORDER).to(samples)
        response = torch.exp(cepstrum.to(waves.dtype) @ waves.T)
        return torch.fft.irfft(torch.fft.rfft(samples, length) * response, length)[:, : samples.shape[1]]

    def _past(self, frames: Tensor, before: Tensor) -> Tensor:
        """The K samples before each subframe (N, J, K), from frames and the ones before them, (N, K) both."""
        joined = torch.cat([before, frames], 1)[:, : -self.subframe_length]
        return joined.unfold(1, self.frame_length, self.subframe_length)

    def _forward(self, frames: Tensor, past: Tensor, cond: Tensor) -> tuple[Tensor, Tensor]:
        context = self._context(past, self._bias(cond))
        z, log_det = self.flow(frames.reshape(-1, self.subframe_length), context.flatten(0, 1))
        return z.view_as(frames), log_det.view(len(frames), -1).sum(1)

    def forward(self, frames: Tensor, cond: Tensor) -> tuple[Tensor, Tensor]:
        """See `NormalizingFlow.forward`; cond is (N, C + K)."""
        cond, before = cond.split([self.cond_dim, self.frame_length], -1)
        return self._forward(frames, self._past(frames, before), cond)

    def inverse(self, noise: Tensor, cond: Tensor) -> Tensor:
        """See `NormalizingFlow.inverse`; cond is (N, C + K)."""
        cond, samples = cond.split([self.cond_dim, self.frame_length], -1)
        for part, bias in zip(noise.split(self.subframe_length, 1), self._bias(cond).unbind(1), strict=True):
            context = self._context(samples[:, -self.frame_length :], bias)
            samples = torch.cat([samples, self.flow.inverse(part, context)], 1)
        return samples[:, self.frame_length :]
