"""Two models on the same held-out utterances: which of their features are the same, beside two controls."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wavetts.analysis.features import FEATURES, Forced, forced_features
from wavetts.analysis.similarity import ROWS_PER_COMPONENT, Scores, shuffled, similarity, split_utterances
from wavetts.corpus.batches import Clip, Corpus
from wavetts.corpus.manifest import Utterance, load_info, load_manifest
from wavetts.errors import UserError
from wavetts.extras import require
from wavetts.model.checkpoint import LoadedModel, load_model
from wavetts.model.density.energy.tilt import Tilt
from wavetts.model.device import choose_device, own_random_numbers, torch_threads
from wavetts.model.tacotron import WaveTacotron
from wavetts.seeds import mix_seed
from wavetts.synthesis.catalog import find_voice, voice_folders
from wavetts.version import __version__

# What is compared with the first model's features: the second's, and two controls.
PAIRS = ("second model", "shuffled", "untrained")
BATCH_SECONDS = 60.0


@dataclass(frozen=True)
class Options:
    """What is compared.

    Attributes:
        features: names of `features.FEATURES`; empty: those that both models have.
        max_utterances: as many of the first utterances; 0: all.
        splits: random halves of the utterances; figures are means over them.
        seed: of the halves, the shuffled pairs, the noise on the waveform and the untrained model.
    """

    features: tuple[str, ...] = ()
    max_utterances: int = 0
    splits: int = 4
    seed: int = 0


def analyse(
    first: str | Path,
    second: str | Path,
    data: Path,
    options: Options | None = None,
    device: str = "auto",
    threads: int = 0,
) -> dict[str, Any]:
    """Compares the features of two models.

    Frames, and the noise on them, are the same for both. The controls are the second model's features with their rows
    shuffled, within each half, and those of an untrained model of the second's config. The latter tell how much is the
    same because the inputs are.

    Args:
        first: model A, as for `find_voice`.
        second: model B; symbols and sizes of the two may differ, rate and length of a frame may not.
        data: a manifest of `wavetts preprocess`, or its folder, of which test.jsonl is taken.
        options: what is compared; None takes the defaults.
        device: as for `choose_device`.
        threads: CPU threads; 0: torch's choice.

    Returns:
        "features": by feature, "values" (width in both models) and by the names of `PAIRS` the figures of `Scores`,
        means over the halves, with their standard deviations as "spread"; and what they were measured on. All of them
        are numbers, strings and lists.

    Raises:
        UserError: a model or the data cannot be read, or they do not go together.
    """
    require("analyse", "evaluate", "scipy")
    options, place = options or Options(), choose_device(device)
    paths = find_voice(first), find_voice(second)
    data = Path(data) / "test.jsonl" if Path(data).is_dir() else Path(data)
    utterances = load_manifest(data)
    models = [load_model(path, place, voice_folders()) for path in paths]
    _check_frames(models, (str(first), str(second)))
    for loaded in models:
        load_info(data.parent, loaded.config)
    utterances = _readable(utterances, models)[: options.max_utterances or None]
    if len(utterances) < 2:
        raise UserError(
            f"{data}: {len(utterances)} utterances that both models can read; one half of them is fitted and the "
            "other scored: give two at least"
        )
    with torch_threads(threads):
        models.append(_untrained(models[1], options.seed))
        names = ("A", "B", "untrained B")
        a, b, untrained = (
            _forced(loaded, utterances, options.seed, f"features of {name}")
            for loaded, name in zip(models, names, strict=True)
        )
    chosen = _choose(options.features, a, b)
    return {
        "wavetts": __version__,
        "first": str(first),
        "second": str(second),
        "data": str(data),
        "utterances": len(utterances),
        "frames": len(a.utterances),
        "seed": options.seed,
        "splits": options.splits,
        "same_base": _same_base(models[0].model, models[1].model),
        "features": _compare(chosen, a, b, untrained, options),
    }


def _check_frames(models: Sequence[LoadedModel], names: Sequence[str]) -> None:
    (rate, length), other = ((loaded.config.audio.sample_rate, loaded.config.audio.frame_length) for loaded in models)
    if (rate, length) != other:
        raise UserError(
            f"{names[1]}: its frames have {other[1]} samples at {other[0]} Hz, those of {names[0]} {length} at {rate}; "
            "features can be compared frame by frame only"
        )


def _readable(utterances: Sequence[Utterance], models: Sequence[LoadedModel]) -> list[Utterance]:
    """The utterances that all models have symbols for, in their order."""
    for loaded in models:
        utterances = Corpus(utterances, loaded.tokenizer, loaded.config, skip_unknown=True).utterances
    return list(utterances)


def _untrained(loaded: LoadedModel, seed: int) -> LoadedModel:
    """A model of the same config with new weights; only the scale of the waveform, which is no weight, is kept."""
    with own_random_numbers(torch.device("cpu")):
        torch.manual_seed(mix_seed(seed, "untrained"))
        model = WaveTacotron(loaded.config, len(loaded.tokenizer.symbols))
    model.scale.copy_(loaded.model.scale)
    return LoadedModel(model.to(loaded.model.scale.device).eval(), loaded.tokenizer, loaded.config, {})


def _forced(loaded: LoadedModel, utterances: Sequence[Utterance], seed: int, description: str) -> Forced:
    corpus = Corpus(utterances, loaded.tokenizer, loaded.config)
    plan: list[list[Clip]] = corpus.plan_in_order(BATCH_SECONDS)
    return forced_features(loaded.model, corpus, plan, seed, description)


def _choose(wanted: Sequence[str], a: Forced, b: Forced) -> list[str]:
    """The features that are compared.

    Raises:
        UserError: a model does not have one that was asked for.
    """
    both = [name for name in FEATURES if name in a.values and name in b.values]
    if missing := [name for name in wanted if name not in both]:
        raise UserError(
            f"features: {missing[0]} ({FEATURES[missing[0]]}): not both models have it; both have {', '.join(both)}"
        )
    return list(wanted) or both


def _same_base(first: WaveTacotron, second: WaveTacotron) -> bool | None:
    """Whether two tilted models are the same but for their scores, as theory asks; None if they are not both tilted."""
    weights = []
    for model in (first, second):
        tilts = [part for part in model.modules() if isinstance(part, Tilt)]
        if not tilts:
            return None
        learnt = {id(value) for tilt in tilts for part in tilt.trained_parts() for value in part.parameters()}
        weights.append({name: value for name, value in model.named_parameters() if id(value) not in learnt})
    one, other = weights
    return one.keys() == other.keys() and all(
        value.shape == other[name].shape and bool((value == other[name]).all()) for name, value in one.items()
    )


def _compare(names: Sequence[str], a: Forced, b: Forced, untrained: Forced, options: Options) -> dict[str, Any]:
    rng = np.random.default_rng(mix_seed(options.seed, "halves"))
    halves = [split_utterances(a.utterances, rng) for _ in range(options.splits)]
    orders = [shuffled(fitted, rng) for fitted in halves]
    results: dict[str, Any] = {}
    for name in names:
        one, two, three = a.values[name], b.values[name], untrained.values[name]
        scores: dict[str, list[Scores]] = {pair: [] for pair in PAIRS}
        for fitted, order in zip(halves, orders, strict=True):
            others = (two, two[order], three)
            for pair, other in zip(PAIRS, others, strict=True):
                scores[pair].append(similarity(one, other, fitted))
        results[name] = {"values": [one.shape[1], two.shape[1]]}
        results[name] |= {pair: _means(parts) for pair, parts in scores.items()}
        most = max(max(part.components) for part in scores[PAIRS[0]])
        rows = min(int(fitted.sum()) for fitted in halves)
        if rows < ROWS_PER_COMPONENT * most:
            warnings.warn(
                f"{name}: {rows} frames to fit {most} components: too few, so that its figures are too low; give more "
                "utterances",
                stacklevel=2,
            )
    return results


def _means(scores: Sequence[Scores]) -> dict[str, Any]:
    """Means over the halves, and the standard deviation of each."""
    figures = {name: [getattr(part, name) for part in scores] for name in ("weak", "strong", "forward", "backward")}
    # Halves may differ by a component; those that all have are drawn.
    count = min(len(part.canonical) for part in scores)
    return {
        **{name: float(np.mean(values)) for name, values in figures.items()},
        "spread": {name: float(np.std(values)) for name, values in figures.items()},
        "components": list(scores[0].components),
        "canonical": np.mean([part.canonical[:count] for part in scores], 0).tolist(),
    }
