# SPDX-License-Identifier: Apache-2.0
"""Sums and products of two computed tensors: near the float network, and computed exactly by two engines."""

from __future__ import annotations

import numpy as np
import pytest

from systolith.compiler.errors import UnsupportedModel
from systolith.compiler.ir import Graph
from systolith.compiler.passes.prepare import prepare_float
from systolith.compiler.pipeline import quantise_network
from systolith.compiler.quantise_config import QuantiseConfig
from systolith.compiler.verify_integer import ADD_LIMIT, product_limit
from tests.support.float_models import ModelBuilder, random_feeds, read
from tests.support.lsb import compiled, params_of

PLAIN = QuantiseConfig(method="min-max")
PRODUCT = 1.02
"""Half an LSB for the result, as much at most for the first factor, and what the lanes lose."""


def quantised(builder: ModelBuilder, out: str) -> Graph:
    graph = prepare_float(read(builder, out))
    return quantise_network(graph, random_feeds(graph, 8), PLAIN)


def pair(op: str, shape: tuple[int, ...]) -> tuple[ModelBuilder, str]:
    """A network of ``op`` on a second input, of ``shape``, and a map; and its output."""
    b = ModelBuilder((1, 6, 4, 5))
    return b, b.add(op, b.input("other", *shape), "input")


@pytest.mark.parametrize(
    ("shape", "sum_", "product"),
    [
        ((1, 6, 4, 5), ["QAdd"], ["QMul"]),
        ((1, 6, 1, 1), ["QAdd"], ["QMul"]),
        # the convolution that makes six channels of one adds the other operand itself
        ((1, 1, 4, 5), ["QConv"], ["QConv", "QMul"]),
        ((1, 1, 1, 1), ["QConv", "QAdd"], ["QConv", "QMul"]),
    ],
)
def test_operands_of_one_shape_or_broadcast(shape: tuple[int, ...], sum_: list[str], product: list[str]) -> None:
    assert [node.op for node in compiled(*pair("Add", shape), lsb=0.52, config=PLAIN).nodes] == sum_
    assert [node.op for node in compiled(*pair("Mul", shape), lsb=PRODUCT, config=PLAIN).nodes] == product


def test_vectors() -> None:
    b = ModelBuilder((1, 7))
    compiled(b, b.add("Mul", "input", b.add("Gemm", "input", b.weights(7, 7))), lsb=2, config=PLAIN)


def test_squeeze_and_excite() -> None:
    """A block as MobileNetV3 has it: the gate is a function of the means of what it multiplies."""
    b = ModelBuilder((1, 3, 8, 8))
    x = b.add("Relu", b.conv("input", 8, 3, 3, 3))
    gate = b.add("Relu", b.conv(b.add("GlobalAveragePool", x), 4, 8, 1, 1))
    gated = b.add("Mul", x, b.add("HardSigmoid", b.conv(gate, 8, 4, 1, 1)))
    out = b.add("HardSwish", b.conv(gated, 6, 8, 1, 1))
    graph = compiled(b, out, lsb=6, config=PLAIN.with_(tables=8))
    assert [node.op for node in graph.nodes] == ["QConv", "QPool", "QConv", "QConv", "QMul", "QConv"]


def test_an_activation_and_a_table_behind_a_product() -> None:
    b = ModelBuilder((1, 3, 4, 4))
    product = b.add("Mul", "input", b.conv("input", 3, 3, 1, 1))
    graph = compiled(b, b.add("Relu", product), lsb=4, config=PLAIN)
    assert (graph.nodes[-1].op, graph.nodes[-1].attributes["lo"]) == ("QMul", 0)
    b = ModelBuilder((1, 3, 4, 4))
    product = b.add("Mul", "input", b.conv("input", 3, 3, 1, 1))
    graph = compiled(b, b.add("Tanh", product), lsb=4, config=PLAIN.with_(tables=2))
    assert "table" in graph.nodes[-1].attributes


def test_the_operand_whose_rounding_costs_less_comes_first() -> None:
    b = ModelBuilder((1, 3, 4, 4))
    positive = b.add("Relu", b.conv("input", 3, 3, 1, 1))
    for operands in ((positive, "input"), ("input", positive)):
        assert quantised(b, b.add("Mul", *operands)).nodes[-1].inputs == (positive, "input")


def test_a_product_of_what_is_never_large_together_widens() -> None:
    b = ModelBuilder((1, 2, 4, 4))
    negative = b.add("Relu", b.add("Conv", "input", b.constant(-np.eye(2).reshape(2, 2, 1, 1))))
    graph = quantised(b, b.add("Mul", b.add("Relu", "input"), negative))
    node = graph.nodes[-1]
    limit = product_limit(params_of(graph, node.inputs[0]))
    assert 0.98 * limit < node.attributes["factor"] < limit


def test_add_has_its_own_scale() -> None:
    builder = ModelBuilder((1, 3, 4, 4))
    branch = builder.add("MaxPool", "input", kernel_shape=[1, 1])
    out = builder.add("Relu", builder.add("Add", branch, "input"))
    graph = quantised(builder, out)
    add = graph.nodes[-1].attributes["add"]
    assert graph.nodes[-1].inputs == (branch, "input")
    assert add.m_own == pytest.approx(params_of(graph, branch).scale / params_of(graph, out).scale)
    assert add.m_res == pytest.approx(params_of(graph, "input").scale / params_of(graph, out).scale)
    assert (add.lo, add.hi) == (0, 255)


def test_sum_that_cancels_widens() -> None:
    builder = ModelBuilder((1, 2, 4, 4))
    minus = builder.add("Conv", "input", builder.constant(-np.eye(2).reshape(2, 2, 1, 1)))
    graph = quantised(builder, builder.add("Add", minus, "input"))
    add = graph.nodes[-1].attributes["add"]
    assert 0.9 * ADD_LIMIT < max(add.m_own, add.m_res) < ADD_LIMIT


def test_refuses_an_added_constant_that_is_no_bias() -> None:
    builder = ModelBuilder((1, 3, 2, 2))
    out = builder.add("Add", "input", builder.weights(2, 2), name="mask")
    with pytest.raises(UnsupportedModel, match=r"node 'mask' \(Add\): it adds the constant 'c0' of shape \[2, 2\]"):
        quantised(builder, out)


@pytest.mark.parametrize("shape", [(1, 6, 4, 1), (1, 6, 1, 5), (1, 1, 1, 5)])
@pytest.mark.parametrize("op", ["Add", "Mul"])
def test_refuses_what_is_broadcast_along_one_side_of_the_image(op: str, shape: tuple[int, ...]) -> None:
    expected = (
        rf"\({op}\): it combines \[1, {shape[1]}, {shape[2]}, {shape[3]}\] and \[1, 6, 4, 5\]; accepted: operands"
    )
    with pytest.raises(UnsupportedModel, match=expected):
        quantised(*pair(op, shape))
