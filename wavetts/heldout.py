"""Held-out figures and samples of a model in training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from wavetts.config import Config
from wavetts.data import Clip, Corpus, mix_seed
from wavetts.distributed import Processes
from wavetts.generate import Utterance, generate
from wavetts.layers import length_mask
from wavetts.logs import RunLog
from wavetts.model import WaveTacotron
from wavetts.objective import alignment_scores, bits_per_sample, loss_sums
from wavetts.plots import alignment_figure, spectrogram_figure
from wavetts.text.tokenizer import Tokenizer


@torch.inference_mode()
def evaluate(model: WaveTacotron, corpus: Corpus, config: Config, processes: Processes) -> dict[str, Any]:
    """Teacher-forced figures of a corpus: clean history, T = 1, dequantisation and declared dither from a fixed seed.

    Args:
        model: in evaluation mode.
        corpus: not empty; its batches are dealt out over the processes.
        config: for the batch size.
        processes: those that evaluate together; all get the same figures.

    Returns:
        "bits_per_sample"; "nll" (nats per sample of the scaled signal); "stop_accuracy" (over frames); "stop_recall"
        (utterances whose last frame's stop probability is above 1/2); "coverage" and "diagonality" of the alignments,
        means over utterances.
    """
    train = config.train
    # float64 sums: the figures are compared between runs.
    sums = torch.zeros(7, dtype=torch.float64, device=processes.device)
    plan = corpus.plan_in_order(train.batch_seconds / (train.accumulate * processes.world_size))
    for number in range(processes.rank, len(plan), processes.world_size):
        batch = corpus.collate(plan[number]).to(processes.device)
        torch.manual_seed(mix_seed(train.seed, "evaluate", number))
        result = loss_sums(model, batch)
        logits = result.output.stop_logits
        last = torch.arange(logits.shape[1], device=logits.device) == batch.frame_lengths[:, None] - 1
        valid = length_mask(batch.frame_lengths, logits.shape[1])
        scores = alignment_scores(result.output.alignment, batch.token_lengths, batch.frame_lengths)
        sums += torch.stack(
            [
                result.frame_nll.double(),
                valid.sum().double(),
                (((logits > 0) == last) & valid).sum().double(),
                ((logits > 0) & last).sum().double(),
                scores["coverage"].double().sum(),
                scores["diagonality"].double().sum(),
                torch.tensor(len(batch.ids), dtype=torch.float64, device=processes.device),
            ]
        )
    frame_nll, frames, correct, recalled, coverage, diagonality, utterances = processes.sum(sums).tolist()
    samples = round(frames) * corpus.frame_length
    return {
        "bits_per_sample": bits_per_sample(frame_nll, samples, float(model.scale)),
        "nll": frame_nll / samples,
        "stop_accuracy": correct / frames,
        "stop_recall": recalled / utterances,
        "coverage": coverage / utterances,
        "diagonality": diagonality / utterances,
    }


def choose_samples(corpus: Corpus, count: int) -> list[Clip]:
    """The sentences that are synthesised throughout a run: of lengths that are spread over the corpus'."""
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
    """Draws teacher-forced alignments, and speaks the sentences: alignment, spectrogram and audio of each.

    Args:
        model: in evaluation mode.
        corpus: that the clips are of.
        clips: as `choose_samples` gives them, at least one.
        config: for the temperature.
        tokenizer: names the tokens.
        log: where everything goes.
        step: steps done.
        references: log the recordings too; they do not change.
    """
    rate = corpus.sample_rate
    batch = corpus.collate(clips).to(model.scale.device)
    torch.manual_seed(mix_seed(config.train.seed, "samples"))
    forced = loss_sums(model, batch).output.alignment
    spoken = [
        Utterance(corpus.tokens[clip.index], row, 2 * clip.num_frames + 10, config.train.sample_temperature)
        for row, clip in enumerate(clips)
    ]
    generate(model, spoken)
    for row, clip in enumerate(clips):
        name = batch.ids[row]
        tokens = [tokenizer.symbols[token] for token in corpus.tokens[clip.index]]
        alignments = {"forced": forced[row, : clip.num_frames, : len(tokens)].cpu(), "spoken": spoken[row].alignment}
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
