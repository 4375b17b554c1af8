"""A corpus in the format of `wavetts preprocess` and a config, both as small as can be, for the tests of training."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile

from wavetts.config import Config
from wavetts.config.load import from_dict

RATE = 8000
FRAME = 160
LETTERS = "abcdefgh"


def write_corpus(folder: Path, train: int = 24, dev: int = 4, seed: int = 0) -> Path:
    """Utterances of 0.2 to 0.9 s: each letter is 80 ms of a tone of its own."""
    rng = np.random.default_rng(seed)
    (folder / "audio").mkdir(parents=True)
    for split, count in (("train", train), ("dev", dev), ("test", 2)):
        lines = []
        for number in range(count):
            text = "".join(rng.choice(list(LETTERS), rng.integers(3, 12)))
            if split == "train" and number < len(LETTERS):
                text = LETTERS[number] + text[1:]
            time = np.arange(int(0.08 * RATE)) / RATE
            tones = [np.sin(2 * np.pi * (200 + 150 * LETTERS.index(letter)) * time) for letter in text]
            audio = 0.3 * np.concatenate(tones) + 0.01 * rng.standard_normal(len(text) * len(time))
            audio = audio[: len(audio) - int(rng.integers(0, FRAME))]
            name = f"{split}-{number:03d}"
            soundfile.write(folder / "audio" / f"{name}.flac", audio, RATE, subtype="PCM_16")
            lines.append(
                {
                    "id": name,
                    "audio": f"audio/{name}.flac",
                    "samples": len(audio),
                    "seconds": len(audio) / RATE,
                    "text": text.upper(),
                    "spoken": text,
                    "phonemes": text,
                }
            )
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / f"{split}.jsonl").write_text(text, encoding="utf-8")
    info = {"sample_rate": RATE, "language": "en-us", "espeak_version": "1.52.0", "front_end_version": "2"}
    (folder / "info.json").write_text(json.dumps(info), encoding="utf-8")
    return folder


def toy_config(encoder: dict | None = None, **train: object) -> Config:
    """A config of some ten thousand parameters; `train` overrides its train section."""
    return from_dict(
        {
            "text": {"input": "characters"},
            "audio": {"sample_rate": RATE, "frame_length": FRAME},
            "encoder": encoder or {"kind": "conv_lstm", "hidden_dim": 16, "num_layers": 1, "dropout": 0.1},
            "attention": {"kind": "gmm", "hidden_dim": 16, "num_components": 2},
            "decoder": {"prenet_dims": [16, 16], "attention_dim": 16, "hidden_dim": 16, "num_layers": 1},
            "density": {"kind": "compact", "num_couplings": 2, "hidden_dim": 16},
            "train": {
                "max_steps": 20,
                "batch_seconds": 4.0,
                "learning_rate": 3e-3,
                "warmup_steps": 5,
                "log_every": 2,
                "eval_every": 10,
                "save_every": 5,
                "sample_every": 1000,
                "num_samples": 2,
                **train,
            },
        }
    )


@contextmanager
def no_noise() -> Iterator[None]:
    """Within it a waveform is neither dequantised nor dithered."""
    from unittest.mock import patch

    from wavetts.model.tacotron import WaveTacotron

    to_frames = WaveTacotron.to_frames
    with patch.object(WaveTacotron, "to_frames", lambda self, waveform, noise: to_frames(self, waveform, False)):
        yield


def train_without_noise(config: Config, data: Path, run: Path) -> None:
    """Trains without dropout and dequantisation, which depend on how a batch is shared out."""
    from wavetts.training.loop import train

    config.encoder.dropout = 0.0
    with no_noise():
        train(config, data, run, device="cpu", threads=1)


def metrics(run: Path, kind: str) -> list[dict]:
    """The run's lines of a kind, without what depends on the clock."""
    clock = ("time", "minutes", "audio_seconds_per_second")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{k: v for k, v in line.items() if k not in clock} for line in lines if line["kind"] == kind]


if __name__ == "__main__":
    # python toy.py DATA RUN TRAIN_SECTION: a run without noise in a process of its own.
    train_without_noise(toy_config(**json.loads(sys.argv[3])), Path(sys.argv[1]), Path(sys.argv[2]))
