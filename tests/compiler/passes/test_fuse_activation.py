# SPDX-License-Identifier: Apache-2.0
import math

import pytest

from systolith.compiler.ir import Graph, Node
from systolith.compiler.passes.fuse_activation import activation_bounds, fuse_activation
from tests.support.float_models import ModelBuilder, assert_same_result, read


def fused(builder: ModelBuilder, *outputs: str) -> Graph:
    before = read(builder, *outputs)
    after = fuse_activation(before)
    assert_same_result(before, after)
    return after


def test_relu_into_conv() -> None:
    builder = ModelBuilder((1, 3, 5, 5))
    out = builder.add("Relu", builder.conv("input", 4, 3, 3, 3))
    (node,) = fused(builder, out).nodes
    assert (node.op, node.outputs, node.origin) == ("Conv", (out,), ("Conv", "Relu"))
    assert (node.attributes["lower"], node.attributes["upper"]) == (0.0, math.inf)


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_into_pools(op: str) -> None:
    builder = ModelBuilder((1, 3, 5, 5))
    assert len(fused(builder, builder.add("Relu", builder.add(op, "input", kernel_shape=[2, 2]))).nodes) == 1


def test_clip_into_add() -> None:
    builder = ModelBuilder((1, 3))
    out = builder.add("Clip", builder.add("Add", "input", "input"), builder.constant(-0.5), builder.constant(0.75))
    (node,) = fused(builder, out).nodes
    assert (node.attributes["lower"], node.attributes["upper"]) == (-0.5, 0.75)


def test_several_in_a_row() -> None:
    builder = ModelBuilder((1, 3))
    x = builder.add("Relu", builder.add("Add", "input", "input"))
    x = builder.add("Clip", x, builder.constant(0.25), builder.constant(0.75))
    (node,) = fused(builder, builder.add("Relu", x)).nodes
    assert (node.attributes["lower"], node.attributes["upper"]) == (0.25, 0.75)


def test_disjoint_clamps_give_the_second_ones_end() -> None:
    builder = ModelBuilder((1, 3))
    x = builder.add("Clip", builder.add("Add", "input", "input"), builder.constant(2.0), builder.constant(3.0))
    (node,) = fused(builder, builder.add("Clip", x, builder.constant(0.0), builder.constant(1.0))).nodes
    assert (node.attributes["lower"], node.attributes["upper"]) == (1.0, 1.0)


def test_activation_of_the_input_stays() -> None:
    builder = ModelBuilder((1, 3))
    assert [node.op for node in fused(builder, builder.add("Relu", "input")).nodes] == ["Relu"]


def test_producer_with_other_readers_stays() -> None:
    builder = ModelBuilder((1, 3, 5, 5))
    conv = builder.conv("input", 4, 3, 3, 3)
    after = fused(builder, builder.add("Relu", conv), conv)
    assert [node.op for node in after.nodes] == ["Conv", "Relu"]


def test_activation_bounds_of_operators() -> None:
    assert activation_bounds(Node("Relu", "n", (), ())) == (0.0, math.inf)
    assert activation_bounds(Node("Clip", "n", (), (), {"min": -1.0, "max": 6.0})) == (-1.0, 6.0)
    assert activation_bounds(Node("Conv", "n", (), ())) == (-math.inf, math.inf)
