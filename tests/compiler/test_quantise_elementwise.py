# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from systolith.compiler.borders import dequantise, quantise
from systolith.compiler.errors import UnsupportedModel
from systolith.compiler.interp import run_float
from systolith.compiler.interp_int import run_integer
from systolith.compiler.ir import Graph, QParams
from systolith.compiler.layer_noise import real_weights
from systolith.compiler.lower import lower
from systolith.compiler.passes.prepare import prepare_float
from systolith.compiler.pipeline import quantise_network
from systolith.compiler.quantise_config import QuantiseConfig
from systolith.spec.arch import PRESETS
from tests.support.float_models import ModelBuilder, random_feeds, read

Make = Callable[[ModelBuilder, str], str]

TABLES = QuantiseConfig(tables=8)
PLAIN = QuantiseConfig()


def quantised(builder: ModelBuilder, out: str, config: QuantiseConfig = TABLES) -> tuple[Graph, Graph]:
    """The float and the integer network."""
    graph = read(builder, out)
    return graph, quantise_network(prepare_float(graph), random_feeds(graph, 40), config)


def params(network: Graph, name: str) -> QParams:
    found = network.tensors[name].qparams
    assert found is not None
    return found


def run(network: Graph, feeds: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    """What the integer network makes of real inputs, dequantised."""
    (out,) = network.outputs
    codes = {name: quantise(value, params(network, name)) for name, value in feeds.items()}
    return dequantise(run_integer(network, codes)[out], params(network, out))


def error(builder: ModelBuilder, out: str, config: QuantiseConfig) -> float:
    """The root of the mean squared error in steps of the output."""
    graph, network = quantised(builder, out, config)
    feeds = random_feeds(graph, 20, seed=7)
    difference = run(network, feeds) - run_float(graph, feeds)[out]
    return float(np.sqrt((difference**2).mean()) / params(network, out).scale)


def silu(b: ModelBuilder, x: str) -> str:
    return b.add("Mul", x, b.add("Sigmoid", x))


@pytest.mark.parametrize("op", ["Sigmoid", "Tanh", "Elu", "HardSwish", "Abs", "Exp", "Softplus", "Erf", "Cos"])
def test_every_entry_is_the_function_of_its_integer(op: str) -> None:
    builder = ModelBuilder((1, 2, 3, 3))
    out = builder.add(op, "input")
    graph, network = quantised(builder, out)
    (node,) = network.nodes
    x, y = params(network, "input"), params(network, out)
    codes = np.arange(-128, 128).reshape(-1, 1, 1, 1) * np.ones((1, 2, 3, 3), np.int64)
    reals = (codes - x.zero_point) * x.scale
    expected = np.rint(run_float(graph, {"input": reals}, dtype=np.float64)[out] / y.scale) + y.zero_point
    got = run_integer(network, {"input": codes})[out]
    np.testing.assert_array_equal(got, np.clip(expected, -128, 127))
    assert (node.op, network.constant(node.attributes["table"]).shape) == ("QTable", (256,))


@pytest.mark.parametrize("make", [silu, lambda b, x: b.add("Gelu", x), lambda b, x: b.add("LeakyRelu", x, alpha=0.1)])
def test_tables_join_the_layer_before(make: Make) -> None:
    builder = ModelBuilder((1, 3, 6, 6), opset=20)
    out = builder.conv(make(builder, builder.conv("input", 4, 3, 3, 3)), 5, 4, 1, 1)
    _, network = quantised(builder, out)
    assert [(node.op, "table" in node.attributes) for node in network.nodes] == [("QConv", True), ("QConv", False)]
    assert error(builder, out, TABLES) < 2


def scaled(b: ModelBuilder, x: str) -> str:
    return b.add("Mul", b.add("MaxPool", x, kernel_shape=[2, 2]), b.constant(0.3))


def prelu(b: ModelBuilder, x: str) -> str:
    return b.add("PRelu", x, b.constant(np.array([-0.5, 0.2, 1.5]).reshape(3, 1, 1)))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda b, x: b.add("LeakyRelu", x, alpha=0.1), ["QRequant", "View", "View", "QAdd"]),
        (prelu, ["QRequant", "QRequant", "QConv"]),
        (lambda b, x: b.add("Sub", x, b.add("MaxPool", x, kernel_shape=[1, 1])), ["QPool", "QConv"]),
        (lambda b, x: b.add("Add", x, b.constant(1.0)), ["QConv"]),
        (scaled, ["QPool", "View"]),
        (lambda b, x: b.add("HardSigmoid", x), ["View", "QConv"]),
    ],
)
def test_without_tables(make: Make, expected: list[str]) -> None:
    builder = ModelBuilder((1, 3, 4, 4))
    out = make(builder, "input")
    _, network = quantised(builder, out, PLAIN)
    assert [node.op for node in network.nodes] == expected
    assert error(builder, out, PLAIN) < 1


def test_another_scale_costs_nothing() -> None:
    builder = ModelBuilder((1, 3, 4, 4))
    half = builder.add("Mul", "input", builder.constant(0.5))
    out = builder.add("Add", builder.add("MaxPool", half, kernel_shape=[1, 1]), half)
    _, network = quantised(builder, out, PLAIN)
    assert [node.op for node in network.nodes] == ["View", "QPool", "QAdd"]
    assert len(lower(network, PRESETS["4x4"]).layers) == 2
    assert error(builder, out, PLAIN) < 1


def test_a_layer_may_read_a_multiple() -> None:
    """The integers' meaning under the new name counts, for the reference and for what looks at single layers."""
    builder = ModelBuilder((1, 3, 4, 4))
    double = builder.add("Mul", builder.add("MaxPool", "input", kernel_shape=[2, 2]), builder.constant(2.0))
    out = builder.add("Concat", builder.conv(double, 4, 3, 1, 1), double, axis=1)
    graph, network = quantised(builder, out, PLAIN)
    (layer,) = (node for node in network.nodes if node.op == "QConv")
    (source,) = (node for node in graph.nodes if node.op == "Conv")
    weight, _ = real_weights(network, layer)
    np.testing.assert_allclose(weight, graph.constant(source.inputs[1]), atol=0.01 * np.abs(weight).max())
    assert error(builder, out, PLAIN) < 1


def test_refuses_a_quotient_of_two_tensors() -> None:
    builder = ModelBuilder((1, 3, 4, 4))
    out = builder.add("Div", "input", builder.add("GlobalAveragePool", "input"), name="norm")
    expected = (
        r"node 'norm' \(Div\): it combines two computed tensors, \[1, 3, 4, 4\] and \[1, 3, 1, 1\]; accepted: const"
    )
    with pytest.raises(UnsupportedModel, match=expected):
        quantised(builder, out)


def test_refuses_constants_over_the_image() -> None:
    builder = ModelBuilder((1, 3, 4, 4))
    out = builder.add("Mul", "input", builder.weights(3, 4, 4), name="mask")
    with pytest.raises(
        UnsupportedModel, match=r"node 'mask' \(Mul\): its constant is neither a single number nor one per"
    ):
        quantised(builder, out)


def test_refuses_a_curve_without_tables() -> None:
    builder = ModelBuilder((1, 3, 4, 4))
    out = builder.add("Sigmoid", "input", name="curve")
    with pytest.raises(
        UnsupportedModel, match=r"node 'curve' \(Sigmoid\): it needs a table .*; accepted: an arch with tables"
    ):
        quantised(builder, out, PLAIN)


def test_where_a_function_is_not_defined_the_nearest_value_stands() -> None:
    builder = ModelBuilder((1, 4))
    out = builder.add("Sqrt", builder.add("Sub", "input", builder.constant(1.0)))
    data = {"input": builder.rng.uniform(1, 3, (40, 4)).astype(np.float32)}
    network = quantise_network(prepare_float(read(builder, out)), data, TABLES)
    (node,) = network.nodes
    x, y, entries = params(network, "input"), params(network, out), network.constant(node.attributes["table"])
    first = int(np.ceil(1 / x.scale)) + x.zero_point - x.low
    assert first > 10
    assert set(entries[:first]) == {entries[first]}
    assert entries[first] < y.zero_point + 0.3 / y.scale
    assert (np.diff(entries[first:]) >= 0).all()
