# SPDX-License-Identifier: Apache-2.0
from typing import Any

import numpy as np
import onnx
import pytest

from systolith.compiler.interp import run_float
from systolith.compiler.ir import Graph
from systolith.compiler.verify import verify
from tests.support.float_models import ModelBuilder, agreeing, only, read


def sequence(channels: int = 4, length: int = 11, opset: int = 17) -> ModelBuilder:
    return ModelBuilder((1, channels, length), opset=opset)


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"strides": [2], "pads": [1, 2]},
        {"dilations": [3], "pads": [0, 3]},
        {"auto_pad": "SAME_UPPER", "strides": [2]},
        {"group": 2},
        {"group": 4, "kernel_shape": [3]},
    ],
)
@pytest.mark.parametrize("opset", [9, 17])
def test_conv(attributes: dict[str, Any], opset: int) -> None:
    builder = sequence(opset=opset)
    graph = agreeing(builder, builder.conv("input", 8, 4 // attributes.get("group", 1), 3, **attributes))
    assert ops(graph) == ["Reshape", "Conv", "Reshape"]
    verify(graph)


def test_layers_that_share_input_weights_and_names() -> None:
    builder = sequence()
    weight = builder.weights(4, 4, 3)
    left = builder.add("Conv", "input", weight, name="same")
    right = builder.add("Conv", "input", weight, strides=[2], pads=[0, 1], name="other")
    short = builder.add("MaxPool", left, kernel_shape=[2], strides=[2])
    graph = agreeing(builder, builder.add("Add", short, builder.add("MaxPool", right, kernel_shape=[2])))
    verify(graph)
    assert len({node.name for node in graph.nodes}) == len(graph.nodes)


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"strides": [3], "pads": [1, 1], "output_padding": [1]},
        {"strides": [2], "output_shape": [22]},
        {"strides": [2], "auto_pad": "SAME_UPPER"},
    ],
)
def test_conv_transpose(attributes: dict[str, Any]) -> None:
    builder = sequence()
    out = builder.add("ConvTranspose", "input", builder.weights(4, 6, 3), builder.weights(6), **attributes)
    assert ops(agreeing(builder, out)) == ["Reshape", "ConvTranspose", "Reshape"]


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize(
    "attributes", [{}, {"strides": [2], "pads": [1, 0]}, {"strides": [2], "ceil_mode": 1}, {"auto_pad": "SAME_LOWER"}]
)
def test_pools(op: str, attributes: dict[str, Any]) -> None:
    builder = sequence()
    assert ops(agreeing(builder, builder.add(op, "input", kernel_shape=[2], **attributes))) == [
        "Reshape",
        op,
        "Reshape",
    ]


def test_counted_padding_beyond_the_pads() -> None:
    builder = sequence(length=9, opset=22)
    out = builder.add(
        "AveragePool", "input", kernel_shape=[3], strides=[2], ceil_mode=1, count_include_pad=1, pads=[1, 0]
    )
    assert ops(agreeing(builder, out)) == ["Reshape", "Pad", "AveragePool", "Reshape"]


@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool"])
def test_global_pools(op: str) -> None:
    builder = sequence()
    graph = agreeing(builder, builder.add(op, "input"))
    assert only(graph, op.removeprefix("Global")).attributes["kernel_shape"] == (1, 11)


def test_computed_weights_are_reshaped_by_a_node() -> None:
    builder = sequence()
    codes = builder.constant(np.arange(-24, 24).reshape(4, 4, 3), np.int8)
    weight = builder.add("DequantizeLinear", codes, builder.constant(0.125))
    graph = agreeing(builder, builder.add("Conv", "input", weight))
    verify(graph)
    assert ops(graph).count("Reshape") == 3


def test_a_weight_may_be_an_input() -> None:
    builder = sequence()
    builder.inputs.append(onnx.helper.make_tensor_value_info("w", onnx.TensorProto.FLOAT, [5, 4, 3]))
    graph = read(builder, builder.add("Conv", "input", "w"), batch=None)
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(1, 4, 11)), rng.normal(size=(5, 4, 3))
    got = run_float(graph, {"input": x, "w": weight}, dtype=np.float64)[graph.outputs[0]]
    expected = [[np.convolve(x[0, c], weight[o, c, ::-1], "valid") for c in range(4)] for o in range(5)]
    np.testing.assert_allclose(got[0], np.sum(expected, axis=1), rtol=1e-12)
