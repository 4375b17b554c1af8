"""The demo page: tabs to speak, to compare voices and settings, and to read long texts."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

# Nothing is sent to anybody; read when gradio is imported.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import gradio as gr

from wavetts.demo import views
from wavetts.demo.actions import (
    MAX_COMPARED,
    MAX_GUIDANCE,
    MAX_SEED,
    MAX_SPEED,
    MAX_TEMPERATURE,
    MIN_SPEED,
    Actions,
    Spoken,
    Variant,
    page_settings,
)
from wavetts.demo.recordings import Recording, Recordings
from wavetts.demo.views import line
from wavetts.errors import UserError

CSS = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
SCRIPT = (Path(__file__).parent / "player.js").read_text(encoding="utf-8")
EXAMPLES = [
    "Hello there. This sentence was made sample by sample.",
    "Please hold the line; somebody will be with you in a moment.",
    "Dr. Smith paid $19.99 on May 3rd, 2024, at 5:30 p.m.",
    "Where did you put the keys?",
    "I say [[təmˈɑːɾoʊ]], and you say [[təmˈeɪɾoʊ]].",
]
LONG_EXAMPLE = (
    "The sun was low when they reached the harbour. Nobody had spoken for an hour, and the only sound was the water "
    "against the wall.\n\nAt half past six a light came on in the house above the bridge. It went out, and came on "
    "again. They had agreed on that: twice for yes, once for no."
)
_MASTHEAD = (
    '<header class="masthead"><h1>wavetts</h1><p>Text to waveform in one network: no spectrogram, no vocoder, every '
    "sample drawn from a normalizing flow.</p></header>"
)
_SUGGESTED = {"temperatures": "0.5, 0.7, 0.85, 1", "seeds": "0, 1, 2, 3"}
_PLAYER = """
<div class="player" ATTRIBUTES>
  <button class="play" type="button" aria-label="Play" disabled>
    <svg class="triangle" viewBox="0 0 20 20"><path d="M6 3.5v13l11-6.5z"/></svg>
    <svg class="bars" viewBox="0 0 20 20"><path d="M5 3h3.5v14H5zM11.5 3H15v14h-3.5z"/></svg>
  </button>
  <div class="wave" role="slider" tabindex="0" aria-label="Seconds" aria-valuemin="0"><canvas></canvas></div>
  <span class="time"></span><a class="save" hidden>Download WAV</a><audio></audio>
</div>
"""


def _player(attributes: str) -> gr.HTML:
    """An audio player; its value is the URL of a recording.

    Args:
        attributes: attributes of its element. With `data-autoplay` it plays from the first samples on; `data-level` is
            the full height of the drawn waveform in 16-bit steps (without it, the loudest sample).
    """
    # Not a subclass: Gradio would write type stubs of that into the package.
    template = _PLAYER.replace("ATTRIBUTES", attributes)
    attach = "window.wavetts.attach(element, props, watch)"
    return gr.HTML(None, html_template=template, js_on_load=attach, apply_default_css=False)


def _messages(function: Callable) -> Callable:
    """Context that shows a UserError as a message on the page."""

    @functools.wraps(function)
    def shown(*args: Any) -> Iterator:
        try:
            yield from function(*args)
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from None

    return shown


class Page:
    """The page; `blocks` is the Gradio app, `recordings` the audio that its players fetch."""

    def __init__(self, actions: Actions) -> None:
        """Builds the page."""
        self.actions, self.recordings = actions, Recordings()
        with gr.Blocks(title="wavetts", analytics_enabled=False) as self.blocks:
            gr.HTML(_MASTHEAD)
            with gr.Row(elem_classes="shell"):
                with gr.Column():
                    self._side()
                with gr.Column(), gr.Tabs():
                    with gr.Tab("Speak"):
                        self._speak_tab()
                    with gr.Tab("Compare"):
                        self._compare_tab()
                    with gr.Tab("Read a long text"):
                        self._read_tab()
            gr.HTML(
                '<p class="colophon">All of this page comes from the machine that serves it, and nothing is kept. '
                "For programs there is <code>wavetts serve</code>.</p>"
            )
            # On a phone the text comes before the settings are seen.
            fold = "() => { if (innerWidth < 861) document.querySelector('#settings > button')?.click(); }"
            self.blocks.load(None, js=fold, api_visibility="private")

    def _side(self) -> None:
        first = self.actions.names[0]
        self.voice = gr.Dropdown(self.actions.names, value=first, label="Voice", filterable=False, elem_id="voice")
        card = gr.HTML(views.voice_card(self.actions, first))
        own = self._own(first)
        with gr.Accordion("Settings", elem_id="settings"):
            temperature = gr.Slider(
                0, MAX_TEMPERATURE, own[0], step=0.05, label="Temperature", info="0: always the same"
            )
            guidance = gr.Slider(0, MAX_GUIDANCE, own[1], step=0.05, label="Guidance", info="More: clearer words")
            speed = gr.Slider(MIN_SPEED, MAX_SPEED, 1, step=0.05, label="Speed", info="The pitch stays")
            stop = gr.Slider(0.05, 0.95, 0.5, step=0.05, label="Stop threshold", info="How sure an end is")
            with gr.Row(elem_classes="seed-row"):
                seed = gr.Number(0, label="Seed", precision=0, minimum=0, maximum=MAX_SEED, min_width=80)
                dice = gr.Button("\u2684 Dice", size="sm", min_width=76, scale=0)
        roll = f"() => Math.floor(Math.random() * {MAX_SEED})"
        dice.click(None, None, seed, js=roll, api_visibility="private")
        self.settings = [temperature, guidance, speed, stop, seed]
        # Choosing a voice sets the sliders to its temperature and guidance.
        self.voice.change(
            lambda name: (views.voice_card(self.actions, name), *self._own(name)),
            self.voice,
            [card, temperature, guidance],
            show_progress="hidden",
            api_visibility="private",
        )

    def _own(self, name: str) -> tuple[float, float]:
        synthesis = self.actions.voice(name).config.synthesis
        return synthesis.temperature, synthesis.guidance

    def _text(self, lines: int, longest: int, value: str) -> gr.Textbox:
        """A text field without a length limit: texts that are too long get a message and are not cut."""
        text = gr.Textbox(value, lines=lines, max_lines=max(lines, 12), label="Text", elem_classes="text")
        count = f"(text) => window.wavetts.count(text, {longest})"
        shown = gr.HTML(
            f'<div class="count"><span>Ctrl+Enter speaks</span><b>{len(value)} of {longest} characters</b></div>'
        )
        text.change(None, text, shown, js=count, api_visibility="private")
        return text

    def _buttons(self, name: str) -> tuple[gr.Button, gr.Button]:
        with gr.Row(elem_classes="buttons"):
            go = gr.Button(name, variant="primary", min_width=120, elem_classes="go")
            return go, gr.Button("Stop", min_width=120, elem_classes="stop")

    def _run(self, buttons: tuple[gr.Button, gr.Button], function: Callable, inputs: list, outputs: list) -> None:
        """Connects the buttons that start and stop; the first output shows the status."""
        (go, stop), name = buttons, str(getattr(function, "__name__", ""))
        running = go.click(
            function,
            inputs,
            outputs,
            # Texts of one kind wait for each other: together they would not be faster, and each would stutter. A long
            # one does not hold up the short ones: each tab has a queue of its own.
            concurrency_limit=1,
            concurrency_id=name,
            show_progress="minimal",
            show_progress_on=outputs[0],
            api_name=name,
        )
        stop.click(
            lambda: line("Stopped. What was spoken so far can be heard again and downloaded."),
            None,
            outputs[0],
            # In the browser, without waiting for the server.
            js="() => window.wavetts.stop()",
            cancels=[running],
            queue=False,
            api_visibility="private",
        )

    def _speak_tab(self) -> None:
        text = self._text(4, self.actions.max_chars, EXAMPLES[0])
        buttons, player = self._buttons("Speak"), _player('data-autoplay="1"')
        status = gr.HTML(line("Choose a voice, write a text, press <b>Speak</b>."))
        result = gr.HTML()
        gr.Examples([[example] for example in EXAMPLES], text, label="Examples", api_visibility="private")
        self._run(buttons, self.speak, [text, self.voice, *self.settings], [status, player, result])

    def _compare_tab(self) -> None:
        text = self._text(3, self.actions.max_chars, EXAMPLES[0])
        what = gr.Radio(["voices", *_SUGGESTED], value="temperatures", label="Compare")
        names = self.actions.names[:MAX_COMPARED]
        voices = gr.Dropdown(
            self.actions.names, value=names, multiselect=True, max_choices=MAX_COMPARED, visible=False,
            label=f"Voices, up to {MAX_COMPARED}, each at its own temperature and guidance",
        )  # fmt: skip
        values = [
            gr.Textbox(suggested, label=f"{kind.title()}, up to {MAX_COMPARED}", visible=kind == what.value)
            for kind, suggested in _SUGGESTED.items()
        ]
        buttons, status = self._buttons("Speak all"), gr.HTML(line("One text, up to four ways."))
        cards: list[Any] = []
        with gr.Row(elem_classes="cards"):
            for _ in range(MAX_COMPARED):
                with gr.Column(visible=False, elem_classes="card") as card:
                    cards += [card, gr.HTML(), _player('data-level="20000"'), gr.HTML()]
        what.change(
            lambda what: [gr.update(visible=what == kind) for kind in ("voices", *_SUGGESTED)],
            what,
            [voices, *values],
            queue=False,
            api_visibility="private",
        )
        inputs = [text, self.voice, what, voices, *values, *self.settings]
        self._run(buttons, self.compare, inputs, [status, *cards])

    def _read_tab(self) -> None:
        text = self._text(12, self.actions.max_long_chars, LONG_EXAMPLE)
        buttons, player = self._buttons("Read"), _player('data-autoplay="1"')
        status = gr.HTML(line("It is heard while it is made; a sentence that breaks off is tried again first."))
        self._run(buttons, self.read, [text, self.voice, *self.settings], [status, player])

    @_messages
    def speak(
        self,
        text: str,
        voice: str,
        temperature: float,
        guidance: float,
        speed: float,
        stop_threshold: float,
        seed: float,
    ) -> Iterator[tuple]:
        """Yields status, URL of the recording, and the sentences with their pictures."""
        parts = self.actions.speak(text, voice, page_settings(temperature, guidance, speed, stop_threshold, seed))
        for spoken, address in self._record(parts, voice):
            result = "" if spoken.result is None else views.spectrogram(spoken) + views.sentences(spoken)
            yield line(views.figures(spoken)), address, result

    @_messages
    def read(
        self,
        text: str,
        voice: str,
        temperature: float,
        guidance: float,
        speed: float,
        stop_threshold: float,
        seed: float,
    ) -> Iterator[tuple]:
        """Yields status and URL of the recording."""
        parts = self.actions.read(text, voice, page_settings(temperature, guidance, speed, stop_threshold, seed))
        for spoken, address in self._record(parts, voice):
            progress = views.bar(spoken.finished, len(spoken.pieces))
            text = f"{progress} {spoken.finished} of {len(spoken.pieces)} sentences. {views.figures(spoken)}"
            yield line(text), address

    def _record(self, parts: Generator, voice: str) -> Iterator[tuple[Spoken, str]]:
        """Stores speech in a recording during synthesis; yields the progress and the URL."""
        recording: Recording | None = None
        try:
            for samples, spoken in parts:
                recording = recording or self.recordings.new(voice, spoken.voice.sample_rate)
                recording.append(samples)
                if spoken.result is not None:
                    recording.close()
                yield spoken, recording.path
        finally:
            # Also after Stop: the finished part can be played.
            parts.close()
            if recording is not None:
                recording.close()

    @_messages
    def compare(
        self,
        text: str,
        voice: str,
        what: str,
        voices: list[str],
        temperatures: str,
        seeds: str,
        temperature: float,
        guidance: float,
        speed: float,
        stop_threshold: float,
        seed: float,
    ) -> Iterator[list[Any]]:
        """Yields status, and for each card visibility, title, recording, and statistics with the spectrogram."""
        values = {"voices": voices, "temperatures": temperatures, "seeds": seeds}.get(what)
        if values is None:
            raise UserError(f"compare: {str(what)[:20]!r} is none of voices, temperatures and seeds")
        variants, done = (
            self.actions.variants(
                what, values, voice, page_settings(temperature, guidance, speed, stop_threshold, seed)
            ),
            [],
        )
        for variant, spoken in self.actions.compare(text, variants):
            recording = self.recordings.new(f"{variant.voice}-{variant.label}", spoken.voice.sample_rate)
            assert spoken.result is not None
            recording.append(spoken.result.audio)
            recording.close()
            done.append((variant, spoken, recording.path))
            longest = max(spoken.seconds for _, spoken, _ in done)
            outputs: list[Any] = [line(f"{views.bar(len(done), len(variants))} {len(done)} of {len(variants)} spoken.")]
            for place in range(MAX_COMPARED):
                if place < len(done):
                    outputs += self._card(*done[place], longest)
                else:
                    outputs += [gr.update(visible=False), "", None, ""]
            yield outputs

    @staticmethod
    def _card(variant: Variant, spoken: Spoken, address: str, longest: float) -> list[Any]:
        title = views.variant_title(variant, spoken)
        below = views.spectrogram(spoken, longest) + line(views.figures(spoken))
        return [gr.update(visible=True), title, address, below]
