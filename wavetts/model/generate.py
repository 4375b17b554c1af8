"""Tokens to waveform, one frame after the other (paper, section 2.4), for any number of utterances at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from wavetts.model.density import SamplingOptions
from wavetts.model.tacotron import WaveTacotron

LARGEST_SAMPLE = 1 - 2.0**-15
# A model that was badly trained, or is too hot, may feed itself ever larger frames. Single ones it may get over; after
# so many in a row there is only noise.
MOST_WILD_FRAMES = 5


@dataclass(eq=False)
class Utterance:
    """One sentence in a `RunningBatch`: what it says, how, and how far it has come.

    Attributes:
        tokens: I indices.
        seed: of its noise.
        max_frames: the most that it may become.
        temperature: std of the base noise; the paper's is 0.7, 0 is deterministic.
        guidance: towards the text, see `AttentionDecoder.step`; 0: as the model was trained.
        stop_threshold: it ends with the first frame whose stop probability is above it.
        cancelled: who sets it, from any thread, ends the utterance before its next frame.
        stopped: its stop token ended it; False: it still speaks, was cancelled, ran into max_frames or into noise.
        diverged: there were wild frames: beyond what a waveform can give, no number, or mostly beyond full scale. They
            are clipped where they are fed back, and silent.
        wild_frames: how many there are in a row, up to the last frame.
        samples: (K,) of each frame, float32 in [-1, 1).
        weights: (I,) of each frame, its attention.
    """

    tokens: Sequence[int]
    seed: int
    max_frames: int
    temperature: float = 0.7
    guidance: float = 0.0
    stop_threshold: float = 0.5
    cancelled: bool = False
    stopped: bool = field(default=False, init=False)
    diverged: bool = field(default=False, init=False)
    wild_frames: int = field(default=0, init=False)
    samples: list[np.ndarray] = field(default_factory=list, init=False, repr=False)
    weights: list[np.ndarray] = field(default_factory=list, init=False, repr=False)

    @property
    def ended(self) -> bool:
        """It has no further frame."""
        at_limit = len(self.samples) >= self.max_frames or self.wild_frames >= MOST_WILD_FRAMES
        return self.stopped or self.cancelled or at_limit

    @property
    def waveform(self) -> np.ndarray:
        """(S,), all that was spoken."""
        return np.concatenate(self.samples) if self.samples else np.zeros(0, dtype=np.float32)

    @property
    def alignment(self) -> np.ndarray:
        """(T, I)."""
        return np.stack(self.weights) if self.weights else np.zeros((0, len(self.tokens)), dtype=np.float32)


class RunningBatch:
    """Utterances that speak together, a frame at each step; they may join and leave between any two.

    What an utterance says does not depend on who else is in the batch: its noise is drawn from its own generator on the
    CPU, and padding is masked. With the C kernel's decoder and density it is the same to the bit; torch rounds products
    of other batch sizes otherwise, and as each frame goes on from the last, that grows: to other samples of the same
    words, after a second or two. One that has ended leaves and costs nothing any more.
    """

    def __init__(self, model: WaveTacotron) -> None:
        """Takes a model in evaluation mode."""
        self.model = model
        self.utterances: list[Utterance] = []  # who speaks, in the order of the rows
        self._generators: list[torch.Generator] = []
        # A tree of tensors of B rows each: keys, decoder state, the samples of the density before the next frame, the
        # waveform's last one, temperature, guidance.
        self._rows: Any = None
        config = model.config.audio
        # What a waveform in [-1, 1) can be after pre-emphasis and scale.
        self._limit = (1 + config.preemphasis) * float(model.scale)

    @torch.inference_mode()
    def add(self, utterances: Sequence[Utterance]) -> None:
        """Lets utterances join; their first frames come with the next step."""
        for utterance in utterances:
            # Each is encoded alone: beside others it would be rounded otherwise, and that grows from frame to frame.
            tokens = torch.tensor([utterance.tokens], device=self.model.scale.device)
            lengths = torch.tensor([len(utterance.tokens)], device=tokens.device)
            keys = self.model.decoder.attention.prepare(self.model.encoder(tokens, lengths), lengths)
            past = keys.memory.new_zeros(1, self.model.past_length)
            options = past.new_tensor([[utterance.temperature, utterance.guidance]])
            new = (keys, self.model.decoder.init_state(keys), past, past[:, 0], *options.split(1, dim=1))
            self._rows = map_tensors(_append_rows, self._rows, new) if self.utterances else new
            self.utterances = [*self.utterances, utterance]
            self._generators.append(torch.Generator().manual_seed(utterance.seed))

    @torch.inference_mode()
    def step(self) -> list[tuple[Utterance, np.ndarray]]:
        """Speaks the next frame of every utterance; those that have ended with it leave.

        Returns:
            The utterances that spoke and their new samples (K,), float32 in [-1, 1); empty if nobody is left.
        """
        self._drop_ended()
        if not self.utterances:
            return []
        keys, state, past, last_sample, temperature, guidance = self._rows
        frame = past[:, -self.model.frame_length :]
        # A density that was trained to be guided is, with the past that the decoder has seen; otherwise the decoder is.
        synthesis, audio = self.model.config.synthesis, self.model.config.audio
        options = SamplingOptions(
            temperature, guidance if self.model.density.guides else 0.0, voiced_scale=synthesis.voiced_scale
        )
        to_decoder = 0.0 if self.model.density.guides else guidance
        cond, stop_logits, state = self.model.decoder.step(frame, keys, state, to_decoder)
        size = self.model.density.noise_dim
        noise = torch.stack([torch.randn(size, generator=generator) for generator in self._generators])
        cond = self.model.join_past(cond, past)
        drawn = self.model.density.sample(cond, options, noise.to(cond))
        frame = drawn.nan_to_num(0.0).clamp(-self._limit, self._limit)
        # The next frame goes on from what was drawn; what is heard may be without the noise of training.
        heard = self.model.density.remove_dither(frame, cond, audio.dither) if synthesis.remove_dither else frame
        waveform = self.model.to_waveform(heard[:, None], last_sample)
        past = torch.cat([past, frame], dim=1)[:, -past.shape[1] :]
        self._rows = (keys, state, past, waveform[:, -1], temperature, guidance)
        wild = ~(drawn.abs() <= self._limit).all(-1) | ((waveform.abs() > 1).float().mean(-1) > 0.5)
        samples = waveform.masked_fill(wild[:, None], 0.0).float().clamp(-1.0, LARGEST_SAMPLE).cpu().numpy()
        weights = state.attention.weights.float().cpu().numpy()
        spoken = self.utterances
        outcome = zip(torch.sigmoid(stop_logits).tolist(), wild.tolist(), strict=True)
        for row, (utterance, (stop, is_wild)) in enumerate(zip(spoken, outcome, strict=True)):
            utterance.samples.append(samples[row])
            utterance.weights.append(weights[row, : len(utterance.tokens)])
            utterance.stopped = stop > utterance.stop_threshold
            utterance.diverged |= is_wild
            utterance.wild_frames = utterance.wild_frames + 1 if is_wild else 0
        self._drop_ended()
        return list(zip(spoken, samples, strict=True))

    def _drop_ended(self) -> None:
        kept = [row for row, utterance in enumerate(self.utterances) if not utterance.ended]
        if len(kept) == len(self.utterances):
            return
        index = torch.tensor(kept, dtype=torch.long, device=self.model.scale.device)
        self._rows = map_tensors(lambda tensor: tensor[index], self._rows) if kept else None
        self.utterances = [self.utterances[row] for row in kept]
        self._generators = [self._generators[row] for row in kept]


def generate(model: WaveTacotron, utterances: Sequence[Utterance]) -> None:
    """Speaks a batch to its end; the utterances then hold what was spoken.

    Args:
        model: in evaluation mode.
        utterances: fresh ones.
    """
    batch = RunningBatch(model)
    batch.add(utterances)
    while batch.step():
        pass


def map_tensors(function: Callable[..., Tensor], *trees: Any) -> Any:
    """Trees of dataclasses, tuples and lists, equal but for their tensors: a tree of function(tensor of each)."""
    first = trees[0]
    if isinstance(first, Tensor):
        return function(*trees)
    if dataclasses.is_dataclass(first):
        names = [item.name for item in dataclasses.fields(first)]
        return type(first)(*(map_tensors(function, *(getattr(tree, name) for tree in trees)) for name in names))
    parts = [map_tensors(function, *branches) for branches in zip(*trees, strict=True)]
    return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)


def _append_rows(above: Tensor, below: Tensor) -> Tensor:
    """(A, ...) and (B, ...) to (A + B, ...); what has fewer tokens is padded, all other sizes are the same."""
    if above.dim() > 1 and above.shape[1] != below.shape[1]:
        tokens = max(above.shape[1], below.shape[1])
        above, below = (F.pad(part, (0, 0) * (part.dim() - 2) + (0, tokens - part.shape[1])) for part in (above, below))
    return torch.cat([above, below])
