# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable

import numpy as np
import pytest

from systolith.compiler.errors import VerifyError
from systolith.compiler.ir import Graph
from systolith.compiler.passes import legalise as module
from systolith.compiler.passes.legalise import legalise
from systolith.compiler.passes.prepare import prepare_float
from tests.support.float_models import ModelBuilder, assert_same_result, read

Make = Callable[[ModelBuilder, str], str]


def leaky(b: ModelBuilder, x: str) -> str:
    return b.add("LeakyRelu", x, alpha=0.1)


def prelu(b: ModelBuilder, x: str) -> str:
    return b.add("PRelu", x, b.constant(np.array([-0.5, 0.2, 1.5]).reshape(3, 1, 1)))


def normalised(b: ModelBuilder, x: str) -> str:
    return b.add("Div", b.add("Sub", x, b.weights(3, 1, 1)), b.constant(b.rng.uniform(0.5, 2, (3, 1, 1))))


def shifted(b: ModelBuilder, x: str) -> str:
    return b.add("Add", x, b.constant(1.0))


def difference(b: ModelBuilder, x: str) -> str:
    return b.add("Relu", b.add("Sub", x, b.add("MaxPool", x, kernel_shape=[1, 1])))


def hard_sigmoid(b: ModelBuilder, x: str) -> str:
    return b.add("HardSigmoid", x)


def scaled(b: ModelBuilder, x: str) -> str:
    return b.add("Mul", x, b.constant(0.5))


def network(make: Make, *, behind: str) -> Graph:
    """The function of the network's input, or of a convolution's or a pool's result, and a padded convolution of it."""
    builder = ModelBuilder((1, 3, 6, 6))
    x = "input"
    if behind == "conv":
        x = builder.conv("input", 3, 3, 3, 3)
    elif behind == "pool":
        x = builder.add("MaxPool", "input", kernel_shape=[2, 2])
    return read(builder, builder.conv(make(builder, x), 4, 3, 3, 3, pads=[1, 1, 1, 1]))


def legal(graph: Graph, *, tables: int) -> list[str]:
    after = legalise(prepare_float(graph), tables=tables)
    assert_same_result(graph, after)
    return [node.op for node in after.nodes]


@pytest.mark.parametrize(
    ("make", "behind", "expected"),
    [
        (leaky, "conv", ["Conv", "Relu", "Mul", "Mul", "Add", "Conv"]),
        (prelu, "conv", ["Conv", "Relu", "Clip", "Conv", "Add", "Conv"]),
        (normalised, "conv", ["Conv", "Conv"]),
        (normalised, "input", ["Conv", "Conv"]),
        (shifted, "input", ["Conv", "Conv"]),
        (difference, "pool", ["MaxPool", "MaxPool", "Conv", "Add", "Conv"]),
        (hard_sigmoid, "conv", ["Conv", "Conv"]),
        (hard_sigmoid, "pool", ["MaxPool", "Mul", "Conv", "Conv"]),
        (scaled, "pool", ["MaxPool", "Conv"]),
    ],
)
def test_without_tables(make: Make, behind: str, expected: list[str]) -> None:
    assert legal(network(make, behind=behind), tables=0) == expected


@pytest.mark.parametrize(
    ("make", "behind", "expected"),
    [
        (leaky, "conv", ["Conv", "LeakyRelu", "Conv"]),
        (prelu, "conv", ["Conv", "Relu", "Clip", "Conv", "Add", "Conv"]),
        (normalised, "input", ["Conv", "Conv"]),
        (shifted, "input", ["Elementwise", "Conv"]),
        (difference, "pool", ["MaxPool", "MaxPool", "Elementwise", "Add", "Conv"]),
        (hard_sigmoid, "conv", ["Conv", "Conv"]),
        (hard_sigmoid, "pool", ["MaxPool", "Elementwise", "Conv"]),
        (scaled, "pool", ["MaxPool", "Conv"]),
    ],
)
def test_with_tables(make: Make, behind: str, expected: list[str]) -> None:
    assert legal(network(make, behind=behind), tables=8) == expected


def test_a_function_of_a_flattened_map_goes_in_front() -> None:
    builder = ModelBuilder((1, 2, 3, 3))
    x = builder.add("Flatten", builder.conv("input", 4, 2, 1, 1))
    x = builder.add("Mul", x, builder.add("Sigmoid", x))
    graph = read(builder, builder.add("MatMul", x, builder.weights(36, 2)))
    assert legal(graph, tables=8) == ["Conv", "Elementwise", "Reshape", "Gemm"]


@pytest.mark.parametrize(("tables", "expected"), [(2, "LeakyRelu"), (1, "Mul")])
def test_where_tables_are_few_slopes_are_sums(tables: int, expected: str) -> None:
    builder = ModelBuilder((1, 3, 6, 6))
    out = leaky(builder, builder.conv(builder.add("Tanh", "input"), 4, 3, 1, 1))
    ops = legal(read(builder, out), tables=tables)
    assert ops[0] == "Tanh"
    assert expected in ops


def test_a_broken_pass_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "split_sub", lambda graph: graph.with_(nodes=()))
    with pytest.raises(VerifyError, match="pass split_sub, graph 'test': "):
        legalise(network(scaled, behind="input"), tables=0)
