from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from wavetts.audio import read_audio
from wavetts.corpus.formats import read_corpus
from wavetts.errors import UserError

av = pytest.importorskip("av", reason="PyAV decodes G.722")

TRANSCRIPTS = """; Core Asterisk Sounds in English

beep: [this is a simple beep tone]
confbridge-join: <beep ascending>
dictate/both_help: press * to toggle pause,  press # to enter
digits/1: one
letters/AT: at [@]
silence/1: (1 second of silence)
spy-iax2: IAX (note: does not say "2")
vm-gone: Nobody recorded this.
vm-intro: ... after the tone.
"""
COPYRIGHT = """Format: http://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: 2003-2010, Allison Smith
License: CC-BY-SA-3.0

Files: ru-*
Copyright: 2010, Maxim
License: CC-BY-3.0

License: CC-BY-SA-3.0
 The whole text.
"""


@pytest.fixture(scope="module")
def asterisk(load_recipe):
    return load_recipe("asterisk")


def write_g722(path: Path, samples: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="g722") as container:
        stream = container.add_stream("g722", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray((samples * 32768).astype(np.int16)[None], format="s16", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def tone(seconds: float) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * 1000 * np.arange(round(16000 * seconds)) / 16000)


@pytest.fixture
def tree(tmp_path) -> Path:
    """What the two packages unpack to."""
    doc = tmp_path / "tree/usr/share/doc/asterisk-core-sounds-en"
    doc.mkdir(parents=True)
    (doc / "core-sounds-en.txt.gz").write_bytes(gzip.compress(TRANSCRIPTS.encode()))
    (doc / "copyright").write_text(COPYRIGHT)
    voice = tmp_path / "tree/usr/share/asterisk/sounds/en_US_f_Allison"
    names = [
        "beep",
        "confbridge-join",
        "dictate/both_help",
        "digits/1",
        "letters/at",
        "silence/1",
        "spy-iax2",
        "vm-intro",
    ]
    for name in [*names, "vm-unlisted"]:
        write_g722(voice / f"{name}.g722", tone(0.5))
    return tmp_path / "tree"


def test_a_tree_becomes_a_corpus_in_ljspeechs_layout(asterisk, tree, tmp_path):
    asterisk.convert(tree, tmp_path / "out", "en")
    corpus = read_corpus(tmp_path / "out")
    assert {line.id: line.text for line in corpus} == {
        "dictate-both_help": "press star to toggle pause, press pound to enter",
        "digits-1": "one",
        "letters-at": "at",
        "spy-iax2": "IAX",
        "vm-intro": "after the tone.",
    }
    for line in corpus:
        samples, rate = read_audio(line.audio)
        assert rate == 16000 and len(samples) == pytest.approx(8000, abs=200)
    assert (tmp_path / "out" / "skipped.csv").read_text().splitlines() == [
        "beep|not speech: [this is a simple beep tone]",
        "confbridge-join|not speech: <beep ascending>",
        "silence/1|not speech: (1 second of silence)",
        "vm-gone|no audio",
        "vm-unlisted|no transcript",
    ]
    note = (tmp_path / "out" / "LICENSE").read_text()
    assert "Allison Smith\nLicense: CC-BY-SA-3.0\n" in note and "creativecommons.org/licenses/by-sa/3.0" in note
    assert (tmp_path / "out" / "copyright").read_text() == COPYRIGHT


def test_each_language_has_its_own_license(asterisk, tree, tmp_path):
    asterisk.write_license(tree, tmp_path, "ru")
    note = (tmp_path / "LICENSE").read_text()
    assert "Maxim\nLicense: CC-BY-3.0\n" in note and "Allison" not in note


def test_g722_keeps_frequency_and_level(asterisk, tmp_path):
    write_g722(tmp_path / "tone.g722", tone(1.0))
    # 64 kbit/s: a byte for two samples.
    assert (tmp_path / "tone.g722").stat().st_size == 8000
    samples = asterisk.decode_g722(tmp_path / "tone.g722")
    assert samples.dtype == np.float32 and len(samples) == 16000
    spectrum = np.abs(np.fft.rfft(samples[2000:14000] * np.hanning(12000)))
    assert spectrum.argmax() * 16000 / 12000 == pytest.approx(1000, abs=2)
    assert np.sqrt(np.mean(samples[2000:14000] ** 2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.03)


@pytest.mark.parametrize(
    ("name", "text", "language", "spoken", "reason"),
    [
        ("letters/space", "space [ ]", "en", "space", ""),
        (
            "vm-intro",
            "Leave it. When done hang up. (simple tone sound plays)",
            "en",
            "Leave it. When done hang up.",
            "",
        ),
        ("vm-intro", "Lasciare. (produrre un beep, ma non in questo file).", "it", "Lasciare.", ""),
        ("conf-adminmenu", "conf-adminmenu: Нажмите 1", "ru", "Нажмите 1", ""),
        ("confbridge-mute-in", 'Pour activer le mode, ..."', "fr", "Pour activer le mode, ...", ""),
        ("dir-usingkeypad", "… con la tastiera…", "it", "con la tastiera...", ""),
        (
            "vm-savefolder",
            "En que carpeta desea guardar el mensaje ?",
            "es",
            "En que carpeta desea guardar el mensaje ?",
            "",
        ),
        ("conf-full", "La conferenza ? piena.", "it", "", "damaged transcript"),
        ("at-tone", "il tempo sar? esattamente..", "it", "", "damaged transcript"),
        ("vm-msgsaved", "Il [suo] messaggio.", "it", "", "unclear whether the bracketed words are said"),
        ("vm-review", "пометку (статус) «важно»", "ru", "", "unclear whether the bracketed words are said"),
        ("beep", "un suono beep", "it", "", "not speech: un suono beep"),
        ("beeperr", "(ahooga)", "fr", "", "not speech: (ahooga)"),
        ("tt-monkeys", "[ grabacion de monos gritando ]", "es", "", "not speech"),
        ("dir-welcome", "", "es", "", "no transcript"),
        ("pause", "...", "en", "", "nothing to say"),
    ],
)
def test_what_the_lists_really_hold(asterisk, name, text, language, spoken, reason):
    result, why = asterisk.spoken_text(name, text, language)
    assert result == spoken
    assert why.startswith(reason) and bool(why) == bool(reason)


def test_a_list_with_a_mark_and_a_contradiction(asterisk, tmp_path):
    (tmp_path / "list.txt").write_text("\ufeff; comment\ndigits/0: cero\ndigits/0: diez\ndigits/1F: una\n")
    texts, skipped = asterisk.read_transcripts(tmp_path / "list.txt")
    assert texts == {"digits/0": "", "digits/1f": "una"}
    assert skipped == {"digits/0": "two transcripts: cero / diez"}


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="needs dpkg-deb to build packages")
def test_packages_as_a_user_does(run_recipe, tree, tmp_path):
    packages = tmp_path / "packages"
    packages.mkdir()
    for name, part in [
        ("asterisk-core-sounds-en", "usr/share/doc"),
        ("asterisk-core-sounds-en-g722", "usr/share/asterisk"),
    ]:
        root = tmp_path / name
        shutil.copytree(tree / part, root / part)
        (root / "DEBIAN").mkdir()
        (root / "DEBIAN/control").write_text(
            f"Package: {name}\nVersion: 1.0\nArchitecture: all\nMaintainer: T <t@example.org>\nDescription: test\n"
        )
        target = packages / f"{name}_1.0_all.deb"
        subprocess.run(["dpkg-deb", "--build", str(root), str(target)], check=True, capture_output=True)
    result = run_recipe("asterisk", tmp_path / "out", "--language", "en", "--packages", packages)
    assert result.returncode == 0, result.stderr
    assert "5 of 9 prompts" in result.stdout and len(read_corpus(tmp_path / "out")) == 5

    # No network and no Debian: the same from a cache that was filled before.
    again = run_recipe("asterisk", tmp_path / "again", "--cache", packages)
    assert again.returncode == 0, again.stderr

    damaged = packages / "asterisk-core-sounds-en_1.0_all.deb"
    damaged.write_bytes(b"not a package")
    result = run_recipe("asterisk", tmp_path / "bad", "--packages", packages)
    assert result.returncode == 2 and result.stderr.count("\n") == 1 and "dpkg-deb cannot unpack it" in result.stderr


def test_mistakes_are_one_line(run_recipe, asterisk, tmp_path, monkeypatch):
    result = run_recipe("asterisk", tmp_path / "out", "--packages", tmp_path)
    assert result.returncode == 2
    assert (
        result.stderr
        == f"error: {tmp_path}: no asterisk-core-sounds-en_*.deb in it; fetch it with 'apt-get download "
        + ("asterisk-core-sounds-en'\n")
    )
    result = run_recipe("asterisk", tmp_path / "out", "--language", "xx")
    assert result.returncode == 2 and result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: argument --language: invalid choice: 'xx'")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="apt-get is not here"):
        asterisk.fetch_packages(tmp_path, ["asterisk-core-sounds-en"])
    with pytest.raises(UserError, match="dpkg-deb is not here"):
        asterisk.unpack(tmp_path / "x.deb", tmp_path)


def test_a_package_that_apt_does_not_find(asterisk, tmp_path, monkeypatch):
    fake = tmp_path / "bin" / "apt-get"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho 'E: Unable to locate package' $2 >&2\nexit 100\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:/bin:/usr/bin")
    with pytest.raises(UserError, match=r"failed \(E: Unable to locate package nope\): run 'apt-get update'"):
        asterisk.fetch_packages(tmp_path, ["nope"])


def test_without_pyav(asterisk, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(UserError, match="pip install av"):
        asterisk.decode_g722(tmp_path / "x.g722")


def test_a_damaged_g722_file(asterisk, tmp_path):
    (tmp_path / "empty.g722").write_bytes(b"")
    with pytest.raises(UserError, match=r"empty\.g722: not readable as G\.722"):
        asterisk.decode_g722(tmp_path / "empty.g722")
