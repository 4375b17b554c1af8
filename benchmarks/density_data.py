"""What `density.py` trains on and measures: frames and cached contexts, speech drawn on them, and its figures."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wavetts.audio.waveform import log_mel, read_audio, resample
from wavetts.config import Config, GMMAttentionConfig
from wavetts.config.load import from_dict, to_dict
from wavetts.corpus.manifest import Utterance, load_manifest
from wavetts.errors import UserError
from wavetts.evaluation.intervals import mean_interval
from wavetts.evaluation.quality import dnsmos, missing_quality
from wavetts.model.checkpoint import LoadedModel, load_model
from wavetts.model.density import Density, Sampler, SamplingOptions
from wavetts.model.density.energy.importance import estimates_normaliser, sample_sizes
from wavetts.model.density.energy.recovery import Recovery
from wavetts.model.tacotron import WaveTacotron
from wavetts.seeds import mix_seed
from wavetts.training.objective import bits_per_sample

# Rows of the mel spectrogram, every 12.5 ms, that a frame's context is made of: from its beginning on.
MEL_ROWS = 4
# Of speech, and how it is searched for: all at this rate.
PERIODICITY_RATE, LONGEST_LAG = 16000, 400
# Windows that are so much softer than the loudest are no speech.
SILENCE_DECIBELS = 35.0
# Of each utterance, whose recovery likelihood is estimated: minutes for each second of speech.
RECOVERY_FRAMES = 4


@dataclass
class Clip:
    """An utterance: waveform (S,) of whole frames and the contexts (T, C) of its frames."""

    id: str
    waveform: Tensor
    cond: Tensor


@dataclass
class Frames:
    """Utterances to train on and others to measure, and the framing that all densities share."""

    config: Config
    train: list[Clip]
    test: list[Clip]
    scale: float

    @property
    def cond_dim(self) -> int:
        """C."""
        return self.train[0].cond.shape[1]

    def framer(self) -> WaveTacotron:
        """A model whose `to_frames` and `to_waveform` are asked for, and nothing else."""
        small = {"kind": "conv_lstm", "hidden_dim": 2, "num_layers": 1}
        values = {**to_dict(self.config), "encoder": small, "density": {"kind": "gaussian"}}
        values["attention"] = dataclasses.asdict(GMMAttentionConfig(hidden_dim=2, num_components=1))
        values["decoder"] = {"prenet_dims": [2], "attention_dim": 2, "hidden_dim": 2, "num_layers": 1}
        model = WaveTacotron(from_dict(values), 2).eval()
        model.scale.fill_(self.scale)
        return model


def cache(data: Path, path: Path, config: Config, cond: str, hours: float, test_clips: int) -> Frames:
    """Frames and contexts of a preprocessed corpus, kept in a file: every arm trains on the same.

    Args:
        data: what `wavetts preprocess` made.
        path: of the file; read if it is there.
        config: of the audio.
        cond: "mel", the recording's own log-mel spectrogram; or a model, whose decoder is teacher forced on it.
        hours: of training data, at most.
        test_clips: utterances to measure, of test.jsonl.
    """
    if not path.exists():
        kept = {"cond": cond, "clips": {}}
        model = None if cond == "mel" else load_model(Path(cond))
        for split, seconds, count in (("train", 3600 * hours, math.inf), ("test", math.inf, test_clips)):
            clips, total = [], 0.0
            for utterance in load_manifest(data / f"{split}.jsonl"):
                if total >= seconds or len(clips) >= count:
                    break
                samples = _whole_frames(read_audio(utterance.audio)[0], config.audio.frame_length)
                if len(samples):
                    contexts = (
                        _mel_contexts(samples, config)
                        if model is None
                        else _decoder_contexts(model, utterance, samples)
                    )
                    clips.append((utterance.id, torch.from_numpy(samples), contexts.half()))
                    total += len(samples) / config.audio.sample_rate
            kept["clips"][split] = clips
        save(path, kept)
    kept = torch.load(path, weights_only=True)
    if kept["cond"] != cond:
        raise UserError(f"{path}: its contexts are {kept['cond']}, not {cond}; name another --journal")
    clips = {split: [Clip(i, w, c.float()) for i, w, c in rows] for split, rows in kept["clips"].items()}
    return standardised(Frames(config, clips["train"], clips["test"], 1.0))


def save(path: Path, content: dict[str, Any]) -> None:
    """A file of tensors, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    torch.save(content, temporary)
    temporary.rename(path)


def standardised(frames: Frames) -> Frames:
    """The frames with contexts of mean 0 and variance 1, and the waveform's scale, both of the training data."""
    every = torch.cat([clip.cond for clip in frames.train])
    mean, std = every.mean(0), every.std(0).clamp(min=1e-3)
    for clip in (*frames.train, *frames.test):
        clip.cond = (clip.cond - mean) / std
    energy = count = 0.0
    for clip in frames.train:
        emphasised = clip.waveform[1:] - frames.config.audio.preemphasis * clip.waveform[:-1]
        energy, count = energy + float(emphasised.double().square().sum()), count + len(emphasised)
    return dataclasses.replace(frames, scale=math.sqrt(count / energy))


def _whole_frames(samples: np.ndarray, length: int) -> np.ndarray:
    return np.ascontiguousarray(samples[: len(samples) // length * length], dtype=np.float32)


def _mel_contexts(samples: np.ndarray, config: Config) -> Tensor:
    """(T, 4 * 80): rows of the log-mel spectrogram over each frame."""
    rows = log_mel(samples, config.audio.sample_rate)
    frame_count = len(samples) // config.audio.frame_length
    places = np.linspace(0, frame_count, frame_count * MEL_ROWS, endpoint=False) / frame_count * (len(rows) - 1)
    return torch.from_numpy(rows[np.rint(places).astype(int)].reshape(frame_count, -1))


@torch.inference_mode()
def _decoder_contexts(loaded: LoadedModel, utterance: Utterance, samples: np.ndarray) -> Tensor:
    """(T, C): what a trained decoder makes of the text and the recording."""
    model = loaded.model
    tokens = loaded.tokenizer.encode(utterance.transcript(loaded.config.text.input), skip_unknown=True)
    frames = model.to_frames(torch.from_numpy(samples)[None], noise=False)
    table, lengths = torch.tensor([tokens]), torch.tensor([len(tokens)])
    return model(table, lengths, frames).cond[0, :, : model.decoder.cond_dim].clone()


def with_past(density: Sampler, frames: Tensor, cond: Tensor) -> tuple[Tensor, Tensor]:
    """Packed frames (T, K) of one utterance and what the density is given for them, (T, C + P)."""
    if not density.past_dim:
        return frames, cond
    samples = torch.nn.functional.pad(frames.flatten(), (density.past_dim, 0))
    past = samples.unfold(0, density.past_dim, frames.shape[1])[: len(frames)]
    return frames, torch.cat([cond, past], -1)


def batches(frames: Frames, density: Sampler, size: int, seed: int, step: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches of about `size` frames, whole utterances in random order, from a step on."""
    framer = frames.framer()
    for number in range(step, 2**62):
        torch.manual_seed(mix_seed(seed, number))
        parts, count = [], 0
        while count < size:
            clip = frames.train[int(torch.randint(len(frames.train), ()))]
            parts.append(with_past(density, framer.to_frames(clip.waveform[None], noise=True)[0], clip.cond))
            count += len(clip.cond)
        yield tuple(torch.cat(part) for part in zip(*parts, strict=True))


@torch.no_grad()
def likelihood(frames: Frames, density: Density, base: Density | None = None) -> dict[str, Any]:
    """Bits per sample of the test utterances with their interval, the tag, and the error of a bound's own noise.

    Of an estimate also the effective sample size; and what it gains, in bits, over the density that it tilts. A
    recovery likelihood takes so long that of each utterance a few frames are measured.
    """
    if density.likelihood == "none":
        return {"likelihood": "none"}
    framer, values, weights, variance = frames.framer(), [], [], 0.0
    sizes, gains, estimates = [], [], estimates_normaliser(density)
    few = any(isinstance(part, Recovery) for part in density.modules())
    repeats = 1 if density.likelihood == "exact" else 2
    for clip in frames.test:
        torch.manual_seed(mix_seed("likelihood", clip.id))
        packed = with_past(density, framer.to_frames(clip.waveform[None], noise=True)[0], clip.cond)
        if few:
            packed = tuple(part[:: math.ceil(len(part) / RECOVERY_FRAMES)] for part in packed)
        draws = [-density.log_prob(*packed, torch.Generator().manual_seed(i)).double() for i in range(repeats)]
        nats = float(sum(draws).sum()) / repeats
        if repeats == 2:
            variance += float(((draws[0] - draws[1]) / 2).square().sum())
        count = packed[0].numel()
        values.append(bits_per_sample(nats, count, frames.scale))
        weights.append(count)
        if estimates:
            sizes.append(1 / sample_sizes(density, len(packed[0])))
        if base is not None:
            exact = -float(base.log_prob(*packed).double().sum())
            gains.append(bits_per_sample(exact, count, frames.scale) - values[-1])
    error = math.sqrt(variance) / (sum(weights) * math.log(2))
    return {
        "likelihood": density.likelihood,
        "bits_per_sample": mean_interval(values, weights),
        "standard_error": error,
        **({"sample_size": float(1 / torch.cat(sizes).mean())} if estimates else {}),
        **({"gain": mean_interval(gains, weights)} if base is not None else {}),
    }


@torch.no_grad()
def draw(frames: Frames, density: Sampler, options: SamplingOptions, seed: int = 0) -> list[np.ndarray]:
    """Speech drawn on the test utterances' contexts, (S,) each; all of them at once, frame after frame."""
    framer, lengths = frames.framer(), [len(clip.cond) for clip in frames.test]
    cond = torch.nn.utils.rnn.pad_sequence([clip.cond for clip in frames.test], batch_first=True)
    generator, length = torch.Generator().manual_seed(seed), frames.config.audio.frame_length
    past = torch.zeros(len(lengths), max(density.past_dim, length))
    limit, drawn = (1 + frames.config.audio.preemphasis) * frames.scale, []
    for context in cond.unbind(1):
        joined = torch.cat([context, past[:, past.shape[1] - density.past_dim :]], -1)
        frame = density.sample(joined, options, generator).nan_to_num(0.0).clamp(-limit, limit)
        drawn.append(frame)
        past = torch.cat([past, frame], 1)[:, -past.shape[1] :]
    speech = framer.to_waveform(torch.stack(drawn, 1)).clamp(-1, 1).numpy()
    return [row[: count * length] for row, count in zip(speech, lengths, strict=True)]


def real_time_factor(frames: Frames, density: Sampler, options: SamplingOptions, seconds: float = 1.0) -> float:
    """CPU seconds that a second of speech costs, one utterance at a time."""
    audio = frames.config.audio
    count = max(2, round(seconds * audio.sample_rate / audio.frame_length))
    cond = torch.zeros(1, density.cond_dim + density.past_dim)
    generator = torch.Generator().manual_seed(0)
    density.sample(cond, options, generator)
    start = time.process_time()
    for _ in range(count):
        density.sample(cond, options, generator)
    return (time.process_time() - start) / (count * audio.frame_length / audio.sample_rate)


def periodicity(samples: np.ndarray, rate: int) -> float:
    """How much sound repeats itself: the best normalised correlation of 15 ms, below 1.5 kHz, with 2 to 25 ms before.

    The mean over the windows, every 10 ms, that are not much softer than the loudest.
    """
    audio = torch.from_numpy(np.ascontiguousarray(resample(samples, rate, PERIODICITY_RATE), dtype=np.float32))
    window, query = 640, 240
    if len(audio) < window:
        return math.nan
    rows = audio.unfold(0, window, 160)
    energy = rows.square().mean(1)
    rows = rows[energy > energy.max() * 10 ** (-SILENCE_DECIBELS / 10)]
    frequency = torch.arange(513) * PERIODICITY_RATE / 1024
    low = torch.fft.irfft(torch.fft.rfft(rows, 1024) * ((1500 - frequency) / 500).clamp(0, 1), 1024)[:, :window]
    last, lags = low[:, -query:], torch.arange(32, LONGEST_LAG + 1)
    products = torch.fft.irfft(torch.fft.rfft(low, 1024) * torch.fft.rfft(last, 1024).conj(), 1024)
    start = window - query - lags
    sums = torch.nn.functional.pad(low.square().cumsum(1), (1, 0))
    scale = ((sums[:, start + query] - sums[:, start]) * last.square().sum(1, keepdim=True)).sqrt()
    return float((products[:, start] / (scale + 1e-6)).amax(1).mean())


def log_spectral_distance(reference: np.ndarray, speech: np.ndarray, rate: int) -> float:
    """Root mean square difference of the log-mel spectrograms, in decibels; nothing is warped in time."""
    pair = [log_mel(samples, rate) for samples in (reference, speech)]
    return float(20 / math.log(10) * np.sqrt(np.mean((pair[0] - pair[1]) ** 2)))


def sound(frames: Frames, speech: list[np.ndarray]) -> dict[str, Any]:
    """Periodicity, log-spectral distance and DNSMOS of speech, with intervals over the utterances."""
    rate = frames.config.audio.sample_rate
    recordings = [clip.waveform.numpy() for clip in frames.test]
    figures = {
        "periodicity": [periodicity(samples, rate) for samples in speech],
        "log_spectral_distance": [
            log_spectral_distance(one, other, rate) for one, other in zip(recordings, speech, strict=True)
        ],
    }
    if missing_quality() is None:
        figures["dnsmos"] = [dnsmos(samples, rate)["dnsmos"] for samples in speech]
    weights = [1.0] * len(speech)
    return {name: mean_interval(values, weights) for name, values in figures.items()}


def build(frames: Frames, section: dict[str, Any]) -> Any:
    """The density of a section of the config, given as plain values."""
    config = from_dict({**to_dict(frames.config), "density": section})
    return config.density.build(config.audio.frame_length, frames.cond_dim, config.audio)
