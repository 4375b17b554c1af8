"""Data-dependent initialisation before the first step: the waveform's scale and the density's ActNorm layers."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from wavetts.config import Config
from wavetts.corpus.batches import Corpus, epoch_plan, split_clips
from wavetts.errors import UserError
from wavetts.model.layers import length_mask
from wavetts.model.tacotron import WaveTacotron
from wavetts.seeds import mix_seed

# Number of utterances that the waveform's scale is computed from.
SCALE_UTTERANCES = 256


def signal_std(corpus: Corpus, config: Config, manifest: Path) -> float:
    """Root mean square of the pre-emphasised waveform over a fixed random subset of the corpus.

    Args:
        corpus: the training data.
        config: for pre-emphasis and the seed.
        manifest: its file, for the message.

    Raises:
        UserError: all samples are zero.
    """
    order = sorted(range(len(corpus)), key=lambda i: mix_seed(config.train.seed, corpus.utterances[i].id))
    energy = count = 0
    for index in order[:SCALE_UTTERANCES]:
        waveform = corpus.read(index).astype(np.float64)
        energy += np.square(waveform[1:] - config.audio.preemphasis * waveform[:-1]).sum()
        count += len(waveform) - 1
    if not energy:
        raise UserError(f"{manifest}: the audio is digital silence")
    return math.sqrt(energy / count)


@torch.no_grad()
def initialize_density(model: WaveTacotron, corpus: Corpus, config: Config, world_size: int) -> None:
    """Initialises the density from the first batch over all processes; every process computes the same.

    Args:
        model: in training mode, on its device.
        corpus: the training data.
        config: the config of the run.
        world_size: number of processes that share a batch; it is computed in parts of their size, to bound the memory.
    """
    train = config.train
    first = epoch_plan(corpus, train, 0)[0]
    packed = []
    torch.manual_seed(mix_seed(train.seed, "initialize"))
    for clips in split_clips(first, train.accumulate * world_size):
        if clips:
            batch = corpus.collate(clips).to(model.scale.device)
            frames = model.to_frames(batch.waveform, noise=True)
            mask = length_mask(batch.frame_lengths, frames.shape[1], frames.device)
            frames = frames * mask[..., None]
            cond = model(batch.tokens, batch.token_lengths, frames).cond
            packed.append((frames[mask], cond[mask].float()))
    model.density.initialize(*(torch.cat(parts) for parts in zip(*packed, strict=True)))
