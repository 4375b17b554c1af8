"""Alignments of frames and tokens: a diagonal prior for training, and scores of an alignment."""

from __future__ import annotations

import torch
from torch import Tensor

from wavetts.model.layers import length_mask


def diagonal_prior(token_lengths: Tensor, frame_lengths: Tensor, floor: float = 1e-3) -> Tensor:
    """The beta-binomial prior of a diagonal alignment (Shih et al. 2021, RAD-TTS, section 3.2).

    Args:
        token_lengths: (B,).
        frame_lengths: (B,).
        floor: added to every entry, so that no alignment has prior probability 0.

    Returns:
        (B, T, I) float32; zero at padding.
    """
    prior = torch.zeros(len(token_lengths), int(frame_lengths.max()), int(token_lengths.max()))
    for row, tokens, frames in zip(prior, token_lengths.tolist(), frame_lengths.tolist(), strict=True):
        t = torch.arange(1, frames + 1, dtype=torch.float64)[:, None]
        row[:frames, :tokens] = beta_binomial(tokens - 1, t, frames - t + 1).float() + floor
    return prior.to(token_lengths.device)


def beta_binomial(n: int, alpha: Tensor | float, beta: Tensor | float) -> Tensor:
    """Probabilities (..., n + 1) of the beta-binomial distribution over 0..n; alpha and beta broadcast as (..., 1)."""
    k = torch.arange(n + 1, dtype=torch.float64)
    alpha, beta = torch.as_tensor(alpha, dtype=torch.float64), torch.as_tensor(beta, dtype=torch.float64)

    def log_beta(a: Tensor, b: Tensor) -> Tensor:
        return torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)

    size = torch.tensor(float(n), dtype=torch.float64)
    choose = torch.lgamma(size + 1) - torch.lgamma(k + 1) - torch.lgamma(size - k + 1)
    return torch.exp(choose + log_beta(k + alpha, size - k + beta) - log_beta(alpha, beta))


def alignment_scores(alignment: Tensor, token_lengths: Tensor, frame_lengths: Tensor) -> dict[str, Tensor]:
    """Scores how completely and how evenly the text was read.

    Args:
        alignment: (B, T, I).
        token_lengths: (B,).
        frame_lengths: (B,).

    Returns:
        "coverage" (B,): share of tokens that have a weight of at least 0.1, or the largest weight, in some frame.
        "diagonality" (B,): 1 if the expected position moves from the first token to the last at constant speed, 0 if
        its mean distance from that line is half the text or more, linear in between.
    """
    token_lengths, frame_lengths = (
        lengths.to(alignment.device, non_blocking=True) for lengths in (token_lengths, frame_lengths)
    )
    mask = length_mask(frame_lengths, alignment.shape[1])
    alignment = alignment.detach().float() * mask[..., None]
    tokens = length_mask(token_lengths, alignment.shape[2])
    # Frames of padding have no weights and count for no token.
    peak, token = alignment.max(dim=-1)
    visits = torch.zeros_like(alignment[:, 0]).scatter_add_(1, token, (peak > 0).to(alignment))
    covered = ((visits > 0) | (alignment.amax(dim=1) >= 0.1)) & tokens
    index = torch.arange(alignment.shape[2], device=alignment.device, dtype=torch.float32)
    position = (alignment @ index) / alignment.sum(-1).clamp_min(1e-6)
    relative = position / (token_lengths[:, None] - 1).clamp_min(1)
    time = torch.arange(alignment.shape[1], device=alignment.device, dtype=torch.float32)
    error = (relative - time / (frame_lengths[:, None] - 1).clamp_min(1)).abs() * mask
    return {
        "coverage": covered.sum(1) / token_lengths,
        "diagonality": (1 - 2 * error.sum(1) / frame_lengths).clamp_min(0.0),
    }
