"""The listening page, read as text and as a browser shows it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from toy import RATE, write_corpus
from toy_voice import save_voice

from wavetts.audio import read_audio, write_audio
from wavetts.evaluation.evaluate import Evaluation, Options, evaluate
from wavetts.evaluation.listening import write_page
from wavetts.evaluation.tables import describe_sampling
from wavetts.synthesis.settings import SynthesisSettings

HOSTILE = "<script>alert('x')</script> & \"quotes\""
BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory) -> Evaluation:
    """A toy voice and a folder of WAVs on two sentences, one of which tries to be HTML; nothing is recognised."""
    folder = tmp_path_factory.mktemp("listening")
    data = write_corpus(folder / "data")
    lines = [json.loads(line) for line in (data / "test.jsonl").read_text().splitlines()]
    lines[0]["text"] = HOSTILE
    lines[1]["id"] = "50% of #1 & <2>"
    (data / "test.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for line in lines:
        noise = 0.1 * np.random.default_rng(0).standard_normal(RATE // 2)
        write_audio(folder / "other <b>" / f"{line['id']}.wav", noise, RATE)
    voice = save_voice(folder / "voice", stop="never")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wavetts.evaluation.evaluate.missing_recogniser", lambda *_: "not wanted <here>")
        patch.setattr("wavetts.evaluation.evaluate.missing_quality", lambda: "nor here")
        return evaluate(
            [voice, folder / "other <b>"],
            data / "test.jsonl",
            Options(),
            SynthesisSettings(max_seconds=0.4, retries=0),
            "cpu",
            1,
        )


@pytest.fixture(scope="module")
def page(evaluation, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("page") / "new" / "page"
    write_page(evaluation, folder)
    return folder / "index.html"


class Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def test_page_holds_all_that_it_needs(page, evaluation):
    text = page.read_text(encoding="utf-8")
    assert "http:" not in text and "https:" not in text and "<link" not in text
    elements = Elements(text).found
    sources = [attributes["src"] for tag, attributes in elements if tag in ("audio", "img")]
    # Two sentences by three systems: a player and a spectrogram each, and the voice's attention.
    assert len(sources) == len(set(sources)) == 2 * (3 + 3 + 1)
    for source in sources:
        assert (page.parent / unquote(source)).is_file(), source
    written = {path for path in page.parent.rglob("*") if path.is_file()} - {page}
    assert written == {page.parent / unquote(source) for source in sources}


def test_players_play_what_was_measured(page, evaluation):
    for system in evaluation.systems:
        for sentence in evaluation.sentences:
            (path,) = page.parent.glob(f"wavs/*-{system.name.replace(' <b>', '-b')}/{sentence.id}.wav")
            audio, rate = read_audio(path)
            speech = system.speech[sentence.id]
            assert rate == speech.rate
            np.testing.assert_allclose(audio, speech.audio, atol=2**-15)


def test_nothing_on_it_is_taken_for_html(page):
    text = page.read_text(encoding="utf-8")
    tags = {tag for tag, _ in Elements(text).found}
    assert "script" not in tags and "b" not in tags and "here" not in tags
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt; &amp; &quot;quotes&quot;" in text
    assert "Not measured, recogniser: not wanted &lt;here&gt;." in text


def test_silence_has_its_reason_instead_of_a_player(evaluation, tmp_path):
    from dataclasses import replace

    from wavetts.evaluation.systems import Speech

    system = evaluation.systems[1]
    name = evaluation.sentences[0].id
    silent = replace(system, speech={**system.speech, name: Speech(np.zeros(0, "f"), RATE, error="no <such> letter")})
    write_page(replace(evaluation, systems=[evaluation.systems[0], silent]), tmp_path)
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "Nothing to hear: no &lt;such&gt; letter" in text
    assert text.count("<audio") == 3


CHECK = """<!doctype html><body style="margin:0">
<iframe src="index.html" style="width:{width}px; height:3000px; border:0"></iframe><pre id="out"></pre><script>
onload = async () => {{
  const page = document.querySelector("iframe").contentDocument;
  const images = [...page.images], players = [...page.querySelectorAll("audio")];
  images.forEach(image => image.loading = "eager");
  await Promise.all(images.map(image => image.decode().catch(() => 0)));
  await Promise.all(players.map(player => new Promise(done => {{
    player.onloadedmetadata = player.onerror = done; player.preload = "metadata"; player.load(); }})));
  document.getElementById("out").textContent = JSON.stringify({{
    width: page.documentElement.scrollWidth, images: images.map(image => image.naturalWidth),
    seconds: players.map(player => player.duration), back: getComputedStyle(page.body).backgroundColor }});
}};
</script>"""


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium: apt-get install chromium")
@pytest.mark.parametrize(("scheme", "setting"), [("dark", 0), ("light", 1)])
@pytest.mark.parametrize("width", [390, 1280])
def test_in_a_browser(page, evaluation, tmp_path, width, scheme, setting):
    """At a telephone's width and a desk's: nothing sticks out, every picture and player loads, colours follow."""
    from matplotlib.image import imread

    def chromium(*words: str) -> str:
        command = [
            BROWSER,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            # Without it a page from disk may not look into a frame from disk.
            "--allow-file-access-from-files",
            f"--blink-settings=preferredColorScheme={setting}",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=10000",
            *words,
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout

    check = page.parent / f"check-{scheme}-{width}.html"
    check.write_text(CHECK.format(width=width), encoding="utf-8")
    try:
        # Virtual time does not wait for media: on a busy machine the page may be shown before its players are ready.
        for _ in range(5):
            shown = chromium("--dump-dom", check.as_uri())
            if text := re.search(r'<pre id="out">(.*?)</pre>', shown, re.DOTALL)[1]:
                break
    finally:
        check.unlink()
    found = json.loads(text)
    assert found["width"] == width
    assert len(found["images"]) == 8 and min(found["images"]) > 0
    expected = [len(s.speech[x.id].audio) / RATE for x in evaluation.sentences for s in evaluation.systems]
    assert found["seconds"] == pytest.approx(expected, abs=0.01)

    picture = tmp_path / "shot.png"
    chromium(f"--window-size={max(width, 500)},1200", f"--screenshot={picture}", page.as_uri())
    pixels = imread(picture)[..., :3]
    corner = pixels[-5:, :5].mean()
    assert (corner < 0.2) if scheme == "dark" else (corner > 0.9)
    # Text and pictures are on it.
    assert len(np.unique((pixels * 255).astype(np.uint8).reshape(-1, 3), axis=0)) > 200


@pytest.mark.parametrize(
    ("temperature", "guidance", "expected"),
    [
        (None, None, "each model's own temperature and guidance"),
        (0.8, None, "temperature 0.8, each model's own guidance"),
        (None, 0.0, "guidance 0, each model's own temperature"),
        (0.8, 0.5, "temperature 0.8, guidance 0.5"),
    ],
)
def test_what_was_drawn_how_is_said(temperature, guidance, expected):
    assert describe_sampling({"temperature": temperature, "guidance": guidance}) == expected
