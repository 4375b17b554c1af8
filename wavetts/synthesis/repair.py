"""Redrawing lost stretches of a recording whose text is known: packet loss, clicks, a word that was coughed over.

The model listens to the recording, frame by frame, as it does in training; where samples are lost it draws them,
several times at once. A density that can (a diffusion) draws a frame of which a part is left given that part. Of all
draws the one is kept after which what follows is likeliest, so that both sides have a say.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from wavetts.errors import UserError
from wavetts.model.density.base import Density, SamplingOptions
from wavetts.model.rows import map_tensors
from wavetts.synthesis.settings import SynthesisSettings
from wavetts.synthesis.voice import Voice

# Frames after a stretch whose likelihood chooses among the draws.
LOOKAHEAD = 3
# Over so long the end of what was drawn is led to where the recording goes on.
JOIN_SECONDS = 0.004


@torch.inference_mode()
def repair(
    voice: Voice,
    samples: np.ndarray,
    lost: Sequence[tuple[int, int]],
    text: str,
    settings: SynthesisSettings | None = None,
    candidates: int = 8,
) -> np.ndarray:
    """Draws what is lost of a recording.

    Args:
        voice: a model with exact weights.
        samples: (S,) at the voice's rate; what they are where they are lost does not matter.
        lost: first sample and the one after the last of each stretch, in order.
        text: what is said, one sentence.
        settings: temperature, guidance and seed.
        candidates: draws of each stretch; one of them is kept. A density without a likelihood has one.

    Returns:
        (S,) float32, outside of the stretches as it was.

    Raises:
        UserError: a stretch is not within the recording, or the text is more than a sentence.
    """
    settings = settings or SynthesisSettings()
    given = _given(len(samples), lost)
    pieces = voice.prepare(text, settings.seed)
    if len(pieces) > 1:
        raise UserError(f"the text is {len(pieces)} sentences; give the one that is lost in, and its recording")
    return _Repair(voice, pieces[0].tokens, settings, candidates).run(samples, given)


def _given(length: int, lost: Sequence[tuple[int, int]]) -> np.ndarray:
    """(S,) True where samples are given."""
    given = np.ones(length, dtype=bool)
    for first, last in lost:
        if not 0 <= first < last <= length:
            raise UserError(f"samples {first} to {last} are not within the recording's {length}")
        given[first:last] = False
    return given


class _Repair:
    """One pass over one recording."""

    def __init__(self, voice: Voice, tokens: Sequence[int], settings: SynthesisSettings, candidates: int) -> None:
        settings = voice.settled(settings)
        self.model, self.rate = voice.model, voice.sample_rate
        self.density = self.model.density
        may_choose = isinstance(self.density, Density) and self.density.likelihood != "none"
        self.candidates = candidates if may_choose else 1
        guidance = settings.guidance or 0.0
        assert settings.temperature is not None
        self.options = SamplingOptions(settings.temperature, guidance if self.density.guides else 0.0)
        self.guidance = 0.0 if self.density.guides else guidance
        self.generator = torch.Generator().manual_seed(settings.seed)
        device = self.model.scale.device
        table = torch.tensor([tokens], device=device)
        lengths = torch.tensor([len(tokens)], device=device)
        keys = self.model.decoder.attention.prepare(self.model.encoder(table, lengths), lengths)
        self.rows = (keys, self.model.decoder.init_state(keys))
        # Of each row the samples that the next frame is drawn after, as the density models them.
        self.past = keys.memory.new_zeros(1, self.model.past_length)

    def run(self, samples: np.ndarray, given: np.ndarray) -> np.ndarray:
        """See `repair`."""
        length = self.model.frame_length
        # A pre-emphasised sample is known if it and the one before are.
        known = given & np.concatenate([[True], given[:-1]])
        size = -len(samples) % length
        waveform = torch.from_numpy(np.pad(np.where(given, samples, 0.0), (0, size))).float()[None]
        frames = self.model.to_frames(waveform.to(self.past), noise=False)[0]
        masks = torch.from_numpy(np.pad(known, (0, size), constant_values=True)).view(-1, length).to(frames.device)
        done: list[Tensor] = []  # of the frames before those that are still to be chosen
        open_frames: list[Tensor] = []  # (candidates, K) each
        scores, ahead = torch.zeros(1, dtype=torch.float64), 0
        for frame, mask in zip(frames, masks, strict=True):
            if not mask.all():
                if not open_frames:
                    self._multiply()
                    scores = torch.zeros(self.candidates, dtype=torch.float64)
                ahead = LOOKAHEAD
            spoken, score = self._step(frame, mask, bool(open_frames) or not mask.all())
            if not (open_frames or not mask.all()):
                done.append(spoken[0])
                continue
            open_frames.append(spoken)
            if mask.all():
                scores, ahead = scores + score.double().cpu(), ahead - 1
            if ahead == 0:
                done += self._choose(open_frames, scores)
                open_frames = []
        if open_frames:
            done += self._choose(open_frames, scores)
        return self._join(samples, given, torch.cat(done)[: len(samples)])

    def _step(self, frame: Tensor, mask: Tensor, score: bool) -> tuple[Tensor, Tensor]:
        """The next frame of every row (rows, K), drawn where it is not known, and how likely it is if it is known."""
        (keys, state), count = self.rows, len(self.past)
        cond, _, state = self.model.decoder.step(self.past[:, -len(frame) :], keys, state, self.guidance)
        cond, frame = self.model.join_past(cond, self.past), frame.expand(count, -1)
        likelihood = torch.zeros(count)
        if mask.all():
            if score and self.candidates > 1:
                # The same noise for all, as a bound's noise shall not decide.
                likelihood = torch.cat(
                    [
                        self.density.log_prob(frame[i], cond[i], torch.Generator().manual_seed(0))[None]
                        for i in range(count)
                    ]
                )
        elif mask.any():
            frame = self.density.inpaint(cond, self.options, self.generator, frame, mask)
        else:
            frame = self.density.sample(cond, self.options, self.generator)
        self.rows = (keys, state)
        self.past = torch.cat([self.past, frame], 1)[:, -self.past.shape[1] :]
        return frame, likelihood

    def _multiply(self) -> None:
        """One row to as many as there are candidates."""
        index = torch.zeros(self.candidates, dtype=torch.long, device=self.past.device)
        self.rows, self.past = map_tensors(lambda tensor, _: tensor[index], self.rows), self.past[index]

    def _choose(self, frames: list[Tensor], scores: Tensor) -> list[Tensor]:
        """The frames of the likeliest row, which is the one that is left."""
        best = torch.tensor([int(scores.argmax())], device=self.past.device)
        self.rows, self.past = map_tensors(lambda tensor, _: tensor[best], self.rows), self.past[best]
        return [frame[int(best)] for frame in frames]

    def _join(self, samples: np.ndarray, given: np.ndarray, drawn: Tensor) -> np.ndarray:
        """The recording with its lost stretches filled from pre-emphasised samples (S,)."""
        result = np.where(given, samples, 0.0).astype(np.float64)
        drawn = (drawn / self.model.scale).double().cpu().numpy()
        coefficient = self.model.config.audio.preemphasis
        edges = np.flatnonzero(np.diff(np.concatenate([[True], given, [True]]).astype(int)))
        for first, last in zip(edges[::2], edges[1::2], strict=True):
            for index in range(first, last):
                result[index] = drawn[index] + coefficient * (result[index - 1] if index else 0.0)
            if last < len(result):
                # What was drawn says where the recording would go on; the difference is led in.
                miss = result[last] - (drawn[last] + coefficient * result[last - 1])
                size = min(last - first, max(1, round(JOIN_SECONDS * self.rate)))
                result[last - size : last] += miss * np.sin(0.5 * np.pi * np.arange(1, size + 1) / (size + 1)) ** 2
        return np.where(given, samples, np.clip(result, -1.0, 1 - 2.0**-15)).astype(np.float32)
