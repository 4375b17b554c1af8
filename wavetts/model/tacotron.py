"""The network: text encoder, attention decoder and frame density; waveform to frames and back."""

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
    """The outputs of the network for all frames, teacher forced."""

    cond: Tensor  # (B, T, C + P), the density's cond
    stop_logits: Tensor  # (B, T)
    alignment: Tensor  # (B, T, I)


class WaveTacotron(nn.Module):
    """Wave-Tacotron (Weiss et al. 2021): text to waveform frames, trained by maximum likelihood alone.

    The density models frames of K samples of the waveform after pre-emphasis and scaling to unit variance. The
    log-determinant of pre-emphasis is 0; that of the scale is part of `objective.bits_per_sample`.
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
        """Computes `cond`, stop logits and alignment of all frames, teacher forced.

        Args:
            tokens: (B, I) int64, 0 at padding.
            token_lengths: (B,).
            frames: (B, T, K), the result of `to_frames`.
            history: (B, T, K), the frames that are fed back; None: `frames`.
            prior: (B, T, I), an alignment prior (`alignment.diagonal_prior`), or None.
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
        """Number of samples before a frame that are needed to generate it: K, or the density's P if that is larger."""
        return max(self.frame_length, self.density.past_dim)

    def join_past(self, cond: Tensor, past: Tensor) -> Tensor:
        """Appends the last P samples of the past to the decoder's cond; P is the density's `past_dim`.

        Args:
            cond: (..., C).
            past: (..., S), S >= P, the samples before the frame; zeros before the first frame.

        Returns:
            (..., C + P).
        """
        if not self.density.past_dim:
            return cond
        return torch.cat([cond, past[..., -self.density.past_dim :]], dim=-1)

    def to_frames(self, waveform: Tensor, noise: bool) -> Tensor:
        """Pre-emphasises and scales a waveform and cuts it into frames.

        Args:
            waveform: (B, S) in [-1, 1), S a multiple of K.
            noise: whether to add uniform dequantisation noise (one 16-bit step) and the declared `audio.dither`.

        Returns:
            (B, T, K).
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
            last_sample: (B,), the sample of the waveform before these frames, for decoding in parts; None: zeros.

        Returns:
            (B, T * K).
        """
        samples = (frames / self.scale).flatten(1)
        if last_sample is None:
            last_sample = samples.new_zeros(len(samples))
        return deemphasise(samples, self.config.audio.preemphasis, last_sample)

    def num_parameters(self) -> dict[str, int]:
        """Number of parameters of "encoder", "decoder" and "density"."""
        parts = {"encoder": self.encoder, "decoder": self.decoder, "density": self.density}
        return {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}


def deemphasise(samples: Tensor, coefficient: float, last_sample: Tensor) -> Tensor:
    """De-emphasis: the recursive filter x[n] = y[n] + a x[n-1], as matrix products over blocks.

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
    padded = samples.double()
    if length % block:
        padded = F.pad(padded, (0, -length % block))
    response, decay = _deemphasis_filter(coefficient, block, samples.device)
    within = padded.view(len(samples), -1, block) @ response
    carry, blocks = last_sample.double()[:, None], []
    for block_within in within.unbind(1):
        blocks.append(torch.addcmul(block_within, carry, decay))
        carry = blocks[-1][:, -1:]
    return torch.cat(blocks, dim=1)[:, :length].to(samples.dtype)


@functools.lru_cache(maxsize=8)
def _deemphasis_filter(coefficient: float, block: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The response within a block, x = y @ response (block, block), and the decay of the sample before it (block,).

    Cached, as computing them takes longer than filtering a frame.
    """
    # Outside of inference mode, whose tensors cannot be used where gradients are computed.
    with torch.inference_mode(False):
        lag = torch.arange(block, device=device, dtype=torch.float64)
        # x[i] = sum_j a^(i-j) y[j].
        response = torch.tril(coefficient ** (lag[:, None] - lag[None, :]).clamp_min(0))
        return response.t(), coefficient ** (lag + 1)
