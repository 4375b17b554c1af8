"""Held-out figures and synthesised samples of a model in training."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from wavetts.audio.figures import alignment_figure, spectrogram_figure
from wavetts.config import Config
from wavetts.corpus.batches import Batch, Clip, Corpus
from wavetts.errors import UserError
from wavetts.model.alignment import alignment_scores
from wavetts.model.density.diffusion.density import Diffusion, report
from wavetts.model.density.energy.importance import estimates_normaliser
from wavetts.model.device import own_random_numbers
from wavetts.model.generate import Engine, Generation, generate
from wavetts.model.layers import length_mask
from wavetts.model.tacotron import WaveTacotron
from wavetts.seeds import mix_seed
from wavetts.text.tokenizer import Tokenizer
from wavetts.training.distributed import Processes
from wavetts.training.log import RunLog
from wavetts.training.objective import LossSums, bits_per_sample, loss_sums

# Columns of what `utterance_figures` yields.
NLL, FRAMES, CORRECT, RECALLED, COVERAGE, DIAGONALITY, SHUFFLED_NLL, VARIANCE, INVERSE_SIZE, COUNT = range(10)


def choose_likelihood(model: WaveTacotron, what: Literal["bound", "ode"]) -> None:
    """Which likelihood is measured of a model whose density is, or holds, a diffusion.

    Raises:
        UserError: there is no diffusion in it.
    """
    if not any(isinstance(part, Diffusion) for part in model.density.modules()):
        raise UserError(
            f"likelihood: the density's is {model.density.likelihood}; only a diffusion has a choice of two"
        )
    report(model.density, what)


def evaluate(model: WaveTacotron, corpus: Corpus, config: Config, processes: Processes) -> dict[str, Any]:
    """Teacher-forced figures of a corpus.

    Args:
        model: in evaluation mode.
        corpus: not empty; its batches are distributed over the processes.
        config: for the batch size.
        processes: the process group; all processes return the same figures.

    Returns:
        See `summarise`.
    """
    # float64 sums: the figures are compared between runs.
    sums = torch.zeros(COUNT + 1, dtype=torch.float64, device=processes.device)
    # A likelihood whose normaliser is estimated takes too long for a run's figures, and may be refused.
    by_loss = estimates_normaliser(model.density)
    for _, figures, _ in utterance_figures(model, corpus, config, processes, by_loss):
        sums += figures.sum(0)
    return summarise(processes.sum(sums), model, by_loss)


def summarise(sums: Tensor, model: WaveTacotron, by_loss: bool = False) -> dict[str, float]:
    """The figures of a corpus, from sums over its utterances.

    Args:
        sums: (10,), the sum of the rows that `utterance_figures` yields.
        model: the model that was measured.
        by_loss: its nats are of what training minimises.

    Returns:
        "bits_per_sample" and its "standard_error", which the noise of a bound or an estimate gives it; "nll" (nats per
        sample of the scaled signal). Without a likelihood these and "text_gain" are missing, and "loss" (what training
        minimises, per sample) is there. "sample_size", the effective one of an estimated normaliser, where there is one
        (harmonic mean over the frames). "stop_accuracy" (over frames); "stop_recall"
        (utterances whose last frame's stop probability is above 1/2); "coverage" and "diagonality" of the alignments,
        means over utterances; "text_gain" (nats per frame that the likelihood loses when the text's tokens are
        shuffled). The text is worth a few nats a frame of hundreds, so that bits/sample hardly tell whether a model
        reads; this does.
    """
    values = sums.tolist()
    samples, utterances = round(values[FRAMES]) * model.frame_length, values[COUNT]
    likelihood = {
        "bits_per_sample": bits_per_sample(values[NLL], samples, float(model.scale)),
        "standard_error": math.sqrt(values[VARIANCE]) / (samples * math.log(2)),
        "nll": values[NLL] / samples,
    }
    if values[INVERSE_SIZE]:
        likelihood["sample_size"] = values[FRAMES] / values[INVERSE_SIZE]
    has_one = model.density.likelihood != "none" and not by_loss
    return {
        **(likelihood if has_one else {"loss": values[NLL] / samples}),
        "stop_accuracy": values[CORRECT] / values[FRAMES],
        "stop_recall": values[RECALLED] / utterances,
        "coverage": values[COVERAGE] / utterances,
        "diagonality": values[DIAGONALITY] / utterances,
        **({"text_gain": (values[SHUFFLED_NLL] - values[NLL]) / values[FRAMES]} if has_one else {}),
    }


@torch.inference_mode()
def utterance_figures(
    model: WaveTacotron, corpus: Corpus, config: Config, processes: Processes, by_loss: bool = False
) -> Iterator[tuple[Batch, Tensor, Tensor]]:
    """Measures utterances teacher forced: clean history, temperature 1, dequantisation and dither with a fixed seed.

    Arguments as for `evaluate`; `by_loss` as for `loss_sums`.

    Yields:
        A batch; (B, 10) float64, a row for each of its utterances: nats, frames, frames with the right stop decision,
        last frame recognised, coverage, diagonality, nats with the text shuffled, variance that the noise of a
        bound or an estimate gives the nats, one over the effective sample size of an estimate, summed over the frames,
        1; and the alignments (B, T, I).
    """
    train = config.train
    plan = corpus.plan_in_order(train.batch_seconds / (train.accumulate * processes.world_size))
    for number in range(processes.rank, len(plan), processes.world_size):
        batch = corpus.collate(plan[number]).to(processes.device)
        result, shuffled = (
            _forced(model, variant, mix_seed(train.seed, "evaluate", number), by_loss)
            for variant in (batch, _shuffled(batch))
        )
        logits = result.output.stop_logits
        frame_lengths = batch.frame_lengths.to(logits.device)
        last = torch.arange(logits.shape[1], device=logits.device) == frame_lengths[:, None] - 1
        valid = length_mask(frame_lengths, logits.shape[1])
        scores = alignment_scores(result.output.alignment, batch.token_lengths, batch.frame_lengths)
        columns = [
            _utterance_sums(result.packed_nll, valid),
            frame_lengths,
            (((logits > 0) == last) & valid).sum(1),
            ((logits > 0) & last).sum(1),
            scores["coverage"],
            scores["diagonality"],
            _utterance_sums(shuffled.packed_nll, valid),
            _utterance_sums(result.packed_variance, valid),
            _utterance_sums(result.packed_inverse_size, valid),
            torch.ones(len(batch.ids), device=logits.device),
        ]
        yield batch, torch.stack([column.double() for column in columns], 1), result.output.alignment


def _forced(model: WaveTacotron, batch: Batch, seed: int, by_loss: bool = False) -> LossSums:
    """A batch with the same dequantisation and dither each time."""
    with own_random_numbers(batch.waveform.device):
        torch.manual_seed(seed)
        return loss_sums(model, batch, by_loss=by_loss)


def _utterance_sums(packed: Tensor, valid: Tensor) -> Tensor:
    """(B,) float64: sums over each utterance, from its packed frames' values; valid is (B, T)."""
    values = torch.zeros(valid.shape, dtype=torch.float64, device=valid.device)
    values[valid] = packed.double()
    return values.sum(1)


def _shuffled(batch: Batch) -> Batch:
    """The batch with the tokens of every text in another order, but for the last: that a text ends there stays true."""
    tokens = batch.tokens.clone()
    for row, (name, length) in enumerate(zip(batch.ids, batch.token_lengths.tolist(), strict=True)):
        generator = torch.Generator().manual_seed(mix_seed("shuffled", name))
        order = torch.randperm(length - 1, generator=generator).to(tokens.device)
        tokens[row, : length - 1] = batch.tokens[row, order]
    return replace(batch, tokens=tokens)


def choose_samples(corpus: Corpus, count: int) -> list[Clip]:
    """Chooses the sentences that are synthesised throughout a run, with lengths spread over those of the corpus."""
    clips = [clip for batch in corpus.plan_in_order(float("inf")) for clip in batch]
    count = min(count, len(clips))
    return [clips[(2 * number + 1) * len(clips) // (2 * count)] for number in range(count)]


@torch.inference_mode()
def log_samples(
    model: WaveTacotron,
    corpus: Corpus,
    clips: Sequence[Clip],
    config: Config,
    tokenizer: Tokenizer,
    log: RunLog,
    step: int,
    references: bool,
) -> None:
    """Logs teacher-forced alignments of clips, and alignment, spectrogram and audio of their synthesis.

    Args:
        model: in evaluation mode.
        corpus: the corpus of the clips.
        clips: at least one, from `choose_samples`.
        config: for temperature and guidance.
        tokenizer: for the labels of tokens.
        log: the log.
        step: number of steps so far.
        references: also log the recordings.
    """
    rate = corpus.sample_rate
    batch = corpus.collate(clips).to(model.scale.device)
    by_loss = estimates_normaliser(model.density)
    forced = _forced(model, batch, mix_seed(config.train.seed, "samples"), by_loss).output.alignment
    options = (config.synthesis.temperature, config.synthesis.guidance)
    spoken = [
        Generation(corpus.tokens[clip.index], row, 2 * clip.num_frames + 10, *options) for row, clip in enumerate(clips)
    ]
    generate(Engine(model), spoken)
    for row, clip in enumerate(clips):
        name = batch.ids[row]
        tokens = [tokenizer.symbols[token] for token in corpus.tokens[clip.index]]
        read = forced[row, : clip.num_frames, : len(tokens)].cpu().numpy()
        alignments = {"forced": read, "spoken": spoken[row].alignment}
        for kind, alignment in alignments.items():
            shape = [torch.tensor([size]) for size in (len(tokens), len(alignment))]
            scores = alignment_scores(torch.as_tensor(alignment)[None], *shape)
            title = f"{name}, {kind}: " + ", ".join(f"{key} {float(value):.2f}" for key, value in scores.items())
            title += "" if kind == "forced" or spoken[row].stopped else ", did not stop"
            log.figure(f"alignment_{kind}/{row}", alignment_figure(alignment, tokens, title), step)
        waveform = spoken[row].waveform
        log.figure(f"spectrogram/{row}", spectrogram_figure(waveform, rate, f"{name}, step {step}"), step)
        log.audio(f"audio/{row}", waveform, rate, step)
        if references:
            reference = corpus.read(clip.index)
            log.figure(f"spectrogram_reference/{row}", spectrogram_figure(reference, rate, f"{name}, recording"), step)
            log.audio(f"audio_reference/{row}", reference, rate, step)
