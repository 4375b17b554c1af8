"""Who gets a place in the batch, and what a failure ends."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest
from toy_voice import save_voice

from wavetts.errors import UserError
from wavetts.synthesis import scheduler as scheduling
from wavetts.synthesis.scheduler import BATCHES_AHEAD, MOST_TIMES, Scheduler, Task
from wavetts.synthesis.settings import SynthesisSettings
from wavetts.synthesis.takes import Take
from wavetts.synthesis.voice import load_voice

SETTINGS = SynthesisSettings(max_seconds=0.3, retries=1)


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    return load_voice(save_voice(tmp_path_factory.mktemp("voice"), stop="never"), "cpu", 1)


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """On a busy machine, too, all that may join joins at once."""
    monkeypatch.setattr(scheduling, "ADMIT_SECONDS", 60.0)


def new_task(voice, text="One. Two.", stream=False, settings=SETTINGS, seed=0) -> Task:
    return Task(voice.engine, voice.sample_rate, voice.pieces(text, seed), voice.settled(settings), stream)


def run(scheduler: Scheduler, steps: int = 10_000) -> dict[Task, list]:
    """Events of so many steps, or until there is nothing to do."""
    found: dict[Task, list] = {}
    for _ in range(steps):
        if not scheduler.busy:
            break
        for task, event in scheduler.step():
            found.setdefault(task, []).append(event)
    return found


def takes_of(events: list) -> list[Take]:
    return [event for event in events if isinstance(event, Take)]


def test_takes_come_in_the_texts_order_and_then_the_end(voice):
    scheduler = Scheduler(4)
    task = new_task(voice, "One. Two. Three. Four. Five. Six.")
    scheduler.add(task)
    events = run(scheduler)[task]
    assert events.pop() is None
    assert [take.piece.spoken for take in events] == ["One.", "Two.", "Three.", "Four.", "Five.", "Six."]
    assert [take.tries for take in events] == [2] * 6
    assert task.frames == sum(2 * len(take.alignment) for take in events)
    assert task.tokens == sum(len(take.piece.tokens) for take in events)
    assert scheduler.speaking == 0


def test_a_text_alone_fills_the_batch_and_gives_places_up_to_others(voice):
    scheduler = Scheduler(4)
    long = new_task(voice, "One two. " * 12, seed=1)
    scheduler.add(long)
    run(scheduler, 3)
    assert long.speaking == 4
    short = new_task(voice, "Three four.", stream=True)
    scheduler.add(short)
    (found,) = (run(scheduler, 1),)
    # It has its first frame with the very next step.
    assert [len(event) for event in found[short]] == [voice.model.frame_length]
    assert (long.speaking, short.speaking) == (3, 1)
    third = new_task(voice, "One. Two. Three. Four. Five. Six.", seed=3)
    scheduler.add(third)
    run(scheduler, 1)
    assert (long.speaking, short.speaking, third.speaking) == (2, 1, 1)
    found = run(scheduler)
    (expected,) = voice.synthesize([("One two. " * 12, 1)], SETTINGS)
    # Who paused went on as if nothing had been.
    for ours, theirs in zip(takes_of(found[long]), expected.takes, strict=True):
        np.testing.assert_allclose(ours.audio, theirs.audio, atol=1e-4)
        np.testing.assert_allclose(ours.alignment, theirs.alignment, atol=1e-4)


def test_a_short_text_makes_a_long_one_small_for_its_time(voice):
    """A step of many sentences takes long: who has one is not to wait for sixteen."""
    scheduler = Scheduler(16)
    long, short = new_task(voice, "One two. " * 40), new_task(voice, "Three.", settings=SynthesisSettings(retries=0))
    scheduler.add(long)
    run(scheduler, 8)
    assert long.speaking == 16
    scheduler.add(short)
    run(scheduler, 1)
    assert (long.speaking, short.speaking) == (MOST_TIMES, 1)
    while short in scheduler.tasks:
        run(scheduler, 1)
    run(scheduler, 2)
    # But for those that ended just now.
    assert long.speaking >= 13
    # Two long ones share the batch.
    other = new_task(voice, "Three four. " * 40)
    scheduler.add(other)
    run(scheduler, 8)
    assert abs(long.speaking - other.speaking) <= 3 and long.speaking + other.speaking >= 13


def test_texts_take_turns_in_a_batch_of_one(voice):
    scheduler, given = Scheduler(1), []
    tasks = [new_task(voice, "One. Two. Three."), new_task(voice, "Four. Five.")]
    for task in tasks:
        scheduler.add(task)
    while scheduler.busy:
        given += [event.piece.spoken for _, event in scheduler.step() if isinstance(event, Take)]
    assert given == ["One.", "Four.", "Two.", "Five.", "Three."]


def test_sentences_are_asked_for_when_there_is_a_place(voice):
    (piece,) = voice.prepare("one", 0)
    asked = count()

    def pieces():
        for _ in asked:
            yield piece

    scheduler = Scheduler(2)
    task = Task(voice.engine, voice.sample_rate, pieces(), voice.settled(SETTINGS))
    scheduler.add(task)
    run(scheduler, 3)
    assert next(asked) == 2
    task.cancelled = True
    run(scheduler)
    # One that takes long does not let the others run ahead without end: what waits to be given takes memory.
    slow = [piece, *[voice.prepare("a", 0)[0]] * 100]
    scheduler = Scheduler(2)
    settings = voice.settled(SynthesisSettings(retries=0, max_seconds=100))
    task = Task(voice.engine, voice.sample_rate, iter(slow), settings)
    scheduler.add(task)
    run(scheduler, 1)
    task._slots[0].generation.max_frames = 10_000
    run(scheduler, 800)
    assert len(task._slots) == 2 * BATCHES_AHEAD


@pytest.mark.parametrize("place", ["pieces", "encode", "judge"])
def test_what_fails_for_one_text_ends_that_one(voice, monkeypatch, place):
    scheduler, (good, bad) = Scheduler(4), (new_task(voice), new_task(voice, "A bad one. Two."))

    def fail(*_):
        raise RuntimeError("by intent")

    if place == "pieces":
        bad.pieces = map(fail, range(3))
    else:
        home = voice.engine if place == "encode" else scheduling
        before = getattr(home, place)
        longest = len(voice.prepare("A bad one.", 0)[0].tokens)

        def some(first, *args):
            return (fail if len(getattr(first, "tokens", first)) == longest else before)(first, *args)

        monkeypatch.setattr(home, place, some)
    scheduler.add(bad)
    scheduler.add(good)
    found = run(scheduler)
    assert [str(event) for event in found[bad]] == ["by intent"]
    assert len(takes_of(found[good])) == 2
    assert found[good][-1] is None
    assert scheduler.speaking == 0


def test_a_step_that_fails_ends_those_who_are_in_it(voice, tmp_path, monkeypatch):
    other = load_voice(save_voice(tmp_path, stop="never"), "cpu", 1)
    scheduler = Scheduler(2)
    inside, outside, waiting = new_task(voice), new_task(other), new_task(voice, "Three.")
    for task in (inside, outside, waiting):
        scheduler.add(task)
    with monkeypatch.context() as patch:
        patch.setattr(voice.engine, "step", lambda *_: 1 / 0)
        found = run(scheduler, 1)
    assert [type(event) for event in found[inside]] == [ZeroDivisionError]
    found = run(scheduler)
    assert inside not in found
    assert len(takes_of(found[outside])) == 2
    assert len(takes_of(found[waiting])) == 1


def test_nothing_to_speak_is_the_tasks_own_mistake(voice):
    scheduler = Scheduler(2)
    task = new_task(voice, "...")
    scheduler.add(task)
    (error,) = run(scheduler)[task]
    assert isinstance(error, UserError)
