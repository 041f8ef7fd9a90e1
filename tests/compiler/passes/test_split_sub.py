# SPDX-License-Identifier: Apache-2.0
from systolith.compiler.passes.split_sub import split_sub
from tests.support.float_models import ModelBuilder, assert_same_result, read


def test_two_tensors() -> None:
    builder = ModelBuilder((1, 2, 4, 4))
    before = read(builder, builder.add("Sub", builder.conv("input", 2, 2, 1, 1), "input", name="difference"))
    after = split_sub(before)
    assert [node.op for node in after.nodes] == ["Conv", "Mul", "Add"]
    assert (after.nodes[2].name, after.nodes[2].origin, after.outputs) == ("difference", ("Sub",), before.outputs)
    assert_same_result(before, after)


def test_constants_stay() -> None:
    builder = ModelBuilder((1, 2))
    graph = read(builder, builder.add("Sub", builder.add("Sub", "input", builder.constant(1.0)), builder.weights(2)))
    assert split_sub(graph) == graph
