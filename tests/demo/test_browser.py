"""The page as a person meets it: its buttons pressed in the system's Chromium, with a toy voice that speaks noise."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest
import soundfile
from live_page import serve
from toy import RATE

sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")
BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium: apt-get install chromium"),
]

FLAGS = [
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=document-user-activation-required",
]  # fmt: skip
CONTRAST = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")
SIZES = {"wide": (1280, 900), "phone": (390, 844)}
LONG = "One. " * 60
PATIENCE = 180_000  # milliseconds; other tests may keep the machine busy


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("demo"), max_chars=60, max_long_chars=1000) as page:
        yield page


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS, chromium_sandbox=False)
        yield browser
        browser.close()


@pytest.fixture
def show(page, browser):
    """`show(size, theme)` -> the page in a new window; in the end it has asked nobody else and had no error."""
    contexts, errors, asked = [], [], []

    def show(size: str = "wide", theme: str = "light"):
        width, height = SIZES[size]
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)
        contexts.append(context)
        window = context.new_page()
        window.set_default_timeout(PATIENCE)
        # Noted, as it may be over when one looks.
        window.add_init_script("addEventListener('playing', event => (event.target.dataset.begun = 'yes'), true)")
        window.on("pageerror", lambda error: errors.append(str(error)))
        window.on("console", lambda message: message.type == "error" and errors.append(message.text))
        window.on("request", lambda request: asked.append(request.url))
        window.goto(page.blocks.local_url)
        window.locator("button.go").first.wait_for()
        window.wait_for_function("window.wavetts && window.wavetts.players.size")
        return window

    yield show
    for context in contexts:
        context.close()
    assert not errors
    foreign = [url for url in asked if not url.startswith((page.blocks.local_url, "data:", "blob:"))]
    assert asked and not foreign


def tab(window, name: str) -> None:
    window.get_by_role("tab", name=name).click()
    window.locator("button.go:visible").wait_for()


def write(window, text: str) -> None:
    window.locator(".text:visible textarea").fill(text)


def audio(window):
    """The <audio> element of the player in the tab in front."""
    return window.locator(".player:visible audio").first


def heard(window) -> bool:
    return audio(window).evaluate("audio => !audio.paused")


def wait_until_heard(window) -> None:
    """Until the player in front has begun to sound since this was asked last."""
    element = audio(window).element_handle()
    window.wait_for_function("audio => audio.dataset.begun", arg=element)
    element.evaluate("audio => delete audio.dataset.begun")


def length(window) -> float:
    """Seconds that the player in front has."""
    return float(window.locator(".player:visible .wave").first.get_attribute("aria-valuemax"))


def download(window) -> tuple[str, float]:
    """Name and seconds of what the player in front saves."""
    with window.expect_download() as started:
        window.locator(".player:visible .save").first.click()
    samples, rate = soundfile.read(io.BytesIO(Path(started.value.path()).read_bytes()))
    assert rate == RATE
    return started.value.suggested_filename, len(samples) / rate


def test_it_speaks_and_shows_what_was_read(show):
    window = show()
    write(window, "One. Two.")
    window.locator("button.go:visible").click()
    wait_until_heard(window)
    window.locator("figure.spectrogram:visible").wait_for()
    assert window.locator(".read details").count() == 2
    # Letters beside the attention that one can read, one for each row of the picture.
    labels = window.locator("figure.attention:visible .tokens span")
    assert labels.all_inner_texts() == ["begin", "o", "n", "e", ".", "end"]
    assert all(box["height"] >= 12 for box in (label.bounding_box() for label in labels.all()))
    window.locator(".player:visible .save").wait_for()
    assert length(window) == pytest.approx(4.6, abs=0.05)
    assert download(window) == ("noise.wav", pytest.approx(4.6, abs=0.01))
    assert "of speech made in" in window.locator(".status:visible").inner_text()


def test_ctrl_enter_speaks_and_pause_and_position_obey(show):
    window = show()
    write(window, "One. " * 4)
    window.locator(".text:visible textarea").press("Control+Enter")
    wait_until_heard(window)
    window.get_by_label("Pause").click()
    assert not heard(window)
    window.locator(".player:visible .save").wait_for()
    seconds, wave = length(window), window.locator(".player:visible .wave")
    assert seconds == pytest.approx(4 * 2.2 + 3 * 0.2, abs=0.05)

    def position() -> float:
        return float(wave.get_attribute("aria-valuenow"))

    wave.click(position={"x": wave.bounding_box()["width"] / 2, "y": 10})
    assert position() == pytest.approx(seconds / 2, abs=0.1)
    wave.press("ArrowRight")
    assert position() == pytest.approx(seconds / 2 + 2, abs=0.1)
    wave.press("End")
    wave.press("ArrowLeft")
    assert position() == pytest.approx(seconds - 2, abs=0.1)
    window.locator(".player:visible .play").click()
    wait_until_heard(window)
    # At its end it is silent, and plays again from the begin.
    window.locator('.player:visible[data-state="ready"]').wait_for()
    assert not heard(window)
    assert position() == pytest.approx(seconds, abs=0.1)
    window.locator(".player:visible .play").click()
    assert position() < seconds / 2
    window.locator("button.stop:visible").click()


@pytest.mark.parametrize(("name", "text"), [("Speak", "One. " * 8), ("Read a long text", LONG)])
def test_stop_silences_at_once_and_keeps_what_was_spoken(show, name, text):
    window = show()
    tab(window, name)
    write(window, text)
    window.locator("button.go:visible").click()
    # Heard while it is made.
    wait_until_heard(window)
    window.locator("button.stop:visible").click()
    assert audio(window).evaluate("audio => audio.paused")
    window.locator(".player:visible .save").wait_for()
    seconds = length(window)
    assert seconds > 0
    if name != "Speak":
        assert seconds < 60 * 2.2
    assert download(window)[1] == pytest.approx(seconds, abs=0.06)
    window.locator(".player:visible .play").click()
    wait_until_heard(window)
    window.locator("button.stop:visible").click()
    assert audio(window).evaluate("audio => audio.paused")


def test_stop_leaves_the_queue(show, page):
    """Who waits sees the place, and Stop gives it up."""
    first, second = show(), show()
    for window in (first, second):
        tab(window, "Read a long text")
        write(window, LONG)
    first.locator("button.go:visible").click()
    wait_until_heard(first)
    second.locator("button.go:visible").click()
    second.locator(".progress-text:visible", has_text="queue: 1/1").wait_for()
    second.locator("button.stop:visible").click()
    second.locator(".status:visible", has_text="Stopped.").wait_for()
    first.locator("button.stop:visible").click()
    # Its status may be outlived by a late one.
    first.locator(".player:visible .save").wait_for()
    assert length(second) == 0


def test_a_long_text_does_not_hold_up_a_short_one(show):
    reader, speaker = show(), show()
    tab(reader, "Read a long text")
    write(reader, "One. " * 200)
    reader.locator("button.go:visible").click()
    wait_until_heard(reader)
    write(speaker, "One.")
    speaker.locator("button.go:visible").click()
    wait_until_heard(speaker)
    assert reader.locator(".player.live:visible").count() == 1
    reader.locator("button.stop:visible").click()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_is_cut_silently(show, theme):
    window = show(theme=theme)
    text = "One two three four. " * 4
    write(window, text)
    assert window.locator(".text:visible textarea").input_value() == text
    window.locator(".count.over:visible", has_text="80 of 60 characters, 20 too many").wait_for()
    window.locator("button.go:visible").click()
    window.get_by_text("the text has 80 characters, the most here are 60; nothing was cut").wait_for()
    window.wait_for_timeout(1000)
    assert window.evaluate(CONTRAST, 4.5)["low"] == []
    assert length(window) == 0


def test_compare_has_equal_cards_on_the_same_scales(show):
    window = show()
    tab(window, "Compare")
    write(window, "One.")
    window.get_by_label("voices").check()
    window.locator("button.go:visible").click()
    window.locator(".status:visible", has_text="2 of 2 spoken").wait_for()
    cards = window.locator(".card:visible")
    assert [card.locator("h3").inner_text().splitlines()[0] for card in cards.all()] == ["noise", "short"]
    boxes = [card.bounding_box() for card in cards.all()]
    assert boxes[0]["width"] == pytest.approx(boxes[1]["width"], abs=1)
    assert boxes[0]["height"] == pytest.approx(boxes[1]["height"], abs=1)
    ticks = [card.locator(".ticks").inner_text() for card in cards.all()]
    assert ticks[0] == ticks[1]
    widths = [card.locator("figure img").bounding_box()["width"] for card in cards.all()]
    assert widths[1] < 0.5 * widths[0]
    # One is heard at a time.
    for card in cards.all():
        card.locator(".play").click()
    playing = "() => [...document.querySelectorAll('.card audio')].map(audio => !audio.paused)"
    assert window.evaluate(playing)[0] is False
    window.locator("button.stop:visible").click()
    assert not any(window.evaluate(playing))


def test_dice_is_in_its_panel_and_rolls(show):
    window = show()
    panel, dice = (window.locator(name).bounding_box() for name in ("#settings", ".seed-row button"))
    assert panel["x"] <= dice["x"] and dice["x"] + dice["width"] <= panel["x"] + panel["width"]
    assert panel["y"] <= dice["y"] and dice["y"] + dice["height"] <= panel["y"] + panel["height"]
    window.locator(".seed-row button").click()
    window.wait_for_function("() => document.querySelector('.seed-row input').value !== '0'")


def test_the_card_follows_the_voice(show):
    window = show()
    assert "Language" in window.locator(".voice-card").inner_text()
    window.locator("#voice input").click()
    window.get_by_role("option", name="short").click()
    write(window, "One.")
    window.locator("button.go:visible").click()
    window.locator(".player:visible .save").wait_for()
    assert download(window)[0] == "short.wav"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_every_text_can_be_read_and_nothing_sticks_out(show, size, theme):
    window = show(size, theme)
    voice, text = (window.locator(name).first.bounding_box() for name in ("#voice", ".text"))
    assert voice["y"] <= text["y"]
    low, seen = [], 0
    for name, written in (("Speak", "One. Two."), ("Compare", "One."), ("Read a long text", "One. Two.")):
        tab(window, name)
        write(window, written + " One two three four." * 5)
        window.locator(".count.over:visible" if name != "Read a long text" else ".count:visible").wait_for()
        for state in ("before", "after"):
            if state == "after":
                write(window, written)
                window.locator("button.go:visible").click()
                window.locator(".player:visible .save").first.wait_for()
                for closed in window.locator("details:not([open])").all():
                    closed.evaluate("one => one.open = true")
            # At rest: a hovered button is measured as a button is.
            window.mouse.move(0, 0)
            window.wait_for_timeout(400)
            found = window.evaluate(CONTRAST, 4.5)
            low += [(name, state, one) for one in found["low"]]
            seen += found["count"]
            assert window.evaluate("document.documentElement.scrollWidth <= innerWidth"), (name, state)
    assert seen > 100
    assert not low
