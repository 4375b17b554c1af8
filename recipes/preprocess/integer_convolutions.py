"""Rewrites the integer convolutions of an ONNX model as matrix products, which onnxruntime computes faster on CPUs.

onnxruntime 1.32 has no fast kernel for ConvInteger; MatMulInteger uses the processor's integer instructions. The
result is the same to the bit.
"""

from __future__ import annotations

import numpy as np


def multiply_integers(model: bytes) -> bytes:
    """Replace every ConvInteger in one dimension, of stride 1 and one group, whose input is quantised on the fly.

    The input (1, C, T), padded, is laid out as its K shifted copies (1, K C, T), which the weights (O, K C) multiply.
    The weights stay uint8 and the input becomes int8, because that is the pair for which there are instructions.

    Args:
        model: a serialised ONNX model.

    Returns:
        The serialised model.
    """
    import onnx
    from onnx import helper, numpy_helper

    loaded = onnx.load_from_string(model)
    graph = loaded.graph
    constants = {item.name: item for item in graph.initializer}
    producers = {output: node for node in graph.node for output in node.output}
    signed: dict[str, tuple[str, str]] = {}  # quantised input -> its int8 form and that form's zero point
    nodes: list = []

    def constant(name: str, value: np.ndarray) -> str:
        graph.initializer.append(numpy_helper.from_array(value, name))
        return name

    def append(kind: str, inputs: list[str], output: str, **attributes: object) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    for node in graph.node:
        if not _is_replaceable(node, constants, producers):
            nodes.append(node)
            continue
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        quantised, weight_name, zero_point, weight_zero_point = node.input
        weight = numpy_helper.to_array(constants[weight_name])
        num_outputs, num_inputs, width = weight.shape
        name, dilation, (before, after) = node.name, attributes["dilations"][0], attributes["pads"]
        if quantised not in signed:
            source = producers[quantised]
            wide = append("Cast", [zero_point], f"{name}/zero_int32", to=onnx.TensorProto.INT32)
            moved = append("Sub", [wide, constant(f"{name}/128", np.array(128, np.int32))], f"{name}/zero_moved")
            zero = append("Cast", [moved], f"{name}/zero_int8", to=onnx.TensorProto.INT8)
            levels = append("QuantizeLinear", [source.input[0], source.output[1], zero], f"{name}/int8")
            signed[quantised] = levels, zero
        columns, zero = signed[quantised]
        if before or after:
            pads = constant(f"{name}/pads", np.array([0, 0, before, 0, 0, after], np.int64))
            columns = append("Pad", [columns, pads, zero], f"{name}/padded")
        if width > 1:
            axis = constant(f"{name}/axis", np.array([2], np.int64))
            shifted = []
            for tap in range(width):
                start, end = tap * dilation, (tap + 1 - width) * dilation or np.iinfo(np.int64).max
                first = constant(f"{name}/start{tap}", np.array([start], np.int64))
                last = constant(f"{name}/end{tap}", np.array([end], np.int64))
                shifted.append(append("Slice", [columns, first, last, axis], f"{name}/tap{tap}"))
            columns = append("Concat", shifted, f"{name}/columns", axis=1)
        rows = np.ascontiguousarray(weight.transpose(0, 2, 1).reshape(num_outputs, width * num_inputs))
        append("MatMulInteger", [constant(f"{name}/rows", rows), columns, weight_zero_point, zero], node.output[0])

    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    kept = [item for item in graph.initializer if item.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return loaded.SerializeToString()


def _is_replaceable(node, constants: dict, producers: dict) -> bool:
    if node.op_type != "ConvInteger" or len(node.input) != 4:
        return False
    attributes = {item.name: item for item in node.attribute}
    weight, source = constants.get(node.input[1]), producers.get(node.input[0])
    return (
        weight is not None
        and len(weight.dims) == 3
        and source is not None
        and source.op_type == "DynamicQuantizeLinear"
        and list(attributes["strides"].ints) == [1]
        and attributes["group"].i == 1
        and not constants[node.input[3]].dims
    )
