from __future__ import annotations

import logging
import queue
import threading
from contextlib import contextmanager

import numpy as np
import pytest
from toy_voice import save_voice
from waiting import until

from wavetts.errors import UserError
from wavetts.server.batching import Batcher, Failure, Finished, Job
from wavetts.synthesis import scheduler
from wavetts.synthesis.settings import SynthesisSettings
from wavetts.synthesis.voice import load_voice

SETTINGS = SynthesisSettings(max_seconds=0.2, retries=2, batch_size=3, sentence_pause=0.05, paragraph_pause=0.1)
TEXTS = ["one.", "a much longer text, of several words.", "First. Second one.\n\nThird. Fourth.", "two words"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("voices")
    save_voice(folder / "ends")
    save_voice(folder / "endless", stop="never")
    return folder


@pytest.fixture(scope="module")
def voices(folder):
    """Whose thread is the batcher's."""
    return {name: load_voice(folder / name, "cpu", 1) for name in ("ends", "endless")}


@pytest.fixture(scope="module")
def alone(folder):
    """`alone(voice, text, seed, stream, settings)`: what a voice gives that speaks nothing else."""
    voices = {name: load_voice(folder / name, "cpu", 1) for name in ("ends", "endless")}

    def speak(voice, text, seed, stream, settings=SETTINGS):
        if stream:
            return np.concatenate(list(voices[voice].stream(text, seed, settings)))
        return voices[voice].say(text, seed, settings)

    return speak


@contextmanager
def batching(voices, settings=SETTINGS, **arguments):
    batcher = Batcher(voices, settings, **arguments)
    batcher.start()
    try:
        yield batcher
    finally:
        batcher.stop()
    assert not batcher.alive


class Client:
    """Keeps what comes of a job."""

    def __init__(self, batcher, text, voice="ends", seed=0, temperature=SETTINGS.temperature, stream=False):
        self.events: queue.Queue = queue.Queue()
        self.job = Job(voice, text, seed, temperature, stream, emit=self.events.put)
        batcher.submit(self.job)

    def wait(self):
        """All audio and the last event."""
        chunks = []
        while isinstance(event := self.events.get(timeout=30), np.ndarray):
            chunks.append(event)
        return chunks, event


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_each_gets_what_a_voice_alone_gives(voices, alone, batch_size):
    settings = SynthesisSettings(**{**vars(SETTINGS), "batch_size": batch_size})
    rows = []
    with batching(voices, settings, on_step=lambda spoken, seconds: rows.append(spoken)) as batcher:
        wanted = [
            (voice, text, seed, stream)
            for seed, text in enumerate(TEXTS)
            for voice in voices
            for stream in (False, True)
        ]
        clients = [Client(batcher, text, voice, seed, stream=stream) for voice, text, seed, stream in wanted]
        for client, arguments in zip(clients, wanted, strict=True):
            chunks, end = client.wait()
            np.testing.assert_allclose(np.concatenate(chunks), alone(*arguments), atol=1e-4)
            assert isinstance(end, Finished)
            assert client.events.empty()
    assert max(rows) <= batch_size
    assert batch_size == 1 or max(rows) > 1


def test_events_of_a_job(voices):
    with batching(voices) as batcher:
        chunks, end = Client(batcher, "One. Two.", "endless", stream=True).wait()
        frames = round(0.2 / 0.02)
        # Nothing is tried again, as it was heard already.
        assert end == Finished(tokens=12, frames=2 * frames, complete=False)
        # The second was spoken at the same time as the first and waited for its turn.
        assert len(chunks) == frames
        whole, end = Client(batcher, "One. Two.", "endless").wait()
        assert end == Finished(tokens=12, frames=2 * 3 * frames, complete=False)
        assert [len(part) for part in whole] == [sum(map(len, chunks))]
        # Without noise every try is the same.
        assert Client(batcher, "One. Two.", "endless", temperature=0.0).wait()[1].frames == 2 * frames


def test_temperature_is_each_jobs_own(voices, alone):
    with batching(voices) as batcher:
        clients = {temperature: Client(batcher, "one.", temperature=temperature) for temperature in (0.0, 0.3, 1.0)}
        for temperature, client in clients.items():
            settings = SynthesisSettings(**{**vars(SETTINGS), "temperature": temperature})
            (audio,), _ = client.wait()
            np.testing.assert_allclose(audio, alone("ends", "one.", 0, False, settings), atol=1e-4)


def test_nothing_to_speak(voices):
    with batching(voices) as batcher:
        chunks, error = Client(batcher, "...").wait()
        assert (chunks, type(error), str(error)) == ([], UserError, "'...': nothing to speak in it")
        assert isinstance(Client(batcher, "one").wait()[1], Finished)


def test_cancelled_job_leaves_the_batch(voices):
    settings = SynthesisSettings(max_seconds=1000, retries=0, batch_size=2)
    with batching(voices, settings) as batcher:
        text = "a text that is long enough to be spoken for many seconds, if nobody minds it"
        clients = [Client(batcher, text, "endless", stream=True) for _ in range(4)]
        for client in clients[:2]:
            client.events.get(timeout=10)
        assert batcher.speaking == 2
        for client in clients[:3]:
            client.job.cancelled = True
        clients[3].events.get(timeout=10)
        until(lambda: batcher.speaking == 1)
        clients[3].job.cancelled = True
        until(lambda: batcher.speaking == 0)
        assert clients[2].events.empty()
        counts = [client.events.qsize() for client in clients]
        assert isinstance(Client(batcher, "one", stream=True).wait()[1], Finished)
        assert [client.events.qsize() for client in clients] == counts


def test_client_that_fails_is_dropped(voices):
    settings = SynthesisSettings(max_seconds=1000, retries=0)

    def emit(_):
        raise RuntimeError("gone")

    with batching(voices, settings) as batcher:
        job = Job("endless", "a text of some length", 0, 0.7, True, emit)
        batcher.submit(job)
        until(lambda: job.cancelled and batcher.speaking == 0)
        assert isinstance(Client(batcher, "one").wait()[1], Finished)


def test_short_text_does_not_wait_for_a_long_one(voices):
    settings = SynthesisSettings(max_seconds=0.2, retries=0, batch_size=2)
    with batching(voices, settings) as batcher:
        long = Client(batcher, "One. " * 40, "endless")
        short = Client(batcher, "One.", "endless")
        assert isinstance(short.wait()[1], Finished)
        assert long.events.empty()
        assert isinstance(long.wait()[1], Finished)


def test_defect_fails_those_who_share_the_voice_and_no_text_is_logged(voices, monkeypatch, caplog):
    def fail(*_):
        raise RuntimeError("a text".upper())

    with batching(voices) as batcher, caplog.at_level(logging.DEBUG), monkeypatch.context() as patch:
        patch.setattr(voices["ends"].engine.decoder, "step", fail)
        failing, other = Client(batcher, "one"), Client(batcher, "one", "endless")
        _, error = failing.wait()
        assert isinstance(error, Failure)
        assert "RuntimeError" in str(error)
        assert isinstance(other.wait()[1], Finished)
        patch.undo()
        patch.setattr(voices["ends"], "pieces", fail)
        assert isinstance(Client(batcher, "one").wait()[1], Failure)
        patch.undo()
        assert isinstance(Client(batcher, "one").wait()[1], Finished)
    assert "RuntimeError" in caplog.text
    assert ", in fail" in caplog.text
    assert "A TEXT" not in caplog.text


@pytest.mark.parametrize("place", ["new_generation", "judge", "pause_before", "_handle_event", "_new_task", "step"])
def test_no_failure_ends_the_thread(voices, monkeypatch, place):
    """Wherever it is: who is concerned is told, and everybody else is answered."""
    homes = {"_handle_event": Batcher, "_new_task": Batcher, "step": scheduler.Scheduler}

    def fail(*_):
        raise RuntimeError("by intent")

    with batching(voices) as batcher:
        with monkeypatch.context() as patch:
            patch.setattr(homes.get(place, scheduler), place, fail)
            client = Client(batcher, "One. Two.", stream=True)
            _, error = client.wait()
            assert isinstance(error, Failure)
            assert "RuntimeError" in str(error)
            until(lambda: client.events.empty())
        for stream in (False, True):
            assert isinstance(Client(batcher, "One. Two.", stream=stream).wait()[1], Finished)
        assert batcher.alive
        until(lambda: batcher.speaking == 0)


def test_a_failure_is_one_jobs_own(voices, monkeypatch):
    judge = scheduler.judge

    def fail_for_one(piece, *args):
        if piece.spoken.startswith("bad"):
            raise RuntimeError("by intent")
        return judge(piece, *args)

    monkeypatch.setattr(scheduler, "judge", fail_for_one)
    with batching(voices, SynthesisSettings(**{**vars(SETTINGS), "batch_size": 4})) as batcher:
        clients = [Client(batcher, text) for text in ("one", "bad one", "two words")]
        assert [type(client.wait()[1]) for client in clients] == [Finished, Failure, Finished]


def test_stopping_fails_what_is_unfinished(voices):
    with batching(voices, SynthesisSettings(max_seconds=1000, retries=0)) as batcher:
        client = Client(batcher, "a text of some length", "endless", stream=True)
        client.events.get(timeout=10)
    _, error = client.wait()
    assert (type(error), str(error)) == (Failure, "the server is shutting down")


def test_many_threads(voices, alone):
    wanted = {(text, seed): alone("ends", text, seed, False) for text in TEXTS for seed in range(2)}
    failures = []

    def ask(batcher, number):
        text, seed = list(wanted)[number % len(wanted)]
        (audio,), _ = Client(batcher, text, seed=seed).wait()
        if not np.allclose(audio, wanted[text, seed], atol=1e-4):
            failures.append((text, seed))

    with batching(voices, SynthesisSettings(**{**vars(SETTINGS), "batch_size": 16})) as batcher:
        threads = [threading.Thread(target=ask, args=(batcher, number)) for number in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in threads)
    assert not failures
