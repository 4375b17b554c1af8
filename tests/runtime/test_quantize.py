"""8-bit weights: close to the float ones, the same for every batch, and the same speech to the ear."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from wavetts.config.load import from_dict  # noqa: E402
from wavetts.model.density import SamplingOptions  # noqa: E402
from wavetts.model.tacotron import WaveTacotron  # noqa: E402
from wavetts.runtime import bindings as native  # noqa: E402
from wavetts.runtime.engine import build_engine  # noqa: E402
from wavetts.runtime.int8 import SMALLEST, Int8Linear, Int8LSTMCell, quantize_layers  # noqa: E402


@pytest.fixture(autouse=True, params=["kernel", "torch"])
def backend(request, monkeypatch):
    """Every test with the C kernel and without."""
    if request.param == "torch":
        monkeypatch.setattr(native, "library", lambda: None)
    elif native.library() is None:
        pytest.skip("the C kernel is not built: pip install -e .")


DENSITIES = {
    "compact": {"num_couplings": 4, "hidden_dim": 512},
    "subframe": {"subframe_length": 160, "num_couplings": 2, "hidden_dim": 256},
    "gaussian": {},
    "flow": {"squeeze": 4, "num_stages": 1, "num_steps": 2, "hidden_dim": 256, "position_dim": 4},
}


def make_model(density: str, fields: dict | None = None) -> WaveTacotron:
    config = from_dict(
        {
            "audio": {"sample_rate": 8000, "frame_length": 640},
            "encoder": {"kind": "conv_lstm", "hidden_dim": 64, "num_layers": 1},
            "attention": {"kind": "gmm", "num_components": 1, "hidden_dim": 64},
            "decoder": {
                "prenet_dims": [192],
                "attention_dim": 256,
                "hidden_dim": 256,
                "num_layers": 2,
                "cond_dim": 512,
            },
            "density": {"kind": density, **(DENSITIES[density] if fields is None else fields)},
        }
    )
    torch.manual_seed(0)
    model = WaveTacotron(config, 10).eval()
    with torch.no_grad():
        for parameter in model.density.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return model


def relative_error(ours: torch.Tensor, exact: torch.Tensor) -> float:
    return float((ours - exact).norm() / exact.norm())


@pytest.mark.parametrize("kind", ["recovery", "tilt"])
def test_what_is_drawn_by_following_gradients_keeps_its_precision(kind):
    inner = {"hidden_dim": 256, "num_layers": 1, "kind": kind}
    inner |= {"chain_steps": 2, "num_levels": 2} if kind == "recovery" else {"num_candidates": 3}
    model = make_model("subframe", {"subframe_length": 160, "inner": inner})
    small = build_engine(model, "int8")
    assert (small.density is model.density) == (kind == "recovery")
    cond = torch.randn(2, 512 + model.density.past_dim)
    with torch.inference_mode():
        exact, drawn = (
            density.sample(cond, SamplingOptions(0.0), torch.Generator()) for density in (model.density, small.density)
        )
    assert relative_error(drawn, exact) < 0.1


def test_linear_is_close_and_keeps_rows_apart():
    torch.manual_seed(0)
    linear, x = nn.Linear(640, 384), torch.randn(9, 640)
    ours = Int8Linear(linear.weight, linear.bias)
    with torch.inference_mode():
        assert 0 < relative_error(ours(x), linear(x)) < 0.02
        for rows in (1, 2, 5):
            assert torch.equal(ours(x)[:rows], ours(x[:rows]))


def test_weights_that_fit_into_8_bits_are_exact():
    weight = torch.randint(-127, 128, (256, 256)).float()
    weight[:, 0] = 127
    x = torch.eye(256)
    assert torch.equal(Int8Linear(weight / 64, None)(x), weight.T / 64)
    # A dead output is zero, not a division by zero.
    assert torch.equal(Int8Linear(torch.zeros(256, 256), None)(x), torch.zeros(256, 256))


def test_what_the_kernel_cannot_take_stays_as_it_is():
    model = make_model("gaussian")
    model.decoder.input, model.decoder.attention_lstm = nn.Linear(300, 256), nn.LSTMCell(300, 256)
    quantize_layers(model.decoder)
    assert type(model.decoder.input) is nn.Linear
    assert type(model.decoder.attention_lstm) is nn.LSTMCell


@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.LSTM])
def test_lstm_step_is_close(kind):
    torch.manual_seed(0)
    lstm, x = kind(320, 256), torch.randn(3, 320)
    h, c = torch.randn(2, 3, 256).unbind()
    with torch.inference_mode():
        exact = lstm(x, (h, c)) if kind is nn.LSTMCell else lstm(x[None], (h[None], c[None]))[1]
        for ours, theirs in zip(Int8LSTMCell(lstm)(x, (h, c)), exact, strict=True):
            assert relative_error(ours, theirs.reshape(3, 256)) < 0.01


@pytest.mark.parametrize("density", DENSITIES)
def test_step_and_sample_are_close_and_all_large_matrices_small(density):
    model = make_model(density)
    before = copy.deepcopy(model.state_dict())
    small = build_engine(model, "int8")
    # The model stays as it was: it can be trained and scored.
    assert {type(module) for module in model.modules()}.isdisjoint({Int8Linear, Int8LSTMCell})
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert model.density.log_prob(torch.randn(1, 640), torch.randn(1, 512 + model.density.past_dim)).isfinite()
    large = [p for p in small.decoder.parameters() if p.numel() >= SMALLEST]
    large += [p for p in small.density.parameters() if p.numel() >= SMALLEST and density != "flow"]
    assert not large
    tokens, lengths = torch.randint(1, 10, (3, 7)), torch.tensor([7, 5, 7])
    frame, noise = torch.randn(2, 3, 640)
    outputs = []
    with torch.inference_mode():
        for engine in (build_engine(model, "float32"), small):
            keys = model.decoder.attention.prepare(model.encoder(tokens, lengths), lengths)
            cond, stop_logits, state = engine.step(frame, keys, engine.init_state(keys), torch.zeros(3, 1))
            drawn, _ = engine.sample(cond, frame, SamplingOptions(0.7), noise)
            outputs.append((cond, stop_logits, state.attention.weights, drawn))
    for exact, ours in zip(*outputs, strict=True):
        assert relative_error(ours, exact) < 0.03


def test_it_is_for_synthesis():
    with pytest.raises(AssertionError):
        build_engine(make_model("compact").train())


def test_threads_are_one_where_the_kernel_works_and_given_back(monkeypatch):
    before = torch.get_num_threads()
    config = from_dict({"attention": {"kind": "forward"}, "density": {"kind": "compact"}})
    engine = build_engine(WaveTacotron(config, 10).eval())
    assert engine.threads == (0 if native.library() is None else 1)
    assert build_engine(WaveTacotron(config, 10).eval(), "float32").threads == 0
    engine = build_engine(WaveTacotron(config, 10).eval(), threads=before + 1)
    with engine.computing():
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_speech_is_the_same_to_the_bit_in_any_batch():
    from wavetts import SynthesisSettings, load_voice

    if native.library() is None:
        pytest.skip("torch rounds products of other batch sizes otherwise")
    voice, settings = load_voice("joe"), SynthesisSettings(retries=0)
    texts = [("Good morning.", 1), ("It was a long way to the river, and nobody spoke.", 2), ("No.", 3)]
    for together, text in zip(voice.synthesize(texts, settings), texts, strict=True):
        (alone,) = voice.synthesize([text], settings)
        assert torch.equal(torch.from_numpy(together.audio), torch.from_numpy(alone.audio))
