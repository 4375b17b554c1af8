from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from wavetts.corpus.formats import read_corpus
from wavetts.errors import UserError


@pytest.fixture(scope="module")
def recipe(load_recipe):
    return load_recipe("ljspeech")


@pytest.fixture
def archive(recipe, ljspeech, tmp_path, monkeypatch) -> Path:
    """A small LJSpeech-1.1.tar.bz2, which the recipe takes for the real one."""
    path = tmp_path / "server" / "LJSpeech-1.1.tar.bz2"
    path.parent.mkdir()
    with tarfile.open(path, "w:bz2") as tar:
        tar.add(ljspeech, "LJSpeech-1.1")
    monkeypatch.setattr(recipe, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


@pytest.fixture
def server(recipe, archive, monkeypatch):
    """Serves the archive; `ranges` and `stop_after` (bytes) say how well. Collects the ranges asked for."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            settings["asked"].append(self.headers.get("Range"))
            data, start = archive.read_bytes(), 0
            if settings["ranges"] and self.headers.get("Range"):
                start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            if start >= len(data):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            self.wfile.write(data[start : settings["stop_after"]])

        def log_message(self, *_):
            pass

    settings = {"ranges": True, "stop_after": None, "asked": []}
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        monkeypatch.setattr(recipe, "URL", f"http://127.0.0.1:{http.server_port}/LJSpeech-1.1.tar.bz2")
        yield settings
        http.shutdown()


def test_fetched_checked_and_unpacked(recipe, server, ljspeech, tmp_path, capsys):
    out = tmp_path / "data" / "LJSpeech-1.1"
    recipe.main([str(out)])
    assert f"{out}: 7 clips" in capsys.readouterr().out
    for path in ljspeech.rglob("*.*"):
        assert (out / path.relative_to(ljspeech)).read_bytes() == path.read_bytes()
    assert len(read_corpus(out)) == 7
    assert sorted(path.name for path in out.parent.iterdir()) == ["LJSpeech-1.1", "LJSpeech-1.1.tar.bz2"]
    # Again: taken as it is, nothing is asked for.
    recipe.main([str(out)])
    assert "taken as they are" in capsys.readouterr().out
    assert server["asked"] == [None]


@pytest.mark.parametrize("ranges", [True, False])
def test_going_on_after_an_interruption(recipe, server, tmp_path, ranges):
    out = tmp_path / "data" / "lj"
    server.update(stop_after=100_000, ranges=ranges)
    with pytest.raises(UserError, match="run the same command again to go on"):
        recipe.main([str(out)])
    part = tmp_path / "data" / "LJSpeech-1.1.tar.bz2.part"
    assert part.stat().st_size == 100_000
    server.update(stop_after=None)
    recipe.main([str(out)])
    assert server["asked"] == [None, "bytes=100000-"]
    assert len(read_corpus(out)) == 7 and not part.exists()


def test_a_part_that_is_whole_already(recipe, server, archive, tmp_path):
    (tmp_path / "LJSpeech-1.1.tar.bz2.part").write_bytes(archive.read_bytes())
    recipe.main([str(tmp_path / "lj")])
    assert len(read_corpus(tmp_path / "lj")) == 7


def test_an_archive_that_is_here(recipe, archive, tmp_path):
    recipe.main([str(tmp_path / "lj"), "--archive", str(archive)])
    assert len(read_corpus(tmp_path / "lj")) == 7


def test_a_server_that_does_not_answer(recipe, monkeypatch, tmp_path):
    monkeypatch.setattr(recipe, "URL", "http://127.0.0.1:9/LJSpeech-1.1.tar.bz2")
    with pytest.raises(UserError, match=r"127\.0\.0\.1:9.*run the same command again to go on, or pass --archive"):
        recipe.main([str(tmp_path / "lj")])


def test_another_archive(recipe, archive, tmp_path):
    data = archive.read_bytes()
    archive.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(UserError, match=r"SHA-256 is [0-9a-f]{64}, LJSpeech 1\.1 has [0-9a-f]{64}; remove it"):
        recipe.main([str(tmp_path / "lj"), "--archive", str(archive)])
    assert not (tmp_path / "lj").exists()
    with pytest.raises(UserError, match=r"none\.tar: cannot be read \(No such file"):
        recipe.main([str(tmp_path / "lj"), "--archive", str(tmp_path / "none.tar")])


def make_tar(path: Path, name: str) -> None:
    with tarfile.open(path, "w:bz2") as tar:
        member = tarfile.TarInfo(name)
        member.size = 4
        tar.addfile(member, io.BytesIO(b"evil"))


def test_an_archive_that_reaches_outside_is_refused(recipe, tmp_path):
    make_tar(tmp_path / "evil.tar.bz2", "../../evil.txt")
    with pytest.raises(UserError, match=r"evil\.tar\.bz2: cannot be unpacked"):
        recipe.unpack(tmp_path / "evil.tar.bz2", tmp_path / "deep" / "lj")
    make_tar(tmp_path / "other.tar.bz2", "other/file.txt")
    with pytest.raises(UserError, match=r"no folder with metadata\.csv and wavs/ in it"):
        recipe.unpack(tmp_path / "other.tar.bz2", tmp_path / "deep" / "lj")
    (tmp_path / "cut.tar.bz2").write_bytes((tmp_path / "other.tar.bz2").read_bytes()[:60])
    with pytest.raises(UserError, match="cannot be unpacked"):
        recipe.unpack(tmp_path / "cut.tar.bz2", tmp_path / "deep" / "lj")
    # Nothing half-unpacked stays.
    assert list((tmp_path / "deep").iterdir()) == []


def test_a_folder_that_holds_something_else(recipe, archive, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match=r"full: not empty, and no LJSpeech in it; choose another OUT"):
        recipe.main([str(tmp_path / "full"), "--archive", str(archive)])
    assert (tmp_path / "full" / "thesis.txt").exists()


def test_the_archives_checksum_is_the_published_one(load_recipe):
    recipe = load_recipe("ljspeech")
    assert recipe.URL == "https://data.keithito.com/data/speech/LJSpeech-1.1.tar.bz2"
    assert recipe.SHA256 == "be1a30453f28eb8dd26af4101ae40cbf2c50413b1bb21936cbcdc6fae3de8aa5"


def test_as_a_user_does(run_recipe, tmp_path):
    result = run_recipe("ljspeech", tmp_path / "lj", "--archive", tmp_path / "none.tar.bz2")
    assert result.returncode == 2 and result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
