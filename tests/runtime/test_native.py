"""The C kernel: what torch computes, for every shape and batch; and speech without it."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

torch = pytest.importorskip("torch")

from command_lines import ROOT  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from wavetts.config import AudioConfig  # noqa: E402
from wavetts.config.load import from_dict  # noqa: E402
from wavetts.model.density import SamplingOptions  # noqa: E402
from wavetts.model.density.compact import CompactFlowConfig  # noqa: E402
from wavetts.model.density.subframe import SubframeConfig, SubframeDensity  # noqa: E402
from wavetts.model.tacotron import WaveTacotron  # noqa: E402
from wavetts.runtime import bindings as native  # noqa: E402
from wavetts.runtime.decoder import NativeDecoder  # noqa: E402
from wavetts.runtime.density import NativeSubframeFlow  # noqa: E402
from wavetts.runtime.engine import build_engine  # noqa: E402

needs_kernel = pytest.mark.skipif(native.library() is None, reason="the C kernel is not built: pip install -e .")

C = 24
ONE, COOL = SamplingOptions(), SamplingOptions(temperature=0.7)
# Frames: 16 = 4 x 4, 22 = 11 x 2, 240 = 16 x 15, 640 = 32 x 20, of as many subframes as there can be, or one.
SHAPES = [(16, 4), (22, 22), (240, 80), (640, 80)]


def make_flow(frame_length: int = 240, subframe_length: int = 80, std: float = 0.05, **options: int) -> SubframeDensity:
    """A flow away from its initial identity."""
    sizes = {"num_couplings": 4, "hidden_dim": 36, "num_cepstra": 5, "scale_bound": 1.5, **options}
    section = SubframeConfig(
        subframe_length=subframe_length, context_dim=sizes.pop("context_dim", 44), inner=CompactFlowConfig(**sizes)
    )
    torch.manual_seed(0)
    density = section.build(frame_length, C, AudioConfig(frame_length=frame_length)).eval()
    with torch.no_grad():
        for parameter in density.parameters():
            parameter.add_(std * torch.randn_like(parameter))
    return density


def inputs(density: SubframeDensity, batch: int) -> tuple[Tensor, Tensor]:
    """noise (B, K) and cond (B, C + K)."""
    torch.manual_seed(batch)
    return torch.randn(batch, density.noise_dim), torch.randn(batch, density.cond_dim + density.past_dim)


@needs_kernel
@pytest.mark.parametrize("batch", [1, 3, 8])
@pytest.mark.parametrize("shape", SHAPES)
def test_frames_are_those_of_the_flow(shape, batch):
    flow = make_flow(*shape)
    noise, cond = inputs(flow, batch)
    ours = NativeSubframeFlow(flow, None).sample(cond, ONE, noise)
    torch.testing.assert_close(ours, flow.sample(cond, ONE, noise), atol=1e-4, rtol=1e-4)


@needs_kernel
@pytest.mark.parametrize(
    "options",
    [
        {"num_cepstra": 0},
        {"num_layers": 0},
        {"num_layers": 3},
        {"num_couplings": 2},
        # More than a panel of outputs, and no multiple of one; wider inside than its context.
        {"context_dim": 70, "hidden_dim": 200},
    ],
)
def test_every_option_of_the_flow(options):
    flow = make_flow(**options)
    noise, cond = inputs(flow, 2)
    ours = NativeSubframeFlow(flow, None).sample(cond, ONE, noise)
    torch.testing.assert_close(ours, flow.sample(cond, ONE, noise), atol=1e-4, rtol=1e-4)


@needs_kernel
@pytest.mark.parametrize("loudness", [0.0, 1e-4, 100.0])
def test_past_of_any_loudness(loudness):
    """Silence, and what is louder than the spectrum's limit."""
    flow = make_flow()
    noise, cond = inputs(flow, 2)
    cond[:, C:] *= loudness
    ours = NativeSubframeFlow(flow, None).sample(cond, ONE, noise)
    torch.testing.assert_close(ours, flow.sample(cond, ONE, noise), atol=1e-4, rtol=1e-4)


@needs_kernel
def test_tones_are_where_they_are():
    """Each bin of the spectrum: through a matrix that shows one, the context is that bin's."""
    flow = make_flow(num_couplings=2)
    with torch.no_grad():
        flow.past_linear.weight.mul_(3.0)
    ours = NativeSubframeFlow(flow, None)
    for bin in (1, 7, 60, 119, 120):
        noise, cond = inputs(flow, 1)
        cond[:, C:] = 2.0 * torch.cos(2 * torch.pi * bin / 240 * torch.arange(240))
        torch.testing.assert_close(ours.sample(cond, ONE, noise), flow.sample(cond, ONE, noise), atol=1e-4, rtol=1e-4)


def rounded(flow: SubframeDensity, smallest: int) -> SubframeDensity:
    """A copy whose large matrices have the values that 8 bits can hold."""
    flow = copy.deepcopy(flow)
    for module in flow.modules():
        if isinstance(module, nn.Linear) and module.weight.numel() >= smallest:
            codes, scale = native.quantize_rows(module.weight)
            module.weight.data = codes * scale[:, None]
    return flow


@needs_kernel
def test_weights_of_8_bits_are_all_that_is_rounded():
    flow = make_flow(640, 80, std=0.03, context_dim=200, hidden_dim=130)
    noise, cond = inputs(flow, 2)
    exact, ours = (
        rounded(flow, 10000).sample(cond, ONE, noise),
        NativeSubframeFlow(flow, 10000).sample(cond, ONE, noise),
    )
    assert (ours - exact).norm() < 1e-3 * exact.norm()
    assert (ours - flow.sample(cond, ONE, noise)).norm() > 3 * (ours - exact).norm()


@needs_kernel
@pytest.mark.parametrize("smallest", [None, 1000])
def test_a_row_does_not_depend_on_the_others(smallest):
    flow = make_flow()
    ours = NativeSubframeFlow(flow, smallest)
    noise, cond = inputs(flow, 9)
    together = ours.sample(cond, COOL, noise)
    for row in range(9):
        assert torch.equal(together[row], ours.sample(cond[row], COOL, noise[row]))


@needs_kernel
def test_threads_do_not_disturb_each_other():
    flow = make_flow()
    ours = NativeSubframeFlow(flow, 1000)
    tasks = [inputs(flow, batch) for batch in range(1, 9)]
    alone = [ours.sample(cond, ONE, noise) for noise, cond in tasks]
    with ThreadPoolExecutor(8) as executor:
        for _ in range(5):
            together = executor.map(lambda task: ours.sample(task[1], ONE, task[0]), tasks)
            assert all(map(torch.equal, together, alone))


@needs_kernel
def test_it_takes_over_copies_and_leaves_the_flow_alone():
    flow = make_flow()
    before = copy.deepcopy(flow.state_dict())
    ours = NativeSubframeFlow(flow, 1000)
    noise, cond = inputs(flow, 2)
    kept = noise.clone(), cond.clone()
    frames = ours.sample(cond, SamplingOptions(torch.tensor([[0.5], [1.0]])), noise)
    assert torch.equal(noise, kept[0]) and torch.equal(cond, kept[1])
    for name, value in flow.state_dict().items():
        assert torch.equal(value, before[name])
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.zero_()
    del flow
    assert torch.equal(ours.sample(cond, SamplingOptions(torch.tensor([[0.5], [1.0]])), noise), frames)
    assert not hasattr(ours, "log_prob")


@needs_kernel
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_a_past_that_is_no_number_gives_no_crash(value):
    flow = make_flow()
    noise, cond = inputs(flow, 2)
    exact = NativeSubframeFlow(flow, 1000).sample(cond, ONE, noise)
    cond[0] = value
    ours = NativeSubframeFlow(flow, 1000).sample(cond, ONE, noise)
    assert torch.equal(ours[1], exact[1])


def make_model(**decoder: object) -> WaveTacotron:
    """Random everywhere; frames of 16 samples."""
    config = from_dict(
        {
            "audio": {"sample_rate": 8000, "frame_length": 16},
            "encoder": {"kind": "conv_lstm", "hidden_dim": 10, "num_layers": 1},
            "attention": {"kind": "forward", "hidden_dim": 9, "key_dim": 6, "max_move": 3},
            "decoder": {"prenet_dims": [11, 7], "attention_dim": 13, "hidden_dim": 17, "num_layers": 2, **decoder},
            "density": {"kind": "gaussian"},
        }
    )
    torch.manual_seed(0)
    model = WaveTacotron(config, 12).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def run_steps(model: WaveTacotron, lengths: list[int], rows: slice = slice(None)) -> list[Tensor]:
    """cond, stop_logits and weights of five frames, for these of the utterances; each has a guidance of its own."""
    torch.manual_seed(1)
    tokens, frames = torch.randint(1, 12, (len(lengths), max(lengths))), torch.randn(5, len(lengths), 16)
    lengths, guidance = torch.tensor(lengths)[rows], 0.4 * torch.arange(len(lengths))[rows, None]
    outputs = []
    with torch.inference_mode():
        memory = model.encoder(tokens[rows, : lengths.max()], lengths)
        keys = model.decoder.attention.prepare(memory, lengths)
        state = model.decoder.init_state(keys)
        for frame in frames:
            cond, stop_logits, state = model.decoder.step(frame[rows], keys, state, guidance)
            outputs += [cond, stop_logits, state.attention.weights]
    return outputs


@needs_kernel
@pytest.mark.parametrize(
    "options",
    [
        {"spectrum": True, "cond_dim": 19},
        {"skip": False, "cond_dim": 19},
        {"spectrum": True, "prenet_dims": [5], "num_layers": 1},
        # Wider than anything else, each in its turn.
        {"prenet_dims": [80, 3]},
        {"attention_dim": 90},
        {"cond_dim": 400},
    ],
)
def test_decoder_steps_as_torch_does(options):
    model = make_model(**options)
    lengths = [5, 8, 1]
    expected = run_steps(model, lengths)
    assert NativeDecoder.takes(model.decoder)
    model.decoder = NativeDecoder(model.decoder, None)
    for ours, theirs in zip(run_steps(model, lengths), expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)


@needs_kernel
def test_decoder_of_8_bits_is_close_and_keeps_rows_apart():
    model = make_model(spectrum=True, cond_dim=40)
    lengths = [6, 8, 2, 3]
    expected = run_steps(model, lengths)
    before = copy.deepcopy(model.decoder.state_dict())
    taken = model.decoder
    model.decoder = NativeDecoder(taken, 200)
    together = run_steps(model, lengths)
    for ours, theirs in zip(together, expected, strict=True):
        assert 1e-6 < (ours - theirs).norm() / theirs.norm() < 0.05
    for name, value in taken.state_dict().items():
        assert torch.equal(value, before[name])
    for ours, theirs in zip(run_steps(model, lengths, slice(1, 2)), together, strict=True):
        # The encoder and the projections of the memory are torch's, which rounds otherwise for other batches.
        torch.testing.assert_close(ours, theirs[1:2], atol=1e-4, rtol=1e-3)


@needs_kernel
def test_other_decoders_stay_with_torch():
    model = make_model()
    assert isinstance(build_engine(model).decoder, NativeDecoder)
    assert isinstance(build_engine(make_model(num_layers=0)).decoder, type(model.decoder))
    for decoder in (make_model(prenet_dims=[]).decoder, make_model(num_layers=0).decoder):
        assert not NativeDecoder.takes(decoder)


def test_without_it_torch_speaks_and_says_so_once(monkeypatch, small_config):
    from wavetts.model.generate import Engine, Generation, generate

    def speak(engine: Engine) -> Tensor:
        utterance = Generation([3, 1, 4], seed=0, max_frames=4, stop_threshold=2.0)
        generate(engine, [utterance])
        return torch.from_numpy(utterance.waveform)

    torch.manual_seed(0)
    model = WaveTacotron(small_config(attention="forward", density="subframe"), 12).eval()
    model.scale.fill_(20.0)
    expected = speak(Engine(model))
    monkeypatch.setattr(native, "library", lambda: None)
    with pytest.warns(UserWarning, match="C compiler") as warned:
        fallback = build_engine(model)
    assert len(warned) == 1
    assert type(fallback.density) is SubframeDensity
    assert torch.equal(speak(fallback), expected)
    monkeypatch.undo()
    if native.library() is not None:
        with_kernel = build_engine(model)
        assert type(with_kernel.density) is NativeSubframeFlow
        torch.testing.assert_close(speak(with_kernel), expected, atol=1e-4, rtol=1e-4)


@needs_kernel
@pytest.mark.parametrize("coefficient", [0.0, 0.97])
def test_waveform_is_torchs(coefficient):
    config = from_dict({"audio": {"preemphasis": coefficient, "frame_length": 16}, "density": {"kind": "gaussian"}})
    torch.manual_seed(0)
    model = WaveTacotron(config, 12).eval()
    model.scale.fill_(3.0)
    frames, last = torch.randn(3, 5, 16), torch.randn(3)
    expected = model.to_waveform(frames, last)
    torch.testing.assert_close(build_engine(model).to_waveform(frames, last), expected)


def test_versions_and_panels_are_those_of_the_sources():
    folder = ROOT / "wavetts" / "runtime" / "kernel"
    assert f"#define VERSION {native.VERSION}\n" in (folder / "kernel.h").read_text(encoding="utf-8")
    assert f"#define SLIDE {native.SLIDE}\n" in (folder / "kernel.h").read_text(encoding="utf-8")
    assert f"#define TILE {native.TILE}\n" in (folder / "kernel.h").read_text(encoding="utf-8")
    assert f"#define PANEL {native.PANEL}\n" in (folder / "linear.c").read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
@pytest.mark.parametrize("compiler", ["cc", "false"])
def test_it_is_built_where_there_is_a_compiler_and_left_out_elsewhere(compiler, tmp_path):
    pytest.importorskip("setuptools")
    command = [sys.executable, "setup.py", "build_ext", "--build-lib", tmp_path / "lib", "--build-temp", tmp_path]
    environment = {**os.environ, "CC": compiler, "CFLAGS": "-Wall -Wextra -Werror"}
    environment.pop("PYTHONPATH", None)
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert len([*tmp_path.glob("lib/wavetts/runtime/_kernel*.so")]) == (compiler == "cc")


@needs_kernel
def test_a_checkout_takes_the_kernel_of_an_installation(tmp_path):
    checkout, site = tmp_path / "checkout", tmp_path / "site"
    shutil.copytree(ROOT / "wavetts", checkout / "wavetts", ignore=shutil.ignore_patterns("*.so", "voices"))
    (site / "wavetts" / "runtime").mkdir(parents=True)
    shutil.copy(native.library()._name, site / "wavetts" / "runtime")
    code = "import wavetts; from wavetts.runtime.bindings import library; print(wavetts.__file__, library()._name)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(checkout), str(site)])}
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    package, kernel = result.stdout.split()
    assert package.startswith(str(checkout)) and kernel.startswith(str(site))
