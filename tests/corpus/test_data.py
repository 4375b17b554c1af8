from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from toy import FRAME, RATE, toy_config, write_corpus

from wavetts.corpus.batches import LENGTH_JITTER, Corpus, epoch_plan, split_clips, training_steps
from wavetts.corpus.manifest import build_tokenizer, load_info, load_manifest
from wavetts.errors import UserError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "data", train=60)


@pytest.fixture(scope="module")
def corpus(folder: Path) -> Corpus:
    return make_corpus(folder)


def make_corpus(folder: Path) -> Corpus:
    config = toy_config()
    utterances = load_manifest(folder / "train.jsonl")
    return Corpus(utterances, build_tokenizer(utterances, load_info(folder, config), config), config)


@pytest.mark.parametrize("epoch", [0, 1, 7])
@pytest.mark.parametrize("seconds", [1.0, 4.0, 100.0])
def test_an_epoch_has_every_utterance_once_in_batches_within_bounds(corpus: Corpus, epoch: int, seconds: float):
    plan = corpus.plan(seconds, seed=3, epoch=epoch, random_phase=True)
    assert sorted(clip.index for batch in plan for clip in batch) == list(range(60))
    for batch in plan:
        longest = max(clip.num_frames for clip in batch)
        assert len(batch) == 1 or longest * len(batch) * FRAME / RATE <= seconds
        if seconds < 100:
            assert min(clip.num_frames for clip in batch) >= 0.6 * longest


def test_the_first_epochs_may_be_of_short_utterances(corpus: Corpus):
    limit = sorted(utterance.samples for utterance in corpus.utterances)[20] / RATE
    config = toy_config()
    config.train.batch_seconds, config.train.short_epochs, config.train.short_seconds = 3.0, 2, limit
    for epoch, expected in enumerate([21, 21, 60]):
        plan = epoch_plan(corpus, config.train, epoch)
        indices = [clip.index for batch in plan for clip in batch]
        assert len(indices) == len(set(indices)) == expected
        assert expected == 60 or all(corpus.utterances[index].samples <= limit * RATE for index in indices)
    steps = islice(training_steps(corpus, config, epoch=1), len(plan))
    assert {step.epoch for step in steps if max(step.batches[0].frame_lengths) > limit * RATE / FRAME} == {2}


def test_no_utterance_is_short(corpus: Corpus):
    with pytest.raises(
        UserError, match=r"^train.short_seconds: 0.01: no training utterance is that short; set train.s"
    ):
        corpus.plan(3.0, 0, 0, True, 0.01)


def test_little_padding(corpus: Corpus):
    plan = corpus.plan(3.0, seed=0, epoch=0, random_phase=True)
    padded = sum(len(batch) * max(clip.num_frames for clip in batch) for batch in plan)
    assert padded <= (1 + 2 * LENGTH_JITTER) * sum(clip.num_frames for batch in plan for clip in batch)


def test_order_and_phase_depend_on_seed_and_epoch_alone(corpus: Corpus, folder: Path):
    plans = {(seed, epoch): corpus.plan(4.0, seed, epoch, True) for seed in (0, 1) for epoch in (0, 1)}
    again = make_corpus(folder)
    for (seed, epoch), plan in plans.items():
        assert again.plan(4.0, seed, epoch, True) == plan
    assert all(a is b or a != b for a in plans.values() for b in plans.values())


def test_phase_is_spread_and_leaves_whole_frames(corpus: Corpus):
    clips = [clip for epoch in range(20) for batch in corpus.plan(4.0, 0, epoch, True) for clip in batch]
    phases = np.array([clip.phase for clip in clips])
    assert phases.min() == 0 and phases.max() == FRAME - 1
    assert abs(phases.mean() - (FRAME - 1) / 2) < 4
    for clip in clips:
        samples = corpus.utterances[clip.index].samples
        assert clip.num_frames == (samples - clip.phase) // FRAME >= 1
    assert all(clip.phase == 0 for batch in corpus.plan(4.0, 0, 0, False) for clip in batch)


def test_a_clip_of_one_frame_keeps_it(tmp_path: Path):
    folder = write_corpus(tmp_path / "data", train=12)
    audio = np.linspace(-0.5, 0.5, FRAME)
    soundfile.write(folder / "audio/train-000.flac", audio, RATE, subtype="PCM_16")
    soundfile.write(folder / "audio/train-001.flac", audio[:-1], RATE, subtype="PCM_16")
    lines = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    lines[0]["samples"], lines[1]["samples"] = FRAME, FRAME - 1
    (folder / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.warns(UserWarning, match=r"1 utterances left out \(train-001\): shorter than one frame"):
        corpus = make_corpus(folder)
    plan = corpus.plan(4.0, 0, 0, True)
    (clip,) = [clip for batch in plan for clip in batch if clip.index == 0]
    assert (clip.phase, clip.num_frames) == (0, 1)
    assert len(corpus) == 11


def test_collate_gives_the_files_samples_exactly(corpus: Corpus, folder: Path):
    clips = corpus.plan(4.0, 0, 0, True)[0]
    batch = corpus.collate(clips)
    assert batch.waveform.dtype == torch.float32 and batch.tokens.dtype == torch.int64
    assert batch.waveform.shape == (len(clips), max(clip.num_frames for clip in clips) * FRAME)
    for row, clip in enumerate(clips):
        expected, _ = soundfile.read(folder / "audio" / f"{batch.ids[row]}.flac", dtype="int16")
        samples = clip.num_frames * FRAME
        row_samples = (batch.waveform[row] * 32768).numpy()
        assert np.array_equal(row_samples[:samples], expected[clip.phase : clip.phase + samples])
        assert not row_samples[samples:].any()
        length = int(batch.token_lengths[row])
        assert batch.tokens[row, :length].tolist() == corpus.tokens[clip.index]
        assert not batch.tokens[row, length:].any()


def test_shares_of_a_batch_are_whole_and_alike(corpus: Corpus):
    batch = corpus.plan(8.0, 0, 0, True)[0]
    parts = split_clips(batch, 4)
    assert sorted(clip.index for part in parts for clip in part) == sorted(clip.index for clip in batch)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_steps_are_the_same_from_any_start_and_over_processes(corpus: Corpus):
    config = toy_config(batch_seconds=3.0, accumulate=2)
    whole = list(islice(training_steps(corpus, config), 40))
    assert whole[-1].epoch > 0
    for start in (1, 13, 39):
        stream = training_steps(corpus, config, whole[start].epoch, whole[start].index)
        step = next(stream)
        stream.close()
        assert step.ids == whole[start].ids
        for ours, theirs in zip(step.batches, whole[start].batches, strict=True):
            assert (ours is None) == (theirs is None)
            assert ours is None or torch.equal(ours.waveform, theirs.waveform)
    ranks = [list(islice(training_steps(corpus, config, rank=rank, world_size=2), 5)) for rank in range(2)]
    for number, steps in enumerate(zip(*ranks, strict=True)):
        ids = [name for step in steps for batch in step.batches if batch is not None for name in batch.ids]
        assert sorted(ids) == sorted(whole[number].ids)
        frames = [int(batch.frame_lengths.sum()) for step in steps for batch in step.batches if batch is not None]
        assert sum(frames) == steps[0].num_frames == steps[1].num_frames


def test_unknown_symbols_of_held_out_data_are_skipped_with_one_warning(folder: Path, corpus: Corpus):
    config = toy_config()
    utterances = load_manifest(folder / "train.jsonl")
    tokenizer = build_tokenizer(utterances[:1], load_info(folder, config), config)
    with pytest.warns(UserWarning, match="symbols that training data has not") as caught:
        some = Corpus(utterances, tokenizer, config, skip_unknown=True)
    assert len(caught) == 1 and 1 <= len(some) < 60
    with pytest.raises(UserError, match="no symbol for"):
        Corpus(utterances, tokenizer, config)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{broken", r"train\.jsonl:2: not JSON"),
        ("[1]", r"train\.jsonl:2: expected a JSON object"),
        ('{"id": "x"}', r"train\.jsonl:2: audio is missing"),
        ("same", r"train\.jsonl:2: id 'train-000' is on an earlier line"),
        ("gone", r"train\.jsonl:2: .*gone\.flac: no such file"),
    ],
)
def test_broken_manifest_lines_are_named(tmp_path: Path, line: str, message: str):
    folder = write_corpus(tmp_path / "data", train=8)
    path = folder / "train.jsonl"
    first = path.read_text().splitlines()[0]
    if line == "same":
        line = first
    if line == "gone":
        line = json.dumps({**json.loads(first), "id": "gone", "audio": "audio/gone.flac"})
    path.write_text(f"{first}\n{line}\n")
    with pytest.raises(UserError, match=message):
        load_manifest(path)


def test_missing_data_says_how_to_make_it(tmp_path: Path):
    for call in (lambda: load_info(tmp_path / "no", toy_config()), lambda: load_manifest(tmp_path / "no/train.jsonl")):
        with pytest.raises(UserError, match="wavetts preprocess"):
            call()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [("sample_rate", 16000, "set audio.sample_rate=16000"), ("language", "de", "set text.language=de")],
)
def test_data_that_is_not_the_configs_is_refused(tmp_path: Path, key: str, value: object, message: str):
    folder = write_corpus(tmp_path / "data", train=8)
    info = json.loads((folder / "info.json").read_text())
    (folder / "info.json").write_text(json.dumps({**info, key: value}))
    with pytest.raises(UserError, match=message):
        load_info(folder, toy_config())


@pytest.mark.parametrize("damage", ["corrupt", "other"])
def test_damaged_audio_is_named(tmp_path: Path, damage: str):
    folder = write_corpus(tmp_path / "data", train=12)
    corpus = make_corpus(folder)
    path = folder / "audio/train-005.flac"
    if damage == "corrupt":
        path.write_bytes(path.read_bytes()[:100])
    else:
        soundfile.write(path, np.zeros(5000), RATE, subtype="PCM_16")
    with pytest.raises(UserError, match=r"train-005\.flac"):
        list(islice(training_steps(corpus, toy_config()), 12))
