"""Tokens to waveform frames, one frame after the other (paper, section 2.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from wavetts.model import WaveTacotron


@dataclass
class Generation:
    """What `generate` made of a batch, on the CPU."""

    waveforms: list[Tensor]  # (S_b,) float32, not clipped
    alignments: list[Tensor]  # (T_b, I_b)
    stopped: list[bool]  # the stop token ended it; False: it ran into max_frames


@torch.no_grad()
def generate_frames(
    model: WaveTacotron, tokens: Tensor, token_lengths: Tensor, seeds: Sequence[int], temperature: float
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yields frames without end; the caller decides when to stop.

    Each utterance draws its noise from its own generator on the CPU, so that it does not depend on its batch or device.

    Args:
        model: in evaluation mode.
        tokens: (B, I) int64, 0 at padding, on the model's device.
        token_lengths: (B,).
        seeds: one for each utterance.
        temperature: std of the base noise; 0 is deterministic.

    Yields:
        frame (B, K), stop probability (B,), attention weights (B, I).
    """
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    noise_dim = model.density.noise_dim
    keys = model.decoder.attention.prepare(model.encoder(tokens, token_lengths), token_lengths)
    state = model.decoder.init_state(keys)
    frame = keys.memory.new_zeros(len(tokens), model.frame_length)
    while True:
        cond, stop_logits, state = model.decoder.step(frame, keys, state)
        noise = torch.stack([torch.randn(noise_dim, generator=generator) for generator in generators])
        frame = model.density.sample(cond, temperature, noise.to(cond))
        yield frame, torch.sigmoid(stop_logits), state.attention.weights


@torch.inference_mode()
def generate(
    model: WaveTacotron,
    tokens: Tensor,
    token_lengths: Tensor,
    seeds: Sequence[int],
    max_frames: Sequence[int],
    temperature: float = 0.7,
    stop_threshold: float = 0.5,
    on_frame: Callable[[int], None] | None = None,
) -> Generation:
    """Speaks a batch to its stop tokens.

    Args:
        model: in evaluation mode.
        tokens: (B, I) int64, 0 at padding.
        token_lengths: (B,).
        seeds: one for each utterance.
        max_frames: the most frames of each utterance.
        temperature: std of the base noise; the paper's is 0.7.
        stop_threshold: an utterance ends with the first frame whose stop probability is above it.
        on_frame: called with the number of utterances still speaking after each frame.
    """
    tokens, token_lengths = tokens.to(model.scale.device), token_lengths.to(model.scale.device)
    frames, weights = [], []
    limits = torch.tensor(max_frames)
    lengths, stopped = limits.clone(), torch.zeros(len(limits), dtype=torch.bool)
    for frame, stop, weight in generate_frames(model, tokens, token_lengths, seeds, temperature):
        frames.append(frame)
        weights.append(weight)
        ends = (stop.cpu() > stop_threshold) & (len(frames) <= limits) & ~stopped
        lengths[ends] = len(frames)
        stopped |= ends
        active = int((~stopped & (limits > len(frames))).sum())
        if on_frame is not None:
            on_frame(active)
        if not active:
            break
    waveform = model.to_waveform(torch.stack(frames, 1)).float().cpu()
    alignment = torch.stack(weights, 1).cpu()
    rows = list(zip(lengths.tolist(), token_lengths.tolist(), strict=True))
    return Generation(
        [row[: count * model.frame_length] for row, (count, _) in zip(waveform, rows, strict=True)],
        [row[:count, :size] for row, (count, size) in zip(alignment, rows, strict=True)],
        stopped.tolist(),
    )
