"""Linear prediction by the C kernel: frames, temperature by voicing and the removal of dither are those of torch."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from wavetts.config import AudioConfig  # noqa: E402
from wavetts.config.load import from_dict  # noqa: E402
from wavetts.model.density import SamplingOptions  # noqa: E402
from wavetts.model.density.couplings import CouplingFlowConfig  # noqa: E402
from wavetts.model.density.linear_prediction import LinearPredictionConfig  # noqa: E402
from wavetts.model.density.subframe import SubframeConfig, SubframeDensity  # noqa: E402
from wavetts.model.generate import Engine, Generation, generate  # noqa: E402
from wavetts.model.tacotron import WaveTacotron  # noqa: E402
from wavetts.runtime import bindings as native  # noqa: E402
from wavetts.runtime.engine import build_engine  # noqa: E402
from wavetts.runtime.prediction import NativeLinearPrediction  # noqa: E402

needs_kernel = pytest.mark.skipif(native.library() is None, reason="the C kernel is not built: pip install -e .")

C, DITHER = 24, 0.01


def make_density(
    rate: int = 16000, frame_length: int = 320, subframe_length: int = 80, std: float = 0.05, **options: int
) -> SubframeDensity:
    """A density away from its initial state, in which the filter is flat and nothing is copied."""
    inner = {"num_couplings": 4, "hidden_dim": 36, "code_dim": 11, "scale_bound": 1.5}
    inner = {name: options.pop(name, value) for name, value in inner.items()}
    width = options.pop("context_dim", 44)
    section = LinearPredictionConfig(inner=CouplingFlowConfig(**inner), **{"order": 16, "num_bins": 40, **options})
    config = SubframeConfig(subframe_length=subframe_length, context_dim=width, inner=section)
    torch.manual_seed(0)
    density = config.build(frame_length, C, AudioConfig(sample_rate=rate, frame_length=frame_length)).eval()
    with torch.no_grad():
        for parameter in density.parameters():
            parameter.add_(std * torch.randn_like(parameter))
    return density


def voiced_past(batch: int, length: int, rate: int) -> Tensor:
    """Pulses of another period in each row, through a resonance, with some noise: (B, P)."""
    past = 0.05 * torch.randn(batch, length)
    for row in range(batch):
        past[row, :: round(rate / (110 + 37 * row))] += 1.0
    ringing = torch.exp(-torch.arange(30) / 8) * torch.cos(0.9 * torch.arange(30))
    return nn.functional.conv1d(past[:, None], ringing.flip(0)[None, None], padding=29)[:, 0, :length]


def inputs(density: SubframeDensity, batch: int, rate: int = 16000) -> tuple[Tensor, Tensor]:
    """noise (B, K) and cond (B, C + P), the second half of the rows unvoiced."""
    torch.manual_seed(batch)
    past = voiced_past(batch, density.past_dim, rate)
    past[(batch + 1) // 2 :] = 0.3 * torch.randn_like(past[(batch + 1) // 2 :])
    return torch.randn(batch, density.noise_dim), torch.cat([torch.randn(batch, C), past], 1)


def assert_same(density: SubframeDensity, noise: Tensor, cond: Tensor, options: SamplingOptions) -> None:
    """Frames and their scores are those of torch; float32 rounds both, and each part takes up the errors before it."""
    frames, heard = NativeLinearPrediction(density, None).sample_clean(cond, options, noise, 1.0)
    expected = density.sample(cond, options, noise)
    first, peak = density.subframe_length, expected.abs().amax()
    assert (frames - expected)[:, :first].abs().amax() < 2e-4 * peak
    assert (frames - expected).abs().amax() < 2e-3 * peak
    # Of what the kernel drew, in units of the largest.
    score = density.remove_dither(frames, cond, 1.0) - frames
    assert (heard - frames - score).abs().amax() < 2e-3 * score.abs().amax()


@needs_kernel
@pytest.mark.parametrize("batch", [1, 3, 8])
@pytest.mark.parametrize(
    "shape", [(16000, 320, 80), (16000, 640, 160), (8000, 320, 320), (24000, 60, 10), (11025, 96, 8)]
)
def test_frames_and_scores_are_those_of_torch(shape, batch):
    """At other rates, too: of a search at every second, fourth or sixth sample, or of parts shorter than the filter."""
    rate, *lengths = shape
    density = make_density(rate, *lengths)
    noise, cond = inputs(density, batch, rate)
    assert_same(density, noise, cond, SamplingOptions(0.8, voiced_scale=0.6))


@needs_kernel
@pytest.mark.parametrize(
    "options",
    [
        {"num_couplings": 0},
        {"num_couplings": 2},
        {"num_layers": 1},
        {"num_layers": 3},
        {"num_cepstra": 0},
        {"order": 1},
        {"order": 33, "num_bins": 70},
        # More than a panel of outputs, and no multiple of one; wider inside than its context.
        {"context_dim": 70, "hidden_dim": 200, "code_dim": 90},
    ],
)
def test_every_option_of_the_density(options):
    density = make_density(**options)
    noise, cond = inputs(density, 2)
    assert_same(density, noise, cond, SamplingOptions())


@needs_kernel
@pytest.mark.parametrize("loudness", [0.0, 1e-4, 30.0])
def test_past_of_any_loudness(loudness):
    density = make_density()
    noise, cond = inputs(density, 2)
    cond[:, C:] *= loudness
    assert_same(density, noise, cond, SamplingOptions(voiced_scale=0.5))


@needs_kernel
def test_noise_is_softer_where_the_past_is_voiced():
    density = make_density()
    noise, cond = inputs(density, 4)
    factors = density.voicing(cond[:, C:], 0.5)
    assert (factors[:2] == 0.5).all() and (factors[2:] > 0.9).all()
    ours = NativeLinearPrediction(density, None)
    plain, soft = (ours.sample(cond, SamplingOptions(0.8, voiced_scale=scale), noise) for scale in (1.0, 0.5))
    halved = ours.sample(cond, SamplingOptions(0.4), noise)
    # The first part: the others go on from it.
    torch.testing.assert_close(soft[:2, :80], halved[:2, :80])
    assert not torch.allclose(soft[:2, :80], plain[:2, :80], rtol=0.1)
    # A scale for each row.
    scales = torch.tensor([[1.0], [0.5], [1.0], [0.5]])
    mixed = ours.sample(cond, SamplingOptions(torch.full((4, 1), 0.8), voiced_scale=scales), noise)
    assert torch.equal(mixed, torch.where(scales == 1, plain, soft))


@needs_kernel
def test_what_is_drawn_does_not_depend_on_what_is_heard():
    density = make_density()
    noise, cond = inputs(density, 2)
    ours = NativeLinearPrediction(density, 1000)
    frames, same = ours.sample_clean(cond, SamplingOptions(), noise, 0.0)
    drawn, heard = ours.sample_clean(cond, SamplingOptions(), noise, DITHER)
    assert torch.equal(frames, same) and torch.equal(drawn, frames)
    assert torch.equal(ours.sample(cond, SamplingOptions(), noise), frames)
    assert not torch.equal(heard, drawn)


def rounded(density: SubframeDensity) -> SubframeDensity:
    """A copy whose matrices have the values that 8 bits can hold."""
    density = copy.deepcopy(density)
    half = density.subframe_length // 2
    for name, module in density.named_modules():
        if isinstance(module, nn.Linear):
            # Of the couplings' first layers, what sees the half and what sees the code are apart.
            split = "couplings" in name and name.endswith("input")
            for part in (slice(half), slice(half, None)) if split else (slice(None),):
                codes, scale = native.quantize_rows(module.weight[:, part])
                module.weight.data[:, part] = codes * scale[:, None]
    return density


@needs_kernel
def test_weights_of_8_bits_are_all_that_is_rounded():
    density = make_density(std=0.03, context_dim=200, num_cepstra=0)
    noise, cond = inputs(density, 2)
    options = SamplingOptions(0.7)
    exact, plain = rounded(density).sample(cond, options, noise), density.sample(cond, options, noise)
    ours = NativeLinearPrediction(density, 0).sample(cond, options, noise)
    assert (ours - exact).norm() < 2e-3 * exact.norm()
    assert (ours - plain).norm() > 3 * (ours - exact).norm()


@needs_kernel
@pytest.mark.parametrize("smallest", [None, 1000])
def test_a_row_does_not_depend_on_the_others(smallest):
    density = make_density()
    ours = NativeLinearPrediction(density, smallest)
    noise, cond = inputs(density, 9)
    options = SamplingOptions(0.7, voiced_scale=0.6)
    together = ours.sample_clean(cond, options, noise, DITHER)
    for row in range(9):
        alone = ours.sample_clean(cond[row], options, noise[row], DITHER)
        assert all(torch.equal(both[row], one) for both, one in zip(together, alone, strict=True))


@needs_kernel
def test_threads_do_not_disturb_each_other():
    density = make_density()
    ours = NativeLinearPrediction(density, 1000)
    tasks = [inputs(density, batch) for batch in range(1, 9)]
    draw = lambda task: ours.sample_clean(task[1], SamplingOptions(voiced_scale=0.6), task[0], DITHER)[1]  # noqa: E731
    alone = [draw(task) for task in tasks]
    with ThreadPoolExecutor(8) as executor:
        for _ in range(5):
            assert all(map(torch.equal, executor.map(draw, tasks), alone))


@needs_kernel
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_a_past_that_is_no_number_gives_no_crash(value):
    density = make_density()
    noise, cond = inputs(density, 2)
    ours, options = NativeLinearPrediction(density, 1000), SamplingOptions(voiced_scale=0.6)
    exact = ours.sample_clean(cond, options, noise, DITHER)
    cond[0] = value
    found = ours.sample_clean(cond, options, noise, DITHER)
    assert all(torch.equal(new[1], old[1]) for new, old in zip(found, exact, strict=True))


@needs_kernel
def test_it_takes_over_copies():
    density = make_density()
    noise, cond = inputs(density, 2)
    ours = NativeLinearPrediction(density, 1000)
    before = ours.sample_clean(cond, SamplingOptions(), noise, DITHER)
    with torch.no_grad():
        for parameter in density.parameters():
            parameter.zero_()
    del density
    again = ours.sample_clean(cond, SamplingOptions(), noise, DITHER)
    assert all(map(torch.equal, before, again))


def make_model(inner: dict, **synthesis: object) -> WaveTacotron:
    """Random everywhere, quiet; frames of 320 samples."""
    config = from_dict(
        {
            "audio": {"sample_rate": 8000, "frame_length": 320, "dither": DITHER},
            "encoder": {"kind": "conv_lstm", "hidden_dim": 10, "num_layers": 1},
            "attention": {"kind": "forward", "hidden_dim": 9, "key_dim": 6, "max_move": 3},
            "decoder": {"prenet_dims": [11, 7], "attention_dim": 13, "hidden_dim": 256, "num_layers": 1},
            "density": {"kind": "subframe", "subframe_length": 80, "context_dim": 256, "inner": inner},
            "synthesis": synthesis,
        }
    )
    torch.manual_seed(0)
    model = WaveTacotron(config, 12).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
        model.scale.fill_(20.0)
        model.decoder.stop.bias.fill_(-20.0)
    return model


def speak(engine: Engine, seeds: list[int]) -> list[Tensor]:
    spoken = [Generation([1, 2, 3, *range(seed)], seed, max_frames=2) for seed in seeds]
    generate(engine, spoken)
    return [torch.from_numpy(one.waveform) for one in spoken]


PREDICTION = {"kind": "linear_prediction", "inner": {"kind": "couplings", "num_couplings": 2, "hidden_dim": 256}}
COMPACT = {"kind": "compact", "num_couplings": 2, "hidden_dim": 64}


@needs_kernel
def test_a_voice_is_spoken_by_the_kernel_with_all_that_it_asks_for():
    model = make_model(PREDICTION, voiced_scale=0.6, remove_dither=True)
    engine = build_engine(model)
    assert type(engine.density) is NativeLinearPrediction
    together = speak(engine, [1, 2, 3])
    for ours, seed in zip(together, (1, 2, 3), strict=True):
        assert torch.equal(ours, *speak(engine, [seed]))
        (expected,) = speak(Engine(model), [seed])
        assert (ours - expected).norm() < 0.05 * expected.norm()
    (noisy,) = speak(build_engine(make_model(PREDICTION, voiced_scale=0.6)), [1])
    assert not torch.equal(noisy, together[0])


@pytest.mark.parametrize("inner", [PREDICTION, COMPACT], ids=["prediction", "compact"])
@pytest.mark.parametrize("options", [{"remove_dither": True}, {"voiced_scale": 0.6}, {}])
def test_what_the_kernel_does_not_support_is_left_to_torch(inner, options, monkeypatch):
    """Without a kernel, or for a flow whose score it does not have: the same speech but for 8-bit weights."""
    model = make_model(inner, **options)
    (expected,) = speak(Engine(model), [1])
    (ours,) = speak(build_engine(model), [1])
    assert (ours - expected).norm() < 0.05 * expected.norm()
    monkeypatch.setattr(native, "library", lambda: None)
    with pytest.warns(UserWarning, match="C compiler"):
        without = build_engine(model)
    assert type(without.density) is SubframeDensity
    # Half as many digits in the activations.
    assert (speak(without, [1])[0] - expected).norm() < 0.1 * expected.norm()
