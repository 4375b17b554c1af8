"""What a model takes from its training data before the first step: the waveform's scale and the density's layers."""

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

# So many utterances give the waveform's scale.
SCALE_UTTERANCES = 256


def signal_std(corpus: Corpus, config: Config, manifest: Path) -> float:
    """Root mean square of the pre-emphasised waveform over a fixed subset of the corpus.

    Raises:
        UserError: all of it is silent.
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
    """Sets the density's data-dependent layers from the whole first joint batch, alike in every process.

    Args:
        model: in training mode, on its device.
        corpus: the training data.
        config: of the run.
        world_size: how many processes share a batch; memory is used as in one of them.
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
