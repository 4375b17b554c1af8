"""Models and other systems on the same sentences: likelihood, distance from recordings, intelligibility, robustness."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from wavetts.config import Config
from wavetts.corpus.batches import Corpus
from wavetts.corpus.manifest import load_info, load_manifest
from wavetts.errors import UserError
from wavetts.evaluation import intervals
from wavetts.evaluation.measures import Rows, compare_with, summarise_rows
from wavetts.evaluation.metrics import missing_metrics
from wavetts.evaluation.quality import missing_quality
from wavetts.evaluation.recognisers import missing_recogniser
from wavetts.evaluation.robustness import token_health
from wavetts.evaluation.scores import Parts, score_speech
from wavetts.evaluation.speed import VoiceSpeaker, measure_speed
from wavetts.evaluation.systems import (
    Sentence,
    System,
    find_systems,
    read_folder,
    read_recordings,
    read_sentences,
    speak_sentences,
)
from wavetts.parallel import ordered_map
from wavetts.progress import progress_bar
from wavetts.synthesis.catalog import find_voice
from wavetts.synthesis.settings import SynthesisSettings
from wavetts.synthesis.voice import Voice, load_voice
from wavetts.training.distributed import Processes
from wavetts.training.heldout import choose_likelihood, summarise, utterance_figures
from wavetts.version import __version__

# A batch of a large machine's training would fill a small one's memory.
BATCH_SECONDS = 60.0
# Speed hardly depends on the sentence.
SPEED_SENTENCES = 8


@dataclass(frozen=True)
class Options:
    """What to measure.

    Attributes:
        synthesize: how many of the first sentences are spoken and scored; None: all of them if a folder of WAVs or a
            second system is there, or a page is wanted; otherwise none.
        page: the speech is wanted for a listening page.
        recogniser: one of `recognise.RECOGNISERS`.
        whisper_model: folder of faster-whisper's model.
        speed: thread counts to measure models' speed with; empty: not measured.
        jobs: processes that score.
        likelihood: of a diffusion: "bound", "ode" (the density of its probability-flow ODE, slowly), or None, what its
            config says.
    """

    synthesize: int | None = None
    page: bool = False
    recogniser: str = "pocketsphinx"
    whisper_model: Path | None = None
    speed: tuple[int, ...] = ()
    jobs: int = 1
    likelihood: Literal["bound", "ode"] | None = None


@dataclass
class Evaluation:
    """All that was measured: `results` for a file and tables; sentences and speech for the listening page."""

    results: dict[str, Any]
    sentences: list[Sentence]
    systems: list[System]
    rows: Rows


def evaluate(
    paths: Sequence[str | Path],
    source: Path,
    options: Options | None = None,
    settings: SynthesisSettings | None = None,
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "float32", "int8"] = "auto",
) -> Evaluation:
    """Measures systems on the same sentences.

    Args:
        paths: models, as for `load_voice`, and folders of ID.wav or ID.flac; the others are compared with the first.
        source: as for `systems.read_sentences`.
        options: what to measure; None takes the defaults.
        settings: how models speak; None takes the defaults.
        device: as for `load_voice`.
        threads: as for `load_voice`.
        precision: as for `load_voice`, of speech; likelihoods are of the weights as they were trained.

    Raises:
        UserError: a system or the sentences cannot be read or do not go together.
    """
    options, settings = options or Options(), settings or SynthesisSettings()
    sentences, language, is_manifest = read_sentences(source)
    systems = find_systems([str(path) for path in paths])
    first, spoken = systems[0], sentences[: _count(options, systems, sentences)]
    if not sentences:
        raise UserError(f"{source}: no utterance in it")
    if not (spoken or is_manifest or options.speed):
        raise UserError(f"{source}: no manifest of `wavetts preprocess`; say how many texts to synthesize")
    # Before minutes of synthesis: what is missing, and mistakes in the options.
    missing_words = missing_recogniser(options.recogniser, options.whisper_model, language)
    missing = {"recogniser": missing_words, "dnsmos": missing_quality()}
    if not any(sentence.recording for sentence in spoken):
        missing["recordings"] = "no recordings: the sentences are a list of texts"
    elif reason := missing_metrics():
        missing["distances"] = reason
    for system in systems:
        if system.kind == "folder":
            read_folder(system, spoken)
        else:
            find_voice(system.path)
    rows: Rows = {system.name: {sentence.id: {} for sentence in sentences} for system in systems}
    described, frame_seconds = [], None
    for system in systems:
        entry: dict[str, Any] = {"name": system.name, "kind": system.kind, "path": system.path}
        described.append(entry)
        if system.kind == "folder":
            continue
        voice = load_voice(system.path, device, threads, precision)
        entry["training"], audio = voice.info, voice.config.audio
        frame_seconds = frame_seconds or audio.frame_length / audio.sample_rate
        if is_manifest:
            try:
                if options.likelihood is not None:
                    choose_likelihood(voice.model, options.likelihood)
                entry["teacher_forced"] = _teacher_forced(voice, Path(source), rows[system.name])
            except UserError as error:
                # Another one may have another sample rate: it still speaks.
                if system is first:
                    raise
                entry["teacher_forced"] = {"missing": str(error)}
        if spoken:
            with progress_bar(total=len(spoken), desc=f"{system.name} speaks", unit="text") as bar:
                speak_sentences(system, voice, spoken, settings, bar.update)
        del voice
        gc.collect()
        if options.speed:
            entry["speed"] = _speed(system.path, device, precision, sentences, options.speed, settings)
    if spoken and "recordings" not in missing:
        systems.insert(0, read_recordings(spoken))
        described.insert(0, {"name": "recordings", "kind": "recordings", "path": ""})
        rows = {"recordings": {sentence.id: {} for sentence in spoken}} | rows
    recogniser = None if missing_words else (options.recogniser, options.whisper_model, language)
    parts = Parts(recogniser, language, missing["dnsmos"] is None, "distances" not in missing, frame_seconds)
    _score(systems, spoken, rows, parts, options.jobs)
    for entry in described:
        entry["figures"] = summarise_rows(rows[entry["name"]].values())
    results = {
        "wavetts": __version__,
        "source": str(source),
        "utterances": len(sentences),
        "spoken": len(spoken),
        "language": language,
        "recogniser": options.recogniser,
        "missing": {name: reason for name, reason in missing.items() if reason and spoken},
        "settings": dataclasses.asdict(settings),
        "bootstrap": {"resamples": intervals.RESAMPLES, "level": intervals.LEVEL, "seed": intervals.SEED},
        "systems": described,
        "paired": compare_with(first.name, rows),
        "rows": [
            {"system": name, "id": sentence.id, "text": sentence.text, **rows[name][sentence.id]}
            for name in rows
            for sentence in sentences
            if rows[name].get(sentence.id)
        ],
    }
    return Evaluation(results, spoken, systems, rows)


def _count(options: Options, systems: list[System], sentences: list[Sentence]) -> int:
    """How many of the sentences are spoken."""
    if options.synthesize is None:
        wanted = options.page or len(systems) > 1 or systems[0].kind == "folder"
        return len(sentences) if wanted else 0
    if options.synthesize < 0:
        raise UserError(f"synthesize {options.synthesize}: must not be negative")
    if options.page and not options.synthesize:
        raise UserError("there is nothing to listen to on a page with synthesize 0")
    return options.synthesize


def _teacher_forced(voice: Voice, manifest: Path, rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Fills each utterance's row and returns the figures of all, with the likelihood's tag and declared noise."""
    load_info(manifest.parent, voice.config)
    utterances = load_manifest(manifest)
    corpus = Corpus(utterances, voice.tokenizer, voice.config, skip_unknown=True)
    if not len(corpus):
        raise UserError(f"{manifest}: no utterance in it that this model can read")
    model, audio = voice.model, voice.config.audio
    total = None
    processes = Processes(0, 1, model.scale.device)
    for batch, figures, alignments in utterance_figures(model, corpus, _small_batches(voice.config), processes):
        total = figures.sum(0) if total is None else total + figures.sum(0)
        lengths = zip(batch.frame_lengths.tolist(), batch.token_lengths.tolist(), strict=True)
        for name, figure, alignment, (frames, tokens) in zip(batch.ids, figures, alignments, lengths, strict=True):
            health = token_health(alignment[:frames, :tokens].cpu().numpy())
            rows[name] |= {
                **{f"forced_{key}": value for key, value in summarise(figure, model).items()},
                "forced_frames": frames,
                "forced_tokens": tokens,
                "forced_skipped": health["skipped"] / tokens,
                "forced_repeated": health["repeated"] / tokens,
            }
    assert total is not None
    return {
        **summarise(total, model),
        "utterances": len(corpus),
        "left_out": len(utterances) - len(corpus),
        "minutes": corpus.hours * 60,
        "likelihood": model.density.likelihood,
        "sample_rate": audio.sample_rate,
        "frame_length": audio.frame_length,
        "dither": audio.dither,
    }


def _small_batches(config: Config) -> Config:
    seconds = min(config.train.batch_seconds, BATCH_SECONDS)
    return dataclasses.replace(config, train=dataclasses.replace(config.train, batch_seconds=seconds, accumulate=1))


def _score(systems: list[System], sentences: list[Sentence], rows: Rows, parts: Parts, jobs: int) -> None:
    """Fills the rows; sentence by sentence, so that a recording is analysed once for all systems."""
    keys = [(system, sentence) for sentence in sentences for system in systems if sentence.id in system.speech]
    work = [(sentence, system.speech[sentence.id], system.kind != "recordings", parts) for system, sentence in keys]
    if not work:
        return
    scored = ordered_map(score_speech, work, jobs, chunksize=len(systems))
    bar = progress_bar(scored, desc="scoring", total=len(work), unit="clip")
    for (system, sentence), row in zip(keys, bar, strict=True):
        rows[system.name][sentence.id] |= row


def _speed(
    path: str,
    device: str,
    precision: str,
    sentences: list[Sentence],
    threads: tuple[int, ...],
    settings: SynthesisSettings,
) -> list[dict[str, Any]]:
    texts = [sentence.spoken for sentence in sentences[:SPEED_SENTENCES]]
    once = dataclasses.replace(settings, retries=0)
    sizes = sorted({1, min(settings.batch_size, len(texts))})
    return [
        measure_speed(VoiceSpeaker, (path, device, count, once, precision), texts, size, count)
        for count in threads
        for size in sizes
    ]
