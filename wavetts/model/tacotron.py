"""The whole network: text encoder, attention decoder and frame density, and the waveform's way in and out of frames."""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavetts.config import Config
from wavetts.model.decoder import AttentionDecoder
from wavetts.model.density import build_density
from wavetts.model.encoder import build_encoder

QUANTISATION_STEP = 2.0**-15  # of 16-bit audio in [-1, 1)


class Output(NamedTuple):
    """What the network says of every frame, teacher forced."""

    cond: Tensor  # (B, T, C), as the density takes it
    stop_logits: Tensor  # (B, T)
    alignment: Tensor  # (B, T, I)


class WaveTacotron(nn.Module):
    """Wave-Tacotron (Weiss et al. 2021): text to waveform frames, trained by maximum likelihood alone.

    The density models the pre-emphasised waveform scaled to unit variance, cut into frames of K samples; pre-emphasis
    preserves volume and the scale's log-det is accounted for in `objective.bits_per_sample`.
    """

    scale: Tensor

    def __init__(self, config: Config, num_symbols: int) -> None:
        """Creates the network for `num_symbols` input symbols, of which 0 is padding."""
        super().__init__()
        self.config = config
        self.frame_length = config.audio.frame_length
        self.encoder = build_encoder(config.encoder, num_symbols)
        self.decoder = AttentionDecoder(config, self.encoder.memory_dim)
        self.density = build_density(config, self.decoder.cond_dim)
        # Set from the training data: 1 / std of the pre-emphasised waveform.
        self.register_buffer("scale", torch.ones(()))

    def forward(
        self,
        tokens: Tensor,
        token_lengths: Tensor,
        frames: Tensor,
        history: Tensor | None = None,
        prior: Tensor | None = None,
    ) -> Output:
        """Conditions of all frames, teacher forced.

        Args:
            tokens: (B, I) int64, 0 at padding.
            token_lengths: (B,).
            frames: (B, T, K), as `to_frames` makes them.
            history: (B, T, K), the frames that are fed back where they differ from `frames`.
            prior: (B, T, I), an alignment prior (`attention.diagonal_prior`).
        """
        memory = self.encoder(tokens, token_lengths)
        keys = self.decoder.attention.prepare(memory, token_lengths)
        cond, stop_logits, alignment = self.decoder(frames if history is None else history, keys, prior)
        past_dim = self.density.past_dim
        if past_dim:
            samples = F.pad(frames.flatten(1), (past_dim, 0))
            past = samples.unfold(1, past_dim, self.frame_length)[:, : frames.shape[1]]
            cond = self.join_past(cond, past)
        return Output(cond, stop_logits, alignment)

    @property
    def past_length(self) -> int:
        """How many samples of a frame's past its making needs: all of the frame before, or more for some densities."""
        return max(self.frame_length, self.density.past_dim)

    def join_past(self, cond: Tensor, past: Tensor) -> Tensor:
        """The density's cond: the decoder's (..., C) and the last P samples of the past.

        Args:
            cond: (..., C).
            past: (..., S), the samples before the frame, silence before the first; S >= P, the density's `past_dim`.

        Returns:
            (..., C + P).
        """
        if not self.density.past_dim:
            return cond
        return torch.cat([cond, past[..., -self.density.past_dim :]], dim=-1)

    def to_frames(self, waveform: Tensor, noise: bool) -> Tensor:
        """Cuts a waveform into the frames that the density models.

        Args:
            waveform: (B, S) in [-1, 1), S a multiple of K.
            noise: uniform dequantisation of the 16-bit steps, and the declared `audio.dither`.

        Returns:
            (B, T, K), pre-emphasised and scaled.
        """
        assert waveform.shape[1] % self.frame_length == 0, "waveform holds whole frames"
        if noise:
            waveform = waveform + QUANTISATION_STEP * torch.rand_like(waveform)
        emphasised = waveform - self.config.audio.preemphasis * F.pad(waveform[:, :-1], (1, 0))
        signal = emphasised * self.scale
        if noise and self.config.audio.dither:
            signal = signal + self.config.audio.dither * torch.randn_like(signal)
        return signal.view(len(waveform), -1, self.frame_length)

    def to_waveform(self, frames: Tensor, last_sample: Tensor | None = None) -> Tensor:
        """Undoes scale and pre-emphasis; the inverse of `to_frames` without noise.

        Args:
            frames: (B, T, K).
            last_sample: (B,), the waveform's sample before these frames (zeros at the start), so that a stream may be
                decoded piece by piece.

        Returns:
            (B, T * K).
        """
        samples = (frames / self.scale).flatten(1)
        if last_sample is None:
            last_sample = samples.new_zeros(len(samples))
        return deemphasise(samples, self.config.audio.preemphasis, last_sample)

    def num_parameters(self) -> dict[str, int]:
        """Parameters of each part."""
        parts = {"encoder": self.encoder, "decoder": self.decoder, "density": self.density}
        return {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}


def deemphasise(samples: Tensor, coefficient: float, last_sample: Tensor) -> Tensor:
    """The recursive filter x[n] = y[n] + a x[n-1], in blocks that are matrix products.

    Args:
        samples: y, (B, S).
        coefficient: a.
        last_sample: x[-1], (B,).

    Returns:
        x, (B, S).
    """
    if coefficient == 0:
        return samples
    length, block = samples.shape[1], 160
    padded = F.pad(samples.double(), (0, -length % block)).view(len(samples), -1, block)
    response, decay = _deemphasis_filter(coefficient, block, samples.device)
    within = padded @ response
    carry, blocks = last_sample.double()[:, None], []
    for block_within in within.unbind(1):
        blocks.append(torch.addcmul(block_within, carry, decay))
        carry = blocks[-1][:, -1:]
    return torch.cat(blocks, dim=1)[:, :length].to(samples.dtype)


@functools.lru_cache(maxsize=8)
def _deemphasis_filter(coefficient: float, block: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Response within a block, x = y @ response (block, block), and what is left of the sample before it (block,).

    Kept, as making them would take longer than a frame's filtering.
    """
    # Outside of inference mode, or no later caller could differentiate through the filter.
    with torch.inference_mode(False):
        lag = torch.arange(block, device=device, dtype=torch.float64)
        # x[i] = sum_j a^(i-j) y[j].
        response = torch.tril(coefficient ** (lag[:, None] - lag[None, :]).clamp_min(0))
        return response.t(), coefficient ** (lag + 1)
