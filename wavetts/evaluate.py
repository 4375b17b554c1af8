"""A model's figures on held-out data: likelihood, attention, and how well a recogniser hears its speech."""

from __future__ import annotations

import dataclasses
import importlib.util
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from wavetts.audio import resample
from wavetts.config import Config
from wavetts.data import Corpus, load_info, load_manifest
from wavetts.distributed import Processes
from wavetts.errors import UserError
from wavetts.heldout import evaluate as evaluate_teacher_forced
from wavetts.inputs import SynthesisSettings
from wavetts.synthesize import Voice, chunks, load_voice
from wavetts.text.normalize import normalize

RECOGNISER_RATE = 16000
# A batch of a large machine's training would fill a small one's memory.
BATCH_SECONDS = 60.0


def evaluate(
    model: str | Path,
    manifest: Path,
    num_synthesized: int = 0,
    settings: SynthesisSettings | None = None,
    device: str = "auto",
    threads: int = 0,
) -> dict[str, Any]:
    """Measures a model on a manifest of `wavetts preprocess`.

    Args:
        model: as for `load_voice`.
        manifest: of data with the model's sample rate and language.
        num_synthesized: speak the first of its texts as well, and have a recogniser hear them and the recordings.
        settings: of that; None takes the defaults.
        device: as for `load_voice`.
        threads: as for `load_voice`.

    Returns:
        What was measured on what; "teacher_forced": as `heldout.evaluate`, with the likelihood's tag and the declared
        noise floor; "synthesis" if asked for: see `_evaluate_synthesis`.

    Raises:
        UserError: model or data cannot be read or do not go together, or no utterance can be used.
    """
    if num_synthesized < 0:
        raise UserError(f"--synthesize {num_synthesized}: must not be negative")
    settings = settings or SynthesisSettings()
    utterances = load_manifest(manifest)
    voice = load_voice(model, device, threads, "float32")
    load_info(manifest.parent, voice.config)
    corpus = Corpus(utterances, voice.tokenizer, voice.config, skip_unknown=True)
    if not len(corpus):
        raise UserError(f"{manifest}: no utterance in it that this model can read")
    audio = voice.config.audio
    results: dict[str, Any] = {
        "model": str(model),
        "training": voice.info,
        "manifest": str(manifest),
        "utterances": len(corpus),
        "left_out": len(utterances) - len(corpus),
        "minutes": corpus.hours * 60,
        "teacher_forced": {
            **evaluate_teacher_forced(
                voice.model, corpus, _small_batches(voice.config), Processes(0, 1, voice.model.scale.device)
            ),
            "likelihood": voice.model.density.likelihood,
            "sample_rate": audio.sample_rate,
            "frame_length": audio.frame_length,
            "dither": audio.dither,
        },
    }
    if num_synthesized:
        results["synthesis"] = _evaluate_synthesis(voice, corpus, num_synthesized, settings)
    return results


def render(results: dict[str, Any]) -> str:
    """The results as a table for a terminal."""
    forced = results["teacher_forced"]
    floor = f", dither {forced['dither']:g}" if forced["dither"] else ""
    rows = [
        ("utterances", f"{results['utterances']} ({results['minutes']:.1f} minutes)"),
        ("bits per sample", f"{forced['bits_per_sample']:.4f} ({forced['likelihood']}{floor})"),
        ("nats per sample", f"{forced['nll']:.4f} (of the scaled signal)"),
        ("stop accuracy", f"{forced['stop_accuracy']:.2%} of frames"),
        ("stop recall", f"{forced['stop_recall']:.2%} of ends"),
        ("coverage", f"{forced['coverage']:.3f}"),
        ("diagonality", f"{forced['diagonality']:.3f}"),
    ]
    if "synthesis" in results:
        spoken = results["synthesis"]
        rows += [
            ("synthesised", f"{spoken['utterances']} at temperature {spoken['settings']['temperature']:g}"),
            ("complete", f"{spoken['complete']:.1%}"),
            ("duration ratio", f"{spoken['duration_ratio']:.3f} of the recordings'"),
        ]
        if "missing" in spoken:
            rows.append(("error rates", spoken["missing"]))
        else:
            for name in ("cer", "wer"):
                ours, recordings = spoken["synthesized"][name], spoken["recordings"][name]
                rows.append((name.upper(), f"{ours:.1%} (recordings {recordings:.1%}, {spoken['recogniser']})"))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _small_batches(config: Config) -> Config:
    seconds = min(config.train.batch_seconds, BATCH_SECONDS)
    return dataclasses.replace(config, train=dataclasses.replace(config.train, batch_seconds=seconds, accumulate=1))


def _evaluate_synthesis(voice: Voice, corpus: Corpus, count: int, settings: SynthesisSettings) -> dict[str, Any]:
    """Speaks the first texts of a corpus.

    Returns:
        "utterances", "settings"; "complete" (share of the texts that were read to their end); "duration_ratio" to the
        recordings; "items" (each text with its report); and either "missing" (why there is no recognition) or
        "recogniser", and "synthesized" and "recordings" with the error rates "cer" (characters) and "wer" (words).
    """
    selected = list(range(min(count, len(corpus))))
    results = []
    with tqdm(total=len(selected), desc="speaking", unit="text") as bar:
        for group in chunks(selected, settings.batch_size):
            # Normalised already: exactly what the manifest's phonemes were made of.
            results += voice.synthesize([(corpus.utterances[index].spoken, settings.seed) for index in group], settings)
            bar.update(len(group))
    recordings = [corpus.read(index) for index in selected]
    items = [
        {"id": corpus.utterances[index].id, **result.report()} for index, result in zip(selected, results, strict=True)
    ]
    summary: dict[str, Any] = {
        "utterances": len(items),
        "settings": dataclasses.asdict(settings),
        "complete": sum(result.complete for result in results) / len(items),
        "duration_ratio": sum(len(result.audio) for result in results) / sum(map(len, recordings)),
        "items": items,
    }
    missing = _missing_recogniser(voice.tokenizer.language)
    if missing:
        return {**summary, "missing": missing}
    recognise = _build_recogniser()
    heard: dict[str, list[str]] = {"synthesized": [], "recordings": []}
    for result, recording in tqdm(list(zip(results, recordings, strict=True)), desc="recognising", unit="text"):
        heard["synthesized"].append(recognise(result.audio, voice.sample_rate))
        heard["recordings"].append(recognise(recording, voice.sample_rate))
    references = [plain_words(corpus.utterances[index].text, voice.tokenizer.language) for index in selected]
    for item, reference, ours, theirs in zip(items, references, heard["synthesized"], heard["recordings"], strict=True):
        item |= {"reference": reference, "heard": ours, "heard_recording": theirs}
    rates = {name: error_rates(references, texts) for name, texts in heard.items()}
    return {**summary, "recogniser": "pocketsphinx", **rates}


def error_rates(references: list[str], hypotheses: list[str]) -> dict[str, float]:
    """Character and word error rate of recognised texts, over all of them together.

    Args:
        references: what was to be said, as `plain_words` gives it.
        hypotheses: what was heard.

    Returns:
        "cer" and "wer": edits over the length of the references; above 1 if more was heard than said.
    """
    import jiwer

    # An empty reference (nothing but signs) has no rate; the hypothesis that goes with it does not count.
    pairs = [(said, heard) for said, heard in zip(references, hypotheses, strict=True) if said]
    said, heard = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return {"cer": jiwer.cer(said, heard), "wer": jiwer.wer(said, heard)}


def plain_words(text: str, language: str) -> str:
    """A text as recognisers write it: spoken form, lower case, letters, digits and apostrophes only."""
    words = normalize(text, language).lower().replace("’", "'").replace("-", " ")
    kept = "".join(sign for sign in words if sign in "' " or unicodedata.category(sign)[0] in "LMN")
    return " ".join(kept.split())


def _missing_recogniser(language: str) -> str | None:
    if not all(importlib.util.find_spec(name) for name in ("pocketsphinx", "jiwer")):
        return "not measured: pip install 'wavetts[evaluate]'"
    if not language.startswith("en"):
        return f"not measured: the recogniser hears English only, not {language}"
    return None


def _build_recogniser() -> Callable[[np.ndarray, int], str]:
    """A function of samples (S,) and their rate that returns the words in them."""
    from pocketsphinx import Decoder

    decoder = Decoder(samprate=RECOGNISER_RATE, loglevel="FATAL")

    def recognise(samples: np.ndarray, rate: int) -> str:
        audio = np.clip(resample(samples, rate, RECOGNISER_RATE), -1, 1)
        decoder.start_utt()
        decoder.process_raw((audio * 32767).astype("<i2").tobytes(), full_utt=True)
        decoder.end_utt()
        hypothesis = decoder.hyp()
        return plain_words(hypothesis.hypstr, "en-us") if hypothesis else ""

    return recognise
