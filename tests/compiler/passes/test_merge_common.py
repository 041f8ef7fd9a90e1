# SPDX-License-Identifier: Apache-2.0
import numpy as np

from systolith.compiler.ir import Graph
from systolith.compiler.passes.merge_common import merge_common
from tests.support.float_models import ModelBuilder, assert_same_result, read


def merged(builder: ModelBuilder, *outputs: str) -> list[str]:
    before = read(builder, *outputs)
    after: Graph = merge_common(before)
    assert_same_result(before, after)
    return [node.op for node in after.nodes]


def test_the_same_operator_once() -> None:
    builder = ModelBuilder((1, 4))
    out = builder.add("Add", builder.add("Sigmoid", "input"), builder.add("Sigmoid", "input"))
    assert merged(builder, out) == ["Sigmoid", "Add"]


def test_whole_branches_with_equal_constants() -> None:
    builder = ModelBuilder((1, 2, 4, 4))
    value = np.arange(8.0).reshape(4, 2, 1, 1)
    branches = [
        builder.add("Relu", builder.add("Conv", "input", builder.constant(value), builder.constant(np.ones(4))))
        for _ in range(2)
    ]
    assert merged(builder, builder.add("Mul", *branches)) == ["Conv", "Relu", "Mul"]


def test_other_attributes_operands_or_constants_stay() -> None:
    builder = ModelBuilder((1, 4))
    branches = [
        builder.add("LeakyRelu", "input", alpha=0.1),
        builder.add("LeakyRelu", "input", alpha=0.2),
        builder.add("Mul", "input", builder.constant(2.0)),
        builder.add("Mul", "input", builder.constant([2.0])),
        builder.add("Mul", "input", builder.constant(3.0)),
        builder.add("Mul", "input", "input"),
    ]
    total = branches[0]
    for branch in branches[1:]:
        total = builder.add("Add", total, branch)
    assert len(merged(builder, total)) == 2 * len(branches) - 1


def test_outputs_keep_their_names() -> None:
    builder = ModelBuilder((1, 4))
    first, second = builder.add("Sigmoid", "input"), builder.add("Sigmoid", "input")
    assert merged(builder, first, second) == ["Sigmoid", "Sigmoid"]
    builder = ModelBuilder((1, 4))
    first, second = builder.add("Sigmoid", "input"), builder.add("Sigmoid", "input")
    assert merged(builder, first, builder.add("Relu", second)) == ["Sigmoid", "Relu"]


def test_a_graph_without_repetition_stays() -> None:
    builder = ModelBuilder((1, 4))
    graph = read(builder, builder.add("Relu", "input"))
    assert merge_common(graph) is graph
