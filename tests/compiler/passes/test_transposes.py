# SPDX-License-Identifier: Apache-2.0
import numpy as np

from systolith.compiler.passes.transposes import (
    before,
    constant_before,
    fresh,
    inverse,
    permuted,
    renumbered,
    source_of,
    transpose_node,
)
from tests.support.float_models import ModelBuilder, read

PERM = (0, 3, 1, 2)


def test_permutations_are_numpys() -> None:
    x = np.zeros((2, 3, 4, 5))
    assert permuted(x.shape, PERM) == x.transpose(PERM).shape
    assert before(x.transpose(PERM).shape, PERM) == x.shape
    assert x.transpose(PERM).transpose(inverse(PERM)).shape == x.shape


def test_sources() -> None:
    builder = ModelBuilder((1, 2, 3))
    out = builder.add("Relu", builder.add("Transpose", "input", perm=[0, 2, 1]))
    graph = read(builder, out)
    assert source_of(graph, "transpose0_out") == ("input", (0, 2, 1))
    assert source_of(graph, "input") is None
    assert source_of(graph, out) is None


def test_fresh_names() -> None:
    builder = ModelBuilder((1, 2))
    graph = read(builder, builder.add("Add", "input", builder.weights(2), name="sum"))
    assert [fresh(graph, name) for name in ("new", "input", "c0", "sum")] == ["new", "input'", "c0'", "sum'"]


def test_constants_broadcast_as_before() -> None:
    x, value = np.ones((1, 3, 4, 5)), np.arange(12).reshape(3, 4)
    expected = x.transpose(PERM) + value
    np.testing.assert_array_equal((x + constant_before(value, 4, PERM)).transpose(PERM), expected)


def test_reshapes_of_single_elements() -> None:
    assert renumbered((1, 1, 7, 3), (1, 7, 3)) == (0, 2, 3)
    assert renumbered((1, 7, 3), (1, 1, 7, 1, 3)) == (0, None, 1, None, 2)
    assert renumbered((1, 7, 3), (1, 3, 7)) is None
    assert renumbered((1, 7, 3), (1, 21)) is None


def test_node() -> None:
    node = transpose_node("t", "x", "y", PERM, ("Transpose",))
    assert (node.op, node.inputs, node.outputs, node.attributes) == ("Transpose", ("x",), ("y",), {"perm": PERM})
