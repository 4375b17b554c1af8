"""What a model computes of held-out utterances, teacher forced: a row for each frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wavetts.corpus.batches import Batch, Clip, Corpus
from wavetts.model.density.base import Density
from wavetts.model.density.energy.heads import DotProduct
from wavetts.model.density.energy.tilt import Tilt
from wavetts.model.density.linear_prediction import LinearPrediction
from wavetts.model.density.subframe import SubframeDensity
from wavetts.model.device import own_random_numbers
from wavetts.model.layers import valid_index
from wavetts.model.tacotron import WaveTacotron
from wavetts.progress import progress_bar
from wavetts.seeds import mix_seed

# What each feature is, in the order of tables.
FEATURES = {
    "cond": "the decoder's output, what the density is conditioned on",
    "attention": "the attention context",
    "density": "the context of the innermost density, of cond and of the samples before",
    "f": "of a dot-product tilt, the features of the value",
    "g": "of a dot-product tilt, the features of the context",
}


@dataclass(frozen=True)
class Forced:
    """Features of all frames, in the order of the batches.

    Attributes:
        values: by the names of `FEATURES`, those that the model has; (N, D) float32 each.
        utterances: (N,) the number of each frame's utterance in the corpus.
    """

    values: dict[str, np.ndarray]
    utterances: np.ndarray


@torch.inference_mode()
def forced_features(
    model: WaveTacotron, corpus: Corpus, plan: list[list[Clip]], seed: int, description: str = ""
) -> Forced:
    """Features of a corpus with clean history, dequantised and dithered by noise that only `seed` decides.

    With the same utterances, plan and seed, rows of two models are of the same frames with the same noise.

    Args:
        model: in evaluation mode.
        corpus: the utterances, with this model's tokens.
        plan: the batches, as of `Corpus.plan_in_order`.
        seed: of the noise.
        description: of the progress bar.
    """
    columns: dict[str, list[np.ndarray]] = {}
    with own_random_numbers(model.scale.device):
        for number, clips in enumerate(progress_bar(plan, desc=description, unit="batch")):
            torch.manual_seed(mix_seed(seed, "features", number))
            batch = corpus.collate(clips).to(model.scale.device)
            for name, values in batch_features(model, batch).items():
                columns.setdefault(name, []).append(values.float().cpu().numpy())
    utterances = [np.repeat([clip.index for clip in clips], [clip.num_frames for clip in clips]) for clips in plan]
    values = {name: np.concatenate(columns[name]) for name in FEATURES if name in columns}
    return Forced(values, np.concatenate(utterances))


def batch_features(model: WaveTacotron, batch: Batch) -> dict[str, Tensor]:
    """Features (N, D) of the valid frames of a batch, by the names of `FEATURES`; noise is torch's default."""
    frames = model.to_frames(batch.waveform, noise=True)
    count = frames.shape[1]
    index = valid_index(batch.frame_lengths, count).to(frames.device)
    # Noise beyond the end of an utterance belongs to none.
    kept = torch.zeros(frames.shape[:2], device=frames.device).flatten().index_fill(0, index, 1.0)
    frames = frames * kept.view(*frames.shape[:2], 1)
    output = model(batch.tokens, batch.token_lengths, frames)
    memory = model.encoder(batch.tokens, batch.token_lengths)
    cond, frames = output.cond.flatten(0, 1)[index], frames.flatten(0, 1)[index]
    return {
        "cond": cond[:, : model.decoder.cond_dim],
        "attention": (output.alignment @ memory).flatten(0, 1)[index],
        **density_features(model.density, frames, cond),
    }


def density_features(density: Density, frames: Tensor, cond: Tensor) -> dict[str, Tensor]:
    """Features inside a density, of frames (N, K) given cond (N, C + P).

    Of a density of subframes those of one of them, the one that begins in the middle of the frame or just before: there
    is a row for each frame, and all are at the same place, which is not to be a feature itself.
    A density of whole frames that is conditioned on cond alone has none of its own.
    """
    if isinstance(density, SubframeDensity):
        parts, contexts = density.subframes(frames, cond)
        middle = parts.shape[1] // 2
        return {"density": contexts[:, middle], **density_features(density.flow, parts[:, middle], contexts[:, middle])}
    if isinstance(density, LinearPrediction):
        values, contexts = density.residual(frames, cond)
        return {"density": contexts, **density_features(density.inner, values, contexts)}
    if isinstance(density, Tilt) and isinstance(density.score, DotProduct):
        head = density.score
        # The squares are functions of f, and it is f that theory is about.
        f = head.f(frames) if head.augmentation == "squared" else head.features(frames)
        return {"f": f, "g": head.prepare(cond)}
    return {}
