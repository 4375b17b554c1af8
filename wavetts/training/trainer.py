"""A training run: optimiser steps, exact resuming, data parallel processes, checkpoints, logs."""

from __future__ import annotations

import copy
import math
import signal
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch

from wavetts.config import Config
from wavetts.config.load import dump_config, to_dict
from wavetts.corpus.batches import Corpus, Step, training_steps
from wavetts.corpus.manifest import build_tokenizer, load_info, load_manifest
from wavetts.errors import UserError
from wavetts.files import remove_temporaries, write_atomic
from wavetts.interrupt import Interrupt
from wavetts.model import checkpoint
from wavetts.model.checkpoint import check_finite
from wavetts.model.lora import plain_weights, train_low_rank
from wavetts.model.tacotron import WaveTacotron
from wavetts.seeds import mix_seed
from wavetts.text.tokenizer import Tokenizer
from wavetts.training import state as states
from wavetts.training.distributed import Processes
from wavetts.training.heldout import choose_samples, evaluate, log_samples
from wavetts.training.initialise import initialize_density, signal_std
from wavetts.training.log import RunLog, Stopwatch
from wavetts.training.objective import MaximumLikelihood, Objective
from wavetts.training.optim import build_average, build_optimizer, clip_gradients, learning_rate, progress


class Trainer:
    """A training run. A step depends only on the state, the config and the number of the step."""

    def __init__(
        self,
        config: Config,
        data_dir: Path,
        run_dir: Path,
        resume: bool,
        init_from: Path | None,
        processes: Processes,
        voice_folders: Sequence[Path] = (),
        objective: Objective | None = None,
    ) -> None:
        """Loads data and weights; writes nothing yet. Arguments and errors as for `loop.train`."""
        self.config, self.run_dir, self.processes = config, run_dir, processes
        self.objective = objective or MaximumLikelihood(config.train)
        state = None
        if resume:
            state = states.newest_state(run_dir)
            states.check_config(state, config, run_dir)
        elif states.list_states(run_dir) or any(run_dir.glob("*.safetensors")):
            raise UserError(f"{run_dir}: holds a run already; resume it, or choose another folder")

        info = load_info(data_dir, config)
        utterances = load_manifest(data_dir / "train.jsonl")
        torch.manual_seed(config.train.seed)
        if state is not None:
            self.tokenizer = Tokenizer.from_dict(state["tokenizer"])
            states.check_front_end(self.tokenizer, info, data_dir)
            self.model = WaveTacotron(config, len(self.tokenizer.symbols))
        else:
            self.tokenizer = build_tokenizer(utterances, info, config)
            if init_from is not None:
                self.model, self.tokenizer = states.start_from(init_from, config, self.tokenizer, voice_folders)
            else:
                self.model = WaveTacotron(config, len(self.tokenizer.symbols))
        if config.train.adapter_rank and not resume and init_from is None:
            raise UserError("train.adapter_rank: there is no model to adapt; name one to start from")
        if config.density.tilts and not resume and init_from is None:
            raise UserError("density: a tilt is trained on a model that stays as it is; name one to start from")
        self.corpus = Corpus(utterances, self.tokenizer, config)
        if not len(self.corpus):
            raise UserError(f"{data_dir / 'train.jsonl'}: no utterance to train on")
        self.dev = Corpus(load_manifest(data_dir / "dev.jsonl"), self.tokenizer, config, skip_unknown=True)
        if not len(self.dev):
            warnings.warn(f"{data_dir / 'dev.jsonl'}: no utterance; nothing is evaluated or sampled", stacklevel=2)
        self.clips = choose_samples(self.dev, config.train.num_samples)

        self.model.to(processes.device).train()
        plain = self.model
        if config.train.adapter_rank:
            plain = copy.deepcopy(self.model)
            train_low_rank(self.model, config.train.adapter_rank)
        if state is not None:
            self.model.load_state_dict(state["model"])
        else:
            if init_from is None:
                self.model.scale.fill_(1.0 / signal_std(self.corpus, config, data_dir / "train.jsonl"))
            initialize_density(self.model, self.corpus, config, processes.world_size)
            processes.broadcast(self.model)
        self.objective.prepare(self.model)
        plain.load_state_dict(plain_weights(self.model))
        self.average = build_average(plain, config.train.ema_decay)
        self.averaged_model = cast(WaveTacotron, self.average.module)
        self.optimizer = build_optimizer(self.model, config.train)
        self.step, self.epoch, self.index, self.bad_steps, self.best, self.minutes = 0, 0, 0, 0, math.inf, 0.0
        self.interval = dict.fromkeys(("steps", "frames", *self.objective.terms, "norm", "minutes"), 0.0)
        if state is not None:
            self._restore(state)
        if config.train.compile:  # in place of the methods, so that names of weights do not change
            self.model.density.loss = torch.compile(self.model.density.loss, dynamic=True)
        if config.train.compile_attention:
            self.model.decoder.attend_step = torch.compile(self.model.decoder.attend_step, dynamic=True)
        self.interrupt = Interrupt()
        self.stopping = False  # once all processes have agreed to stop
        self.saved = self.minutes
        self.evaluated = self.sampled = -1
        # Held-out figures of step `evaluated`.
        self.figures: dict[str, float] = {}

    def _restore(self, state: dict[str, Any]) -> None:
        """Restores optimiser, average and counters from a state; the weights are loaded already."""
        for name in ("step", "epoch", "index", "bad_steps", "best", "minutes", "interval"):
            setattr(self, name, state[name])
        states.restore(state, self.average, self.optimizer, self.run_dir)

    def _open_log(self) -> RunLog:
        """Creates the run folder; removes states that an interrupted process wrote after the one that is resumed."""
        write_atomic(self.run_dir / "config.yaml", dump_config(self.config))
        remove_temporaries(self.run_dir)
        for path in states.list_states(self.run_dir):
            if path > states.state_path(self.run_dir, self.step):
                path.unlink()
        return RunLog(self.run_dir, self.step, progress(self.config.train, self.step, self.minutes))

    def run(self) -> None:
        """Trains until the end, a signal, or a UserError."""
        train = self.config.train
        # Everybody has looked at the folder before the main process writes to it.
        self.processes.barrier()
        self.log = self._open_log() if self.processes.is_main else None
        self.watch = Stopwatch(self.minutes)
        data = training_steps(
            self.corpus,
            self.config,
            self.epoch,
            self.index,
            self.processes.rank,
            self.processes.world_size,
            pin_memory=self.processes.device.type == "cuda",
        )
        try:
            with self.interrupt:
                while progress(train, self.step, self.minutes) < 1 and not self.stopping:
                    self._train_step(next(data))
                    # By the main process' clock, which all have the time of.
                    due = 0 < train.save_minutes <= self.minutes - self.saved
                    with self.watch.paused():
                        if due or self.step % train.eval_every == 0:
                            self._evaluate()
                        if self.step % train.sample_every == 0:
                            self._sample()
                    if due or self.step % train.save_every == 0:
                        self._save()
                        self.saved = self.minutes
                if not self.stopping:
                    with self.watch.paused():
                        self._evaluate()
                        self._sample()
                self._save()
        finally:
            data.close()
            if self.log is not None:
                self.log.close()
        # Another process may have got it.
        number = (self.interrupt.signal or signal.SIGTERM) if self.stopping else None
        if self.log is not None:
            self.log.tell_end(self.step, self.minutes, self.best, number, self.figures)
        if number is not None:
            raise SystemExit(128 + number)

    def _train_step(self, item: Step) -> None:
        """Computes a batch and makes an optimiser step, unless the loss or the gradient is not finite."""
        train, processes = self.config.train, self.processes
        num_samples = item.num_frames * self.corpus.frame_length
        terms = self.objective.terms
        # Sums over processes: the objective's terms, the main one's minutes and norm, processes that got a signal.
        sums = torch.zeros(len(terms) + 3, dtype=torch.float64, device=processes.device)
        for micro, batch in enumerate(item.batches):
            if batch is None:
                continue
            # Noise and dropout are a function of the step: resuming needs no generator's state.
            torch.manual_seed(mix_seed(train.seed, self.step, processes.rank, micro))
            result = self.objective(self.model, batch.to(processes.device), self.step)
            result.loss(num_samples).backward()
            part = result.sums()
            sums[:-3] += torch.stack([part[name] for name in terms])
        processes.sum_gradients(self.model)
        norm = clip_gradients(self.model, train.clip_norm)
        if processes.is_main:
            sums[-3], sums[-2] = self.watch.read(), norm
        sums[-1] = self.interrupt.signal is not None
        # The one place of a step that waits for a GPU.
        *values, self.minutes, norm, signals = processes.sum(sums).tolist()
        self.stopping = signals > 0

        rate = learning_rate(train, self.step, self.minutes)
        finite = all(map(math.isfinite, (*values, norm)))
        if finite:
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self.optimizer.step()
            self.average.update_parameters(self.model)
        self.optimizer.zero_grad(set_to_none=True)
        self.step, self.epoch, self.index = self.step + 1, item.epoch, item.index + 1
        if self.log is not None:
            self.log.advance(self.step, progress(train, self.step, self.minutes))
        if not finite:
            self._skip(item, dict(zip(terms, values, strict=True)), norm)
            return
        self.bad_steps = 0
        for name, value in zip(self.interval, (1, item.num_frames, *values, norm, 0), strict=True):
            self.interval[name] += value
        if self.step % train.log_every == 0:
            self._log_interval(rate)

    def _skip(self, item: Step, sums: dict[str, float], norm: float) -> None:
        """Records a step that was left out; raises a UserError after `train.max_bad_steps` in a row."""
        self.bad_steps += 1
        terms = ", ".join(f"{name} {value / item.num_frames:.4g} a frame" for name, value in sums.items())
        what = f"step {self.step}: not finite ({terms}, gradient norm {norm:.4g})"
        if self.log is not None:
            self.log.figures(
                "bad_batch", self.step, self.minutes, {"ids": item.ids, "what": what, "in_a_row": self.bad_steps}
            )
            self.log.say(f"warning: {what}; skipped; its utterances are in metrics.jsonl")
        if self.bad_steps >= self.config.train.max_bad_steps:
            raise UserError(
                f"{what}, {self.bad_steps} times in a row (train.max_bad_steps); the utterances are in "
                f"{self.run_dir / 'metrics.jsonl'}; resume with a lower train.learning_rate or without broken audio"
            )

    def _log_interval(self, rate: float) -> None:
        """Logs means since the last log entry. Their sums are in the state, so that a resumed run logs the same."""
        mean = self.interval
        if self.log is not None and mean["steps"]:
            samples = mean["frames"] * self.corpus.frame_length
            seconds = 60 * (self.minutes - mean["minutes"])
            figures = {
                **self.objective.figures(mean, mean["frames"], self.model),
                "learning_rate": rate,
                "grad_norm": mean["norm"] / mean["steps"],
                "audio_seconds_per_second": samples / self.corpus.sample_rate / max(seconds, 1e-9),
                "epoch": self.epoch,
            }
            self.log.figures("train", self.step, self.minutes, figures)
            self.log.show_training(figures, self.minutes)
        self.interval = {**dict.fromkeys(mean, 0.0), "minutes": self.minutes}

    def _evaluate(self) -> None:
        """Logs held-out figures of the averaged weights, at most once per step; saves the best model."""
        if not len(self.dev) or self.evaluated == self.step:
            return
        self.evaluated = self.step
        # Weights are alike already; running statistics of batch normalisation are each process' own.
        self.processes.broadcast(self.average.module)
        figures = self.figures = evaluate(self.averaged_model, self.dev, self.config, self.processes)
        score = figures.get("bits_per_sample", figures.get("loss"))
        better, self.best = score < self.best, min(self.best, score)
        if self.log is not None:
            self.log.figures("dev", self.step, self.minutes, figures)
            self.log.show(dev=f"{score:.3f}", aligned=f"{figures['diagonality']:.2f}")
            if better:
                self._save_model(checkpoint.BEST_NAME, figures)

    def _sample(self) -> None:
        """Logs synthesised sentences to TensorBoard, at most once per step."""
        if self.log is None or not self.clips or self.sampled == self.step:
            return
        first = self.sampled < 0
        log_samples(
            self.averaged_model,
            self.dev,
            self.clips,
            self.config,
            self.tokenizer,
            self.log,
            self.step,
            references=first,
        )
        self.sampled = self.step

    def _save_model(self, name: str, figures: dict[str, Any]) -> None:
        info = {
            "step": self.step,
            "epoch": self.epoch,
            "train_minutes": round(self.minutes, 2),
            "corpus_hours": round(self.corpus.hours, 3),
            "likelihood": self.model.density.likelihood,
            **figures,
        }
        weights = self.average.module.state_dict()
        checkpoint.save_model(self.run_dir / name, weights, self.config, self.tokenizer, info)

    def _save(self) -> None:
        """State, exported model, and only then the end of the oldest state.

        Raises:
            UserError: weights are not finite; nothing is written over those of earlier steps.
        """
        weights = {**self.model.state_dict(), **self.average.state_dict()}
        what = f"{self.run_dir}: step {self.step} is not saved"
        check_finite(weights, what, "resume with a lower train.learning_rate")
        if self.log is None:
            return
        state = {
            "step": self.step,
            "epoch": self.epoch,
            "index": self.index,
            "minutes": self.watch.read(),
            "bad_steps": self.bad_steps,
            "best": self.best,
            "interval": self.interval,
            "config": to_dict(self.config),
            "tokenizer": self.tokenizer.to_dict(),
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict()["state"],
        }
        states.save_state(states.state_path(self.run_dir, self.step), state)
        self._save_model(checkpoint.MODEL_NAME, self.figures if self.evaluated == self.step else {})
        states.prune_states(self.run_dir)
