"""Synthesis: tokens to waveform, frame by frame (paper, section 2.4), in batches that utterances join and leave."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wavetts.model.attention import Keys
from wavetts.model.density import Sampler, SamplingOptions
from wavetts.model.device import torch_threads
from wavetts.model.rows import Rows
from wavetts.model.tacotron import WaveTacotron

LARGEST_SAMPLE = 1 - 2.0**-15
# A badly trained model, or a high temperature, may lead to larger and larger frames. It recovers from single wild
# frames; after this many in a row there is only noise.
MOST_WILD_FRAMES = 5


class Engine:
    """The parts of a model that generation uses; `runtime.engine.build_engine` replaces some by faster ones.

    The model is not changed: a faster decoder or density is used instead of the model's own.

    Args:
        model: in evaluation mode.
        decoder: a module with `init_state` and `step` as of `AttentionDecoder`; None: the model's decoder.
        density: a `Sampler` of frames; None: the model's density.
        threads: number of CPU threads of torch while this engine computes; 0: unchanged.
        name: of the kind of engine; engines of one name and model give the same samples.
    """

    def __init__(
        self,
        model: WaveTacotron,
        decoder: Any = None,
        density: Sampler | None = None,
        threads: int = 0,
        name: str = "float32",
    ) -> None:
        assert not model.training
        self.model, self.threads, self.name = model, threads, name
        self.decoder: Any = model.decoder if decoder is None else decoder
        self.density: Sampler = model.density if density is None else density
        self.frame_length, self.past_length = model.frame_length, model.past_length
        config = model.config.audio
        # The largest absolute value of a waveform in [-1, 1) after pre-emphasis and scaling.
        self.largest = (1 + config.preemphasis) * float(model.scale)
        synthesis = model.config.synthesis
        self.voiced_scale, self.dither = synthesis.voiced_scale, config.dither if synthesis.remove_dither else 0.0

    @property
    def device(self) -> torch.device:
        """The device that it computes on."""
        return self.model.scale.device

    def encode(self, tokens: Sequence[int]) -> Keys:
        """Encodes a text of I tokens: the keys of its memory (1, I, E).

        Texts are encoded one by one: in batches of other sizes sums are rounded differently, which would make speech
        depend on the batch.
        """
        batch = torch.tensor([tokens], device=self.device)
        lengths = torch.tensor([len(tokens)], device=self.device)
        return self.model.decoder.attention.prepare(self.model.encoder(batch, lengths), lengths)

    def init_state(self, keys: Keys) -> Any:
        """The decoder's state before the first frame."""
        return self.decoder.init_state(keys)

    def step(self, prev_frame: Tensor, keys: Keys, state: Any, guidance: Tensor) -> tuple[Tensor, Tensor, Any]:
        """See `AttentionDecoder.step`; guidance is (B, 1), for the density if that was trained to be guided."""
        return self.decoder.step(prev_frame, keys, state, 0.0 if self.density.guides else guidance)

    def sample(self, cond: Tensor, past: Tensor, options: SamplingOptions, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Draws frames (B, K); and what is to be heard of them, without `audio.dither` if the voice removes it.

        Args:
            cond: (B, C), the decoder's output.
            past: (B, `past_length`), the samples before the frame.
            options: temperature and guidance, (B, 1) each; guidance is used by densities that were trained for it.
            noise: (B, noise_dim).
        """
        return self.density.sample_clean(self.model.join_past(cond, past), options, noise.to(cond), self.dither)

    def to_waveform(self, frames: Tensor, last_sample: Tensor) -> Tensor:
        """Frames (B, T, K) to samples (B, T * K); see `WaveTacotron.to_waveform`."""
        return self.model.to_waveform(frames, last_sample)

    @contextmanager
    def computing(self) -> Generator[None]:
        """A context with inference mode and this engine's number of threads, for the calling thread."""
        with torch_threads(self.threads), torch.inference_mode():
            yield


@dataclass(eq=False)
class Generation:
    """An utterance in a `RunningBatch`: its text, its options, and the frames that were generated so far.

    Attributes:
        tokens: I token indices.
        seed: seed of its noise.
        max_frames: limit of its length in frames.
        temperature: standard deviation of the base noise; the paper's is 0.7, 0 is deterministic.
        guidance: see `AttentionDecoder.step`; 0 is the trained model.
        stop_threshold: it ends with the first frame whose stop probability is above this.
        cancelled: may be set by any thread; ends the utterance before its next frame.
        stopped: whether the stop token ended it. False: it goes on, was cancelled, reached `max_frames` or diverged.
        diverged: whether there were wild frames: out of the range of a waveform, not finite, or mostly above full
            scale. Wild frames are clipped before they are fed back, and silent in the output.
        wild_frames: number of consecutive wild frames up to the last frame.
        samples: (K,) per frame, float32 in [-1, 1).
        weights: (I,) per frame, the attention's alignment.
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
        """Whether there will be no further frame."""
        at_limit = len(self.samples) >= self.max_frames or self.wild_frames >= MOST_WILD_FRAMES
        return self.stopped or self.cancelled or at_limit

    @property
    def waveform(self) -> np.ndarray:
        """(S,), all samples so far."""
        return np.concatenate(self.samples) if self.samples else np.zeros(0, dtype=np.float32)

    @property
    def alignment(self) -> np.ndarray:
        """(T, I)."""
        return np.stack(self.weights) if self.weights else np.zeros((0, len(self.tokens)), dtype=np.float32)


class RunningBatch:
    """A batch of utterances that get one frame per step; utterances join and leave between steps.

    The output of an utterance does not depend on the others: its noise comes from its own generator on the CPU, and
    padding is masked. With the decoder and density of the C kernel this holds to the bit. PyTorch rounds matrix
    products of other batch sizes differently; the difference grows from frame to frame, so that after a second or two
    the samples differ, though not the words. Utterances that have ended leave the batch.
    """

    def __init__(self, engine: Engine) -> None:
        """Creates an empty batch for an engine."""
        self.engine = engine
        self.speaking: list[Generation] = []  # in the order of the rows
        self._noise: dict[Generation, torch.Generator] = {}
        # Of each row: keys, temperature and guidance; and what a step replaces: the decoder's state, the samples of the
        # density before the next frame, the waveform's last one.
        self._rows = Rows()
        self._paused: dict[Generation, Any] = {}

    def add(self, generation: Generation) -> None:
        """Adds an utterance; its first frame is generated by the next step. If encoding fails, nothing is changed."""
        engine = self.engine
        with engine.computing():
            keys = engine.encode(generation.tokens)
            past = keys.memory.new_zeros(1, engine.past_length)
            options = past.new_tensor([[generation.temperature, generation.guidance]])
            carried = engine.init_state(keys), past, past[:, 0]
            self._rows.append((keys, *options.split(1, dim=1), carried), len(generation.tokens))
        self.speaking = [*self.speaking, generation]
        self._noise[generation] = torch.Generator().manual_seed(generation.seed)

    def pause(self, generation: Generation) -> None:
        """Removes an utterance and keeps its state; after `resume` it goes on without any difference."""
        row = self.speaking.index(generation)
        with self.engine.computing():
            self._paused[generation] = self._rows.take(row)
            self._keep([other for other in range(len(self.speaking)) if other != row])

    def resume(self, generation: Generation) -> None:
        """Adds a paused utterance again."""
        with self.engine.computing():
            self._rows.append(self._paused.pop(generation), len(generation.tokens))
        self.speaking = [*self.speaking, generation]

    def step(self) -> list[tuple[Generation, np.ndarray]]:
        """Generates one frame of every utterance; those that ended with it leave the batch.

        Returns:
            Pairs of an utterance and its new samples (K,), float32 in [-1, 1); empty if the batch is.
        """
        with self.engine.computing():
            return self._step()

    def _step(self) -> list[tuple[Generation, np.ndarray]]:
        self._drop_ended()
        if not self.speaking:
            return []
        engine = self.engine
        keys, temperature, guidance, (state, past, last_sample) = self._rows.values
        cond, stop_logits, state = engine.step(past[:, -engine.frame_length :], keys, state, guidance)
        size = engine.density.noise_dim
        noise = torch.stack([torch.randn(size, generator=self._noise[generation]) for generation in self.speaking])
        options = SamplingOptions(temperature, guidance, voiced_scale=engine.voiced_scale)
        drawn, heard = engine.sample(cond, past, options, noise)
        # What is no number is not in range either.
        in_range = drawn.abs().amax(1) <= engine.largest
        frame = drawn
        if not in_range.all():
            frame = drawn.nan_to_num(0.0).clamp(-engine.largest, engine.largest)
            # Silenced below, whether the noise of training is in it or not.
            heard = torch.where(in_range[:, None], heard, frame)
        # The next frame goes on from what was drawn; what is heard may be without the noise of training.
        waveform = engine.to_waveform(heard[:, None], last_sample)
        past = torch.cat([past, frame], dim=1)[:, -engine.past_length :].contiguous()
        self._rows.write(3, (state, past, waveform[:, -1].contiguous()))
        samples, wild = _limit(waveform.float().cpu().numpy(), ~in_range.cpu().numpy())
        weights = state.attention.weights.float().cpu().numpy()
        spoken = self.speaking
        outcome = zip(torch.sigmoid(stop_logits).tolist(), wild, strict=True)
        for row, (generation, (stop, is_wild)) in enumerate(zip(spoken, outcome, strict=True)):
            generation.samples.append(samples[row])
            generation.weights.append(weights[row, : len(generation.tokens)].copy())
            generation.stopped = stop > generation.stop_threshold
            generation.diverged |= is_wild
            generation.wild_frames = generation.wild_frames + 1 if is_wild else 0
        self._drop_ended()
        return list(zip(spoken, samples, strict=True))

    def _drop_ended(self) -> None:
        # Read once each: another thread may cancel an utterance meanwhile.
        ended = {generation for generation in (*self.speaking, *self._paused) if generation.ended}
        if not ended:
            return
        self._keep([row for row, generation in enumerate(self.speaking) if generation not in ended])
        for generation in ended:
            del self._noise[generation]
            self._paused.pop(generation, None)

    def _keep(self, rows: list[int]) -> None:
        self._rows.keep(rows)
        self.speaking = [self.speaking[row] for row in rows]


def _limit(waveform: np.ndarray, wild: np.ndarray) -> tuple[np.ndarray, list[bool]]:
    """Samples in [-1, 1), silence for wild frames, and which frames these are.

    Args:
        waveform: (B, K) float32.
        wild: (B,), frames that are known to be wild.
    """
    sizes = np.abs(waveform)
    if sizes.max() > LARGEST_SAMPLE or wild.any():
        wild = wild | ((sizes > 1).mean(1) > 0.5)
        waveform = np.where(wild[:, None], np.float32(0), waveform).clip(-1.0, np.float32(LARGEST_SAMPLE))
    return waveform, wild.tolist()


def generate(engine: Engine, generations: Sequence[Generation]) -> None:
    """Generates a batch to its end; the results are stored in the generations.

    Args:
        engine: the engine of a model.
        generations: without frames.
    """
    batch = RunningBatch(engine)
    for generation in generations:
        batch.add(generation)
    while batch.step():
        pass
