"""The demo: a page on which a voice speaks while one listens, is compared with itself, and reads long texts."""

from __future__ import annotations

import atexit
import functools
import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

# Nothing is sent to anybody; read when gradio is imported.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import gradio as gr

from wavetts.audio.waveform import to_pcm, write_audio
from wavetts.demo import views
from wavetts.demo.actions import MAX_COMPARED, MAX_SEED, MAX_TEMPERATURE, Actions, Spoken
from wavetts.demo.views import line
from wavetts.errors import UserError

if TYPE_CHECKING:
    import numpy as np

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
_ABOUT = (
    "# wavetts\n"
    "Text to waveform in one network: no spectrogram, no vocoder, every sample drawn from a normalizing flow."
)
_SUGGESTED = {"temperatures": "0.5, 0.7, 0.85, 1.0", "seeds": "0, 1, 2, 3"}


def _theme() -> gr.Theme:
    # Fonts of the system: the page asks nobody else for anything.
    fonts = ["ui-sans-serif", "system-ui", "sans-serif"], ["ui-monospace", "Consolas", "monospace"]
    plain, mono = ([gr.themes.Font(name) for name in names] for names in fonts)
    theme = gr.themes.Soft(primary_hue="teal", secondary_hue="teal", neutral_hue="slate", font=plain, font_mono=mono)
    return theme.set(
        body_background_fill="*neutral_50",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_hover_dark="*primary_500",
    )


def _messages(function: Callable) -> Callable:
    """A user's mistake becomes a message on the page."""

    @functools.wraps(function)
    def shown(*args: Any) -> Iterator:
        try:
            yield from function(*args)
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from None

    return shown


class Page:
    """The page of some actions; `blocks` is Gradio's part of it."""

    def __init__(self, actions: Actions) -> None:
        """Builds the page."""
        self.actions = actions
        with gr.Blocks(title="wavetts", analytics_enabled=False, delete_cache=(3600, 3600)) as self.blocks:
            gr.Markdown(_ABOUT)
            with gr.Tab("Speak"):
                self._speak_tab()
            with gr.Tab("Compare"):
                self._compare_tab()
            with gr.Tab("Read a long text"):
                self._read_tab()

    def _voice(self) -> gr.Dropdown:
        return gr.Dropdown(self.actions.names, value=self.actions.names[0], label="Voice", filterable=False)

    def _text(self, lines: int, longest: int, value: str) -> gr.Textbox:
        label = f"Text, up to {longest} characters"
        return gr.Textbox(value, lines=lines, max_lines=20, max_length=longest, label=label)

    def _temperature(self, voice: gr.Dropdown) -> gr.Slider:
        """A slider that stands at the voice's own temperature."""
        slider = gr.Slider(
            0,
            MAX_TEMPERATURE,
            self.actions.temperature(self.actions.names[0]),
            step=0.05,
            label="Temperature",
            info="0: the same every time; 1: as it was trained",
        )
        voice.change(self.actions.temperature, voice, slider, show_progress="hidden", api_visibility="private")
        return slider

    def _seed(self) -> gr.Number:
        dice = gr.Button("\u2684 Dice", size="sm")
        seed = gr.Number(0, label="Seed", precision=0, minimum=0, maximum=MAX_SEED, buttons=[dice])
        roll = f"() => Math.floor(Math.random() * {MAX_SEED})"
        dice.click(None, None, seed, js=roll, api_visibility="private")
        return seed

    def _buttons(self, name: str) -> tuple[gr.Button, gr.Button]:
        with gr.Row():
            return gr.Button(name, variant="primary", min_width=120), gr.Button("Stop", min_width=120)

    def _run(self, buttons: tuple[gr.Button, gr.Button], function: Callable, inputs: list, outputs: list) -> None:
        """Connects the buttons that start and stop; the first output tells how it stands."""
        go, stop = buttons
        running = go.click(
            function,
            inputs,
            outputs,
            # One text after the other: together they would not be faster, and each would stutter.
            concurrency_limit=1,
            concurrency_id="voice",
            show_progress_on=outputs[0],
            api_name=function.__name__,
        )
        stop.click(lambda: line("Stopped."), None, outputs[0], cancels=[running], queue=False, api_visibility="private")

    def _speak_tab(self) -> None:
        # In an order that makes sense on a phone, too, where one column follows the other.
        with gr.Row():
            with gr.Column(min_width=320):
                text = self._text(4, self.actions.max_chars, EXAMPLES[0])
                buttons = self._buttons("Speak")
                live = gr.Audio(
                    label="Plays while it is made", streaming=True, autoplay=True, interactive=False, buttons=[]
                )
                status = gr.HTML(line("Press <b>Speak</b>."))
                gr.Examples([[example] for example in EXAMPLES], text, label="Examples", api_visibility="private")
            with gr.Column(min_width=320):
                voice = self._voice()
                temperature, seed = self._temperature(voice), self._seed()
                stop_threshold = gr.Slider(
                    0.05, 0.95, 0.5, step=0.05, label="Stop threshold", info="how sure it must be that a sentence ends"
                )
        with gr.Row(visible=False) as results:
            with gr.Column(min_width=320):
                recording = gr.Audio(label="Recording", interactive=False, format="wav", buttons=["download"])
                spectrogram = gr.Plot(show_label=False, elem_classes="figure")
            with gr.Column(min_width=320):
                read = gr.HTML()
                alignment = gr.Plot(show_label=False, elem_classes="figure")
        outputs = [status, live, results, recording, read, spectrogram, alignment]
        self._run(buttons, self.speak, [text, voice, temperature, stop_threshold, seed], outputs)

    def _compare_tab(self) -> None:
        with gr.Row():
            with gr.Column(min_width=320):
                text, voice = self._text(4, self.actions.max_chars, EXAMPLES[0]), self._voice()
            with gr.Column(min_width=320):
                what = gr.Radio(list(_SUGGESTED), value="temperatures", label="Compare")
                values = gr.Textbox(_SUGGESTED["temperatures"], label=f"Values, up to {MAX_COMPARED}")
                temperature = self._temperature(voice)
                temperature.visible = False
                seed = self._seed()
        buttons, status = self._buttons("Speak all"), gr.HTML()
        cards: list[Any] = []
        with gr.Row():
            for _ in range(MAX_COMPARED):
                with gr.Column(min_width=320, visible=False, elem_classes="card") as card:
                    audio = gr.Audio(interactive=False, format="wav", buttons=["download"])
                    figures = gr.HTML()
                    picture = gr.Plot(show_label=False, elem_classes="figure")
                cards += [card, audio, figures, picture]
        what.change(
            # What is compared has no value of its own.
            lambda what: (_SUGGESTED[what], gr.Slider(visible=what == "seeds"), gr.Number(visible=what != "seeds")),
            what,
            [values, temperature, seed],
            queue=False,
            api_visibility="private",
        )
        self._run(buttons, self.compare, [text, voice, what, values, temperature, seed], [status, *cards])

    def _read_tab(self) -> None:
        with gr.Row():
            with gr.Column(min_width=320, scale=3):
                text = self._text(14, self.actions.max_long_chars, LONG_EXAMPLE)
            with gr.Column(min_width=320, scale=2):
                voice = self._voice()
                temperature, seed = self._temperature(voice), self._seed()
                buttons, status = self._buttons("Read"), gr.HTML()
                recording = gr.Audio(label="Recording", interactive=False, format="wav", buttons=["download"])
        self._run(buttons, self.read, [text, voice, temperature, seed], [status, recording])

    @_messages
    def speak(self, text: str, voice: str, temperature: float, stop_threshold: float, seed: float) -> Iterator[tuple]:
        """Status, audio (a WAV of each chunk), visibility of what follows: recording, what was read, both pictures."""
        # What was there goes when there is something new: a mistake leaves it.
        others: list[Any] = [gr.Row(visible=False), None, "", None, None]
        for chunk, spoken in self.actions.speak(text, voice, temperature, stop_threshold, seed):
            status, wav = line(views.figures(spoken)), io.BytesIO()
            if spoken.result is None:
                write_audio(wav, chunk, spoken.voice.sample_rate)
                yield status, wav.getvalue(), *others
                others = [gr.skip()] * 5
            else:
                pictures = views.spectrogram(spoken), views.alignment(spoken)
                yield status, None, gr.Row(visible=True), _recording(spoken), views.sentences(spoken), *pictures

    @_messages
    def compare(
        self, text: str, voice: str, what: str, values: str, temperature: float, seed: float
    ) -> Iterator[list[Any]]:
        """Status; every card's visibility, audio, figures and spectrogram."""
        settings, size = self.actions.compared(what, values, temperature, seed), 4
        # As above; then, cards that are there already stay as they are: they may be playing.
        others: list[Any] = [gr.Column(visible=False), None, "", None] * MAX_COMPARED
        for number, (one, spoken) in enumerate(self.actions.compare(text, voice, settings)):
            name = f"Seed {one.seed}" if what == "seeds" else f"Temperature {one.temperature:g}"
            card = [
                gr.Column(visible=True),
                gr.Audio(value=_recording(spoken), label=name),
                line(views.figures(spoken)),
                views.spectrogram(spoken, name),
            ]
            done = line(f"{views.bar(number + 1, len(settings))} {number + 1} of {len(settings)}")
            yield [done, *others[: size * number], *card, *others[size * (number + 1) :]]
            others = [gr.skip()] * (size * MAX_COMPARED)

    @_messages
    def read(self, text: str, voice: str, temperature: float, seed: float) -> Iterator[tuple]:
        """Status and, in the end, the recording."""
        for spoken in self.actions.read(text, voice, temperature, seed):
            progress = views.bar(spoken.finished, len(spoken.pieces))
            text = f"{progress} {spoken.finished} of {len(spoken.pieces)} sentences. {views.figures(spoken)}"
            yield line(text), None if spoken.result is None else _recording(spoken)


def _recording(spoken: Spoken) -> tuple[int, np.ndarray]:
    assert spoken.result is not None
    return spoken.voice.sample_rate, to_pcm(spoken.result.audio)


def _provide_ffmpeg() -> None:
    """Gradio streams audio through a program named ffmpeg: the package's, where the system has none."""
    if shutil.which("ffmpeg"):
        return
    import imageio_ffmpeg

    folder = tempfile.mkdtemp(prefix="wavetts-ffmpeg-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.symlink(imageio_ffmpeg.get_ffmpeg_exe(), os.path.join(folder, "ffmpeg"))
    os.environ["PATH"] = os.environ.get("PATH", "") + os.pathsep + folder


def launch(
    actions: Actions,
    host: str = "127.0.0.1",
    port: int | None = None,
    max_waiting: int = 16,
    open_browser: bool = False,
    block: bool = True,
) -> Page:
    """Serves the page; the default voice is loaded first, so that the first sound comes at once.

    Args:
        actions: what it offers.
        host: address to listen at.
        port: None takes the first free one from 7860 on.
        max_waiting: requests that wait their turn; more are told that the page is busy.
        open_browser: show it.
        block: return only when the server ends; False leaves it running in a thread (`page.blocks.close()`).

    Raises:
        UserError: the default voice is damaged.
        OSError: the port is taken.
    """
    actions.voice(actions.names[0])
    _provide_ffmpeg()
    page = Page(actions)
    page.blocks.queue(max_size=max_waiting)
    page.blocks.launch(
        server_name=host,
        server_port=port,
        share=False,
        inbrowser=open_browser,
        prevent_thread_lock=True,
        quiet=True,
        theme=_theme(),
        css=views.CSS,
        footer_links=["api", "gradio"],
        # Texts are not kept.
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        max_file_size="1mb",
    )
    if block:
        print(f"{page.blocks.local_url} (Ctrl-C ends it)")
        page.blocks.block_thread()
    return page
