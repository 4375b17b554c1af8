"""Batches of preprocessed corpora; which utterances a batch holds is a pure function of seed and epoch."""

from __future__ import annotations

import math
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from wavetts.audio.waveform import read_audio
from wavetts.config import Config, TrainConfig
from wavetts.corpus.manifest import Utterance
from wavetts.errors import UserError
from wavetts.seeds import mix_seed
from wavetts.text.tokenizer import Tokenizer

# Utterances are sorted by length with this relative jitter, so that batches differ from epoch to epoch.
LENGTH_JITTER = 0.1
PREFETCHED_STEPS = 4


@dataclass
class Batch:
    """Utterances, cut to whole frames and padded to the longest one."""

    ids: list[str]
    tokens: Tensor  # (B, I) int64, 0 at padding
    token_lengths: Tensor  # (B,)
    waveform: Tensor  # (B, T * K) float32 in [-1, 1), zeros at padding
    frame_lengths: Tensor  # (B,)

    def to(self, device: torch.device | str) -> Batch:
        """The batch with tokens and waveform on `device`.

        Lengths stay on the CPU, where indices are computed without synchronising with a GPU.
        """
        tokens, waveform = (x.to(device, non_blocking=True) for x in (self.tokens, self.waveform))
        return replace(self, tokens=tokens, waveform=waveform)

    def pinned(self) -> Batch:
        """The batch in page-locked memory, which a GPU copies from while the CPU goes on."""
        return replace(self, tokens=self.tokens.pin_memory(), waveform=self.waveform.pin_memory())


@dataclass(frozen=True)
class Clip:
    """An utterance in a batch: `num_frames` whole frames from sample `phase` on; `index` is its place in the corpus."""

    index: int
    phase: int
    num_frames: int


@dataclass(frozen=True)
class Step:
    """The data of one optimiser step for one process.

    Attributes:
        epoch: number of the epoch.
        index: number of the batch in the epoch.
        ids: utterances of the whole batch, over all processes and micro-batches.
        num_frames: number of valid frames in the whole batch.
        batches: the micro-batches of this process; None where a small batch leaves one empty.
    """

    epoch: int
    index: int
    ids: list[str]
    num_frames: int
    batches: list[Batch | None]


class Corpus:
    """The utterances of a manifest with their tokens, and their batches.

    Args:
        utterances: the utterances of a manifest.
        tokenizer: encodes their transcripts.
        config: its sections `audio` and `text` are used, and `train.keep_audio`.
        skip_unknown: leave out utterances with symbols that the tokenizer does not have, and warn once.

    Raises:
        UserError: there are unknown symbols, and `skip_unknown` is False.
    """

    def __init__(
        self, utterances: Sequence[Utterance], tokenizer: Tokenizer, config: Config, skip_unknown: bool = False
    ) -> None:
        self.frame_length, self.sample_rate = config.audio.frame_length, config.audio.sample_rate
        self.kept: dict[int, np.ndarray] | None = {} if config.train.keep_audio else None
        self.utterances: list[Utterance] = []
        self.tokens: list[list[int]] = []
        short, unknown, symbols = [], [], set()
        for utterance in utterances:
            transcript = utterance.transcript(config.text.input)
            if utterance.samples < self.frame_length:
                short.append(utterance.id)
            elif skip_unknown and (missing := tokenizer.unknown(transcript)):
                unknown.append(utterance.id)
                symbols.update(missing)
            else:
                self.utterances.append(utterance)
                self.tokens.append(tokenizer.encode(transcript))
        if short:
            _warn_left_out(short, f"shorter than one frame ({self.frame_length} samples)")
        if unknown:
            _warn_left_out(unknown, f"symbols that training data has not: {' '.join(sorted(symbols))}")

    def __len__(self) -> int:
        return len(self.utterances)

    @property
    def hours(self) -> float:
        """Hours of audio."""
        return sum(utterance.samples for utterance in self.utterances) / self.sample_rate / 3600

    def plan(
        self, batch_seconds: float, seed: int, epoch: int, random_phase: bool, most_seconds: float = math.inf
    ) -> list[list[Clip]]:
        """The shuffled batches of a training epoch, of utterances of similar length.

        Args:
            batch_seconds: limit of the duration of a batch, padding included; a longer utterance is a batch of its own.
            seed: order and phases are a pure function of seed and epoch.
            epoch: number of the epoch.
            random_phase: start each clip at a random sample of its first frame.
            most_seconds: the longest utterance; longer ones are left out.

        Raises:
            UserError: all utterances are longer.
        """
        rng = np.random.default_rng((seed, epoch))
        clips = []
        for index, utterance in enumerate(self.utterances):
            if utterance.samples > most_seconds * self.sample_rate:
                continue
            phase = 0
            if random_phase:
                phase = mix_seed(seed, epoch, utterance.id) % min(
                    self.frame_length, utterance.samples - self.frame_length + 1
                )
            clips.append(Clip(index, phase, (utterance.samples - phase) // self.frame_length))
        if not clips:
            raise UserError(
                f"train.short_seconds: {most_seconds:g}: no training utterance is that short; set train.short_epochs=0"
            )
        jitter = np.exp(LENGTH_JITTER * (rng.random(len(clips)) - 0.5))
        order = np.argsort([clip.num_frames for clip in clips] * jitter, kind="stable")
        batches = self._cut([clips[i] for i in order], batch_seconds)
        return [batches[i] for i in rng.permutation(len(batches))]

    def plan_in_order(self, batch_seconds: float) -> list[list[Clip]]:
        """Batches of all utterances for evaluation, shortest first, each from its first sample on."""
        clips = [Clip(i, 0, u.samples // self.frame_length) for i, u in enumerate(self.utterances)]
        return self._cut(sorted(clips, key=lambda clip: (clip.num_frames, clip.index)), batch_seconds)

    def _cut(self, clips: list[Clip], batch_seconds: float) -> list[list[Clip]]:
        """Cuts a list into batches of at most `batch_seconds`, padding included."""
        budget = batch_seconds * self.sample_rate / self.frame_length
        batches: list[list[Clip]] = []
        longest = 0
        for clip in clips:
            longest = max(longest, clip.num_frames)
            if batches and longest * (len(batches[-1]) + 1) <= budget:
                batches[-1].append(clip)
            else:
                batches.append([clip])
                longest = clip.num_frames
        return batches

    def collate(self, clips: Sequence[Clip]) -> Batch:
        """Reads the audio of clips and pads it to a batch.

        Raises:
            UserError: an audio file is missing or damaged, or its length or rate are not those of the manifest.
        """
        frame_lengths = [clip.num_frames for clip in clips]
        tokens = [self.tokens[clip.index] for clip in clips]
        waveform = torch.zeros(len(clips), max(frame_lengths) * self.frame_length)
        padded = torch.zeros(len(clips), max(map(len, tokens)), dtype=torch.int64)
        for row, clip in enumerate(clips):
            samples = clip.num_frames * self.frame_length
            audio = self.read(clip.index)[clip.phase : clip.phase + samples]
            waveform[row, :samples] = torch.from_numpy(audio)
            padded[row, : len(tokens[row])] = torch.tensor(tokens[row])
        return Batch(
            ids=[self.utterances[clip.index].id for clip in clips],
            tokens=padded,
            token_lengths=torch.tensor([len(row) for row in tokens]),
            waveform=waveform,
            frame_lengths=torch.tensor(frame_lengths),
        )

    def read(self, index: int) -> np.ndarray:
        """The whole waveform `(S,)` of an utterance, float32.

        Raises:
            UserError: the audio file is missing or damaged, or its length or rate are not those of the manifest.
        """
        if self.kept and (audio := self.kept.get(index)) is not None:
            return audio
        utterance = self.utterances[index]
        audio, rate = read_audio(utterance.audio)
        if rate != self.sample_rate or len(audio) != utterance.samples:
            raise UserError(
                f"{utterance.audio}: {len(audio)} samples at {rate} Hz, the manifest says {utterance.samples} at "
                f"{self.sample_rate}; run `wavetts preprocess` again"
            )
        if self.kept is not None:
            self.kept[index] = audio
        return audio


def _warn_left_out(ids: list[str], reason: str) -> None:
    names = ", ".join(ids[:5]) + (", ..." if len(ids) > 5 else "")
    warnings.warn(f"{len(ids)} utterances left out ({names}): {reason}", stacklevel=3)


def epoch_plan(corpus: Corpus, train: TrainConfig, epoch: int) -> list[list[Clip]]:
    """The batches of an epoch of training; the first epochs have short utterances only (`train.short_epochs`)."""
    most_seconds = train.short_seconds if epoch < train.short_epochs else math.inf
    return corpus.plan(train.batch_seconds, train.seed, epoch, train.random_phase, most_seconds)


def split_clips(clips: Sequence[Clip], parts: int) -> list[list[Clip]]:
    """Distributes a batch over processes and micro-batches, so that all parts have similar lengths."""
    ordered = sorted(clips, key=lambda clip: (-clip.num_frames, clip.index))
    return [ordered[part::parts] for part in range(parts)]


def training_steps(
    corpus: Corpus,
    config: Config,
    epoch: int = 0,
    index: int = 0,
    rank: int = 0,
    world_size: int = 1,
    pin_memory: bool = False,
) -> Generator[Step]:
    """Yields one process' share of the steps from batch `index` of `epoch` on, without end; threads read ahead.

    Args:
        corpus: what to train on.
        config: its section `train` defines the batches and the number of reader threads (`loader_threads`).
        epoch: epoch of the first step.
        index: batch of the first step in its epoch.
        rank: index of this process.
        world_size: number of processes.
        pin_memory: page-lock the batches, for a GPU.

    Raises:
        UserError: as `Corpus.collate`.
    """
    train = config.train

    def planned() -> Iterator[tuple[int, int, list[Clip]]]:
        first, current = index, epoch
        while True:
            plan = epoch_plan(corpus, train, current)
            for number in range(first, len(plan)):
                yield current, number, plan[number]
            first, current = 0, current + 1

    def read(current: int, number: int, clips: list[Clip]) -> Step:
        shards = split_clips(clips, train.accumulate * world_size)[rank::world_size]
        batches = [corpus.collate(shard) if shard else None for shard in shards]
        return Step(
            epoch=current,
            index=number,
            ids=[corpus.utterances[clip.index].id for clip in clips],
            num_frames=sum(clip.num_frames for clip in clips),
            batches=[batch.pinned() if batch is not None and pin_memory else batch for batch in batches],
        )

    return _prefetch(planned(), read, train.loader_threads)


def _prefetch(plan: Iterator[tuple[int, int, list[Clip]]], read: Callable[..., Step], threads: int) -> Generator[Step]:
    """The steps of an endless plan in order, read ahead by threads."""
    with ThreadPoolExecutor(threads, thread_name_prefix="wavetts-data") as pool:
        pending = deque(pool.submit(read, *next(plan)) for _ in range(PREFETCHED_STEPS + threads))
        try:
            while True:
                step = pending.popleft().result()
                pending.append(pool.submit(read, *next(plan)))
                yield step
        finally:
            for future in pending:
                future.cancel()
