"""What training adds up between two records of its figures."""

from __future__ import annotations

from dataclasses import dataclass

from wavetts.config import Config
from wavetts.training.objective import bits_per_sample


@dataclass
class Interval:
    """Sums over the steps since the last record; kept in the training state, so that a resumed run records the same.

    Attributes:
        steps: optimiser steps.
        frames: their valid frames.
        nll: nats of these frames, of the scaled signal.
        stop: nats of their stop decisions.
        norm: sum of the gradients' norms.
        minutes: of training when the interval began.
    """

    steps: float = 0.0
    frames: float = 0.0
    nll: float = 0.0
    stop: float = 0.0
    norm: float = 0.0
    minutes: float = 0.0

    def add(self, frames: int, nll: float, stop: float, norm: float) -> None:
        """Adds a step."""
        self.steps, self.frames, self.norm = self.steps + 1, self.frames + frames, self.norm + norm
        self.nll, self.stop = self.nll + nll, self.stop + stop

    def figures(self, config: Config, scale: float, minutes: float) -> dict[str, float]:
        """Means over the interval, of a step at least.

        Args:
            config: of the run.
            scale: the model's.
            minutes: of training now.

        Returns:
            "loss", "nll" (nats per sample of the scaled signal), "bits_per_sample", "stop_loss" (nats per frame),
            "grad_norm" and "audio_seconds_per_second".
        """
        samples = self.frames * config.audio.frame_length
        nll, stop = self.nll / samples, self.stop / self.frames
        return {
            "loss": nll + config.train.stop_weight * stop / config.audio.frame_length,
            "nll": nll,
            "bits_per_sample": bits_per_sample(self.nll, int(samples), scale),
            "stop_loss": stop,
            "grad_norm": self.norm / self.steps,
            "audio_seconds_per_second": samples / config.audio.sample_rate / max(60 * (minutes - self.minutes), 1e-9),
        }
