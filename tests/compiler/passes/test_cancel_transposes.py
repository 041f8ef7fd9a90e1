# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from systolith.compiler.ir import Node
from systolith.compiler.passes.cancel_transposes import cancel_transposes
from tests.support.float_models import ModelBuilder, assert_same_result, read


def result(shape: tuple[int, ...], *perms: list[int]) -> list[Node]:
    builder, x = ModelBuilder(shape), "input"
    for perm in perms:
        x = builder.add("Transpose", x, perm=perm)
    before = read(builder, x)
    after = cancel_transposes(before)
    assert_same_result(before, after)
    return list(after.nodes)


def test_merges_and_keeps_the_order() -> None:
    (node,) = result((1, 2, 3, 4), [0, 2, 3, 1], [0, 2, 1, 3])
    assert (node.op, node.attributes) == ("Transpose", {"perm": (0, 3, 2, 1)})


def test_inverses_are_an_identity() -> None:
    builder = ModelBuilder((1, 2, 3, 4))
    turned = builder.add("Transpose", builder.add("Relu", "input"), perm=[0, 2, 3, 1])
    before = read(builder, builder.add("Transpose", turned, perm=[0, 3, 1, 2]))
    after = cancel_transposes(before)
    assert_same_result(before, after)
    assert [node.op for node in after.nodes] == ["Relu", "Identity"]


def test_a_network_of_nothing_else_stays_one() -> None:
    (node,) = result((1, 2, 3, 4), [0, 2, 3, 1], [0, 3, 1, 2])
    assert (node.op, node.attributes) == ("Transpose", {"perm": (0, 1, 2, 3)})


@pytest.mark.parametrize("shape", [(1, 1, 3, 4), (1, 5, 1, 1)])
def test_what_moves_single_elements_is_a_reshape_in_front_of_one(shape: tuple[int, ...]) -> None:
    builder = ModelBuilder(shape)
    turned = builder.add("Transpose", "input", perm=[0, 2, 3, 1])
    before = read(builder, builder.add("Flatten", turned))
    after = cancel_transposes(before)
    assert_same_result(before, after)
    assert [node.op for node in after.nodes] == ["Reshape", "Reshape"]
    assert after.nodes[0].attributes["shape"] == (1, shape[2], shape[3], shape[1])
    assert [node.op for node in result(shape, [0, 2, 3, 1])] == ["Transpose"]


def test_what_moves_single_elements_is_a_reshape_behind_one() -> None:
    builder = ModelBuilder((1, 3, 4))
    image = builder.add("Unsqueeze", "input", builder.constant([1], np.int64))
    before = read(builder, builder.conv(builder.add("Transpose", image, perm=[0, 2, 1, 3]), 2, 3, 1, 3))
    after = cancel_transposes(before)
    assert_same_result(before, after)
    assert [node.op for node in after.nodes] == ["Reshape", "Reshape", "Conv"]


def test_the_first_stays_for_others() -> None:
    builder = ModelBuilder((1, 2, 3, 4))
    first = builder.add("Transpose", "input", perm=[0, 2, 3, 1])
    second = builder.add("Transpose", first, perm=[0, 2, 3, 1])
    before = read(builder, first, second)
    after = cancel_transposes(before)
    assert_same_result(before, after)
    assert [node.inputs for node in after.nodes] == [("input",), ("input",)]
