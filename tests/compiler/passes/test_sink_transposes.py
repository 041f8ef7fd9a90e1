# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable

import numpy as np
import pytest

from systolith.compiler.ir import Graph
from systolith.compiler.passes.sink_transposes import sink_transposes
from systolith.compiler.verify import verify
from tests.support.float_models import ModelBuilder, assert_same_result, read

NHWC = [0, 2, 3, 1]


def sunk(builder: ModelBuilder, *outputs: str) -> Graph:
    before = read(builder, *outputs)
    after = sink_transposes(before)
    verify(after)
    assert_same_result(before, after)
    return after


def integers(builder: ModelBuilder, *values: list[int]) -> list[str]:
    return [builder.constant(value, np.int64) for value in values]


Step = Callable[[ModelBuilder, str], str]

STEPS: dict[str, Step] = {
    "relu": lambda net, x: net.add("Relu", x),
    "clip": lambda net, x: net.add("Clip", x, net.constant(-0.5), net.constant(0.5)),
    "add of a number": lambda net, x: net.add("Add", x, net.constant(2.0)),
    "add of a line": lambda net, x: net.add("Add", net.weights(2), x),
    "add of a map": lambda net, x: net.add("Add", x, net.weights(1, 3, 1, 2)),
    "add to itself": lambda net, x: net.add("Add", x, x),
    "sigmoid": lambda net, x: net.add("Sigmoid", x),
    "leaky relu": lambda net, x: net.add("LeakyRelu", x, alpha=0.3),
    "product": lambda net, x: net.add("Mul", x, net.weights(3, 1, 2)),
    "difference the other way": lambda net, x: net.add("Sub", net.weights(2), x),
    "relu with slopes": lambda net, x: net.add("PRelu", x, net.weights(2)),
    "concat": lambda net, x: net.add("Concat", x, net.weights(1, 3, 5, 2), x, axis=2),
    "pad": lambda net, x: net.add("Pad", x, *integers(net, [0, 1, 0, 2, 0, 0, 3, 0])),
    "slice": lambda net, x: net.add("Slice", x, *integers(net, [2, 0], [-9, 3], [1, 2], [-1, 2])),
    "mean": lambda net, x: net.add("ReduceMean", x, axes=[1, 3]),
    "mean without its axes": lambda net, x: net.add("ReduceMean", x, axes=[2], keepdims=0),
    "resize": lambda net, x: net.add("Resize", x, "", net.constant([1, 2, 3, 1]), mode="linear"),
    "reshape": lambda net, x: net.add("Reshape", x, *integers(net, [1, 3, 1, 4, 1, 2])),
}


@pytest.mark.parametrize("name", STEPS)
def test_one_operator(name: str) -> None:
    builder = ModelBuilder((1, 2, 3, 4))
    graph = sunk(builder, STEPS[name](builder, builder.add("Transpose", "input", perm=NHWC)))
    assert [node.op for node in graph.nodes][-1] == "Transpose"
    assert len(graph.nodes) == 2


@pytest.mark.parametrize(
    ("keepdims", "axis", "expected"),
    [(0, 3, ["Softmax", "ArgMax", "Transpose"]), (0, 1, ["Transpose", "Softmax", "ArgMax"]), (1, 3, ["Transpose"])],
)
def test_nothing_may_follow_what_the_host_does(keepdims: int, axis: int, expected: list[str]) -> None:
    """A Transpose behind the host's operators is left alone where it does nothing: the channels' axis is gone."""
    builder = ModelBuilder((1, 2, 3, 4))
    x = builder.add("Softmax", builder.add("Transpose", "input", perm=NHWC), axis=3)
    graph = sunk(builder, builder.add("ArgMax", x, axis=axis, keepdims=keepdims))
    assert [node.op for node in graph.nodes][: len(expected)] == expected


def test_the_host_s_operators_are_passed_on_the_way_to_the_inverse() -> None:
    builder = ModelBuilder((1, 2, 3, 4))
    x = builder.add("Softmax", builder.add("Transpose", "input", perm=NHWC), axis=3)
    graph = sunk(builder, builder.add("Transpose", x, perm=[0, 3, 1, 2]))
    assert [node.op for node in graph.nodes] == ["Softmax", "Transpose", "Transpose"]


def test_crop() -> None:
    builder = ModelBuilder((1, 2, 4, 5))
    roi = builder.constant([0, 0.25, 0, 0, 1, 0.75, 1.5, 1])
    sizes = builder.constant([1, 3, 4, 2], np.int64)
    x = builder.add("Transpose", "input", perm=NHWC)
    crop = "tf_crop_and_resize"
    out = builder.add("Resize", x, roi, "", sizes, mode="linear", coordinate_transformation_mode=crop)
    assert sunk(builder, out).nodes[-1].op == "Transpose"


def test_branches_that_are_transposed_alike() -> None:
    builder = ModelBuilder((1, 2, 3, 4))
    left, right = (builder.add("Transpose", builder.conv("input", 2, 2, 1, 1), perm=NHWC) for _ in range(2))
    graph = sunk(builder, builder.add("Add", left, right))
    assert [node.op for node in graph.nodes] == ["Conv", "Conv", "Add", "Transpose"]


def test_branches_that_are_not_stay() -> None:
    builder = ModelBuilder((1, 3, 3, 3))
    left, right = (builder.add("Transpose", "input", perm=perm) for perm in (NHWC, [0, 3, 2, 1]))
    for other in (right, "input"):
        graph = sunk(builder, builder.add("Add", left, other))
        assert graph.nodes[-1].op == "Add"


def test_other_readers_and_outputs_keep_theirs() -> None:
    builder = ModelBuilder((1, 2, 3, 4))
    x = builder.add("Transpose", "input", perm=NHWC)
    graph = sunk(builder, x, builder.add("Relu", x))
    assert [node.op for node in graph.nodes] == ["Transpose", "Relu", "Transpose"]


def test_layers_and_real_reshapes_stay() -> None:
    builder = ModelBuilder((1, 2, 3, 4))
    x = builder.add("Transpose", "input", perm=NHWC)
    flat = builder.add("Reshape", x, *integers(builder, [1, 24]))
    graph = sunk(builder, flat, builder.conv(x, 2, 3, 1, 1))
    assert [node.op for node in graph.nodes] == ["Transpose", "Reshape", "Conv"]
