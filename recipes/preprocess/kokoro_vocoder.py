"""The last and costliest part of a Kokoro model, its ISTFTNet vocoder, in torch: bfloat16 products instead of integers.

onnxruntime 1.32 computes the int8 model's convolutions slowly (ConvInteger has no fast kernel). Here the weights are
taken out of the ONNX graph and the graph ends where the vocoder begins. Source: Kokoro-82M's decoder (StyleTTS 2's),
Kaneko et al., ISTFTNet, ICASSP 2022.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn
from torch.nn import functional

ROOT = "/decoder/decoder/generator"
# What the vocoder is given: features (1, 512, T), magnitudes and phases of the harmonic source (1, 22, 60 T + 1).
FEATURES, SOURCE = "/decoder/decoder/decode.3/Div_4_output_0", f"{ROOT}/Concat_3_output_0"
NUM_FFT, HOP = 20, 5
# The export leaves out the division by the sum of the squared windows; clips are to be as loud as it makes them.
GAIN = 1.5
NUM_STAGES, BLOCKS_PER_STAGE = 2, 3
# Frames that are worked on at a time, so that they stay in the processor's cache.
CHUNK = 2048
EPSILON = 1e-5


class ConvolutionWeights:
    """The convolutions of an int8 ONNX model as float32 weights and biases."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.constants = {item.name: item for item in graph.initializer}
        self.producers = {output: node for node in graph.node for output in node.output}
        self.consumers = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                self.consumers[name].append(node)
        self.nodes = {node.name.rsplit("/", 1)[0]: node for node in graph.node if "Conv" in node.op_type}

    def constant(self, name: str) -> torch.Tensor:
        """A constant of the graph."""
        return torch.from_numpy(numpy_helper.to_array(self.constants[name]).copy())

    def build(self, name: str) -> nn.Module:
        """A torch module that computes what the convolution below `ROOT` does, on (1, C, 1, T)."""
        node = self.nodes[f"{ROOT}/{name}"]
        attributes = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
        if node.op_type == "ConvInteger":
            weight, bias = self._dequantise(node)
        else:
            weight, bias = self.constant(node.input[1]), self.constant(node.input[2])
        transposed = node.op_type == "ConvTranspose"
        num_outputs, num_inputs = weight.shape[:2][::-1] if transposed else weight.shape[:2]
        module = (nn.ConvTranspose2d if transposed else nn.Conv2d)(
            num_inputs,
            num_outputs,
            (1, weight.shape[2]),
            stride=(1, attributes["strides"][0]),
            padding=(0, attributes["pads"][0]),
            dilation=(1, attributes["dilations"][0]),
        )
        module.weight.data, module.bias.data = weight[:, :, None], bias
        return module

    def _dequantise(self, node: onnx.NodeProto) -> tuple[torch.Tensor, torch.Tensor]:
        """Weight and bias of a ConvInteger, the result of which is (it + floor(bias / scale)) * scale."""
        (add,) = self.consumers[node.output[0]]
        quotient = self.producers[add.input[1]]
        while quotient.op_type != "Div":
            quotient = self.producers[quotient.input[0]]
        scales = self.producers[quotient.input[1]]
        (scale,) = (name for name in scales.input if name in self.constants)
        weight = self.constant(node.input[1]).float() - self.constant(node.input[3]).float()
        return weight * self.constant(scale), self.constant(quotient.input[0]).flatten()


class ResidualBlock(nn.Module):
    """Three pairs of convolutions, each after adaptive instance normalisation and the snake x + sin(a x)^2 / a.

    The 1 / a is in the weights: the convolution is given a x + sin(a x)^2.
    """

    def __init__(self, weights: ConvolutionWeights, name: str) -> None:
        super().__init__()
        self.names = [f"{number}.{index}" for index in range(3) for number in (1, 2)]
        self.convolutions = nn.ModuleList(weights.build(f"{name}/convs{suffix}") for suffix in self.names)
        prefix = f"decoder.decoder.generator.{name}".replace("/", ".")
        for suffix, convolution in zip(self.names, self.convolutions, strict=True):
            alpha = weights.constant(f"{prefix}.alpha{suffix}").flatten()
            self.register_buffer(f"alpha{suffix}".replace(".", "_"), alpha)
            convolution.weight.data = convolution.weight.data / alpha[:, None, None]
        self.styles = [f"{ROOT}/{name}/adain{suffix}/Unsqueeze_output_0" for suffix in self.names]

    def forward(self, x: torch.Tensor, styles: dict[str, torch.Tensor]) -> torch.Tensor:
        """Map (T, C) float32 to the same; `styles` has gain less 1 and offset, (2 C,), by name `self.styles`."""
        x = x.clone()
        for first in range(0, len(self.names), 2):
            hidden = x
            for index in (first, first + 1):
                alpha = getattr(self, f"alpha{self.names[index]}".replace(".", "_"))
                hidden = self._activate(hidden, styles[self.styles[index]], alpha)
                hidden = convolve(self.convolutions[index], hidden)
            x += hidden
        return x

    def _activate(self, x: torch.Tensor, style: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
        """Normalise over time, apply the style's gain and offset, scale by alpha, add the square of the sine."""
        total, squares = torch.zeros_like(alpha), torch.zeros_like(alpha)
        for chunk in x.split(CHUNK):
            chunk = chunk.float()
            total += chunk.sum(0)
            squares += chunk.square().sum(0)
        mean = total / len(x)
        variance = (squares / len(x) - mean.square()).clamp_min(0)
        gain, offset = style.chunk(2)
        scale = alpha * (1 + gain) / (variance + EPSILON).sqrt()
        shift = alpha * offset - mean * scale
        result = torch.empty(x.shape, dtype=self.convolutions[0].weight.dtype)
        for chunk, out in zip(x.split(CHUNK), result.split(CHUNK), strict=True):
            angle = torch.addcmul(shift, chunk, scale)
            out.copy_(angle.addcmul_(sine := angle.sin(), sine))
        return result


class Vocoder(nn.Module):
    """Features and a harmonic source to samples."""

    def __init__(self, graph: onnx.GraphProto, dtype: torch.dtype) -> None:
        super().__init__()
        weights = ConvolutionWeights(graph)
        self.ups = nn.ModuleList(weights.build(f"ups.{stage}") for stage in range(NUM_STAGES))
        self.noise_convs = nn.ModuleList(weights.build(f"noise_convs.{stage}") for stage in range(NUM_STAGES))
        self.noise_res = nn.ModuleList(ResidualBlock(weights, f"noise_res.{stage}") for stage in range(NUM_STAGES))
        count = NUM_STAGES * BLOCKS_PER_STAGE
        self.blocks = nn.ModuleList(ResidualBlock(weights, f"resblocks.{index}") for index in range(count))
        self.conv_post = weights.build("conv_post")
        self.register_buffer("window", torch.hann_window(NUM_FFT))
        self.styles = [name for block in (*self.noise_res, *self.blocks) for name in block.styles]
        self.eval()
        for convolution in (module for module in self.modules() if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d))):
            convolution.to(dtype, memory_format=torch.channels_last)

    @torch.inference_mode()
    def forward(self, features: np.ndarray, source: np.ndarray, *styles: np.ndarray) -> np.ndarray:
        """Samples (300 T,), float32, of features (1, 512, T), a source (1, 22, 60 T + 1) and the blocks' styles.

        The styles, gain less 1 and offset in (1, 2 C, 1) each, are in the order of `self.styles`.
        """
        values = {name: torch.from_numpy(style).flatten() for name, style in zip(self.styles, styles, strict=True)}
        x, harmonics = (torch.from_numpy(item)[0].T.contiguous() for item in (features, source))
        for stage in range(NUM_STAGES):
            x = convolve(self.ups[stage], functional.leaky_relu(x, 0.1)).float()
            if stage == NUM_STAGES - 1:
                x = torch.cat([x[1:2], x])  # one frame of reflection, as the source has one frame more
            x += self.noise_res[stage](convolve(self.noise_convs[stage], harmonics).float(), values)
            first, *others = self.blocks[stage * BLOCKS_PER_STAGE :][:BLOCKS_PER_STAGE]
            total = first(x, values)
            for block in others:
                total += block(x, values)
            x = total.div_(BLOCKS_PER_STAGE)
        magnitude, phase = convolve(self.conv_post, functional.leaky_relu(x, 0.01)).float().T.chunk(2)
        spectrum = torch.polar(magnitude.exp(), phase.sin())
        return GAIN * torch.istft(spectrum, NUM_FFT, HOP, NUM_FFT, self.window, center=True).numpy()


def convolve(convolution: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Apply a convolution to (T, C); the layout in memory is that for which oneDNN has its fast kernels."""
    image = x.to(convolution.weight.dtype).T[None, :, None].contiguous(memory_format=torch.channels_last)
    return convolution(image)[0, :, 0].T


def split_model(model: bytes, dtype: torch.dtype) -> tuple[bytes, Vocoder]:
    """Cut an ONNX model before its vocoder.

    Args:
        model: kokoro-v1.0.int8.onnx, serialised.
        dtype: of the vocoder's convolutions; sums are in float32.

    Returns:
        The model up to there, the outputs of which are the vocoder's arguments; and the vocoder.

    Raises:
        KeyError: the model is another.
    """
    loaded = onnx.load_from_string(model)
    graph = loaded.graph
    vocoder = Vocoder(graph, dtype)
    outputs = [FEATURES, SOURCE, *vocoder.styles]
    producers = {output: node for node in graph.node for output in node.output}
    needed, waiting = set(), list(outputs)
    while waiting:
        node = producers.get(waiting.pop())
        if node is not None and node.name not in needed:
            needed.add(node.name)
            waiting += node.input
    nodes = [node for node in graph.node if node.name in needed]
    used = {name for node in nodes for name in node.input}
    constants = [item for item in graph.initializer if item.name in used]
    del graph.node[:], graph.initializer[:], graph.output[:]
    graph.node.extend(nodes)
    graph.initializer.extend(constants)
    graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs)
    return loaded.SerializeToString(), vocoder
