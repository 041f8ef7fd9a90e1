# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from systolith.compiler.ir import Graph
from systolith.compiler.passes.prepare import prepare_float
from systolith.compiler.tie_ranges import Range, tie_ranges
from tests.support.float_models import ModelBuilder, read

WIDE = (-4.0, 4.0)


def tied(builder: ModelBuilder, *outputs: str, **changes: Range) -> dict[str, Range]:
    """The ranges after tying; every tensor has the range of its name in ``changes``, or -1..1."""
    graph: Graph = prepare_float(read(builder, *outputs))
    return tie_ranges(graph, {name: changes.get(name, (-1.0, 1.0)) for name in graph.tensors})


def conv(builder: ModelBuilder, name: str, x: str = "input") -> str:
    return builder.add("Conv", x, builder.weights(4, 4, 1, 1), name=name)


def test_operands_of_their_own_take_the_result_s_range() -> None:
    b = ModelBuilder((1, 4, 5, 5))
    one, other = conv(b, "one"), conv(b, "other")
    found = tied(b, b.add("Concat", one, other, axis=1, name="join"), join_out=WIDE)
    assert found == {"input": (-1, 1), "one_out": WIDE, "other_out": WIDE, "join_out": WIDE}


def test_a_narrow_operand_with_other_readers_keeps_its_range() -> None:
    b = ModelBuilder((1, 4, 5, 5))
    one, other = conv(b, "one"), conv(b, "other")
    outputs = b.add("Concat", one, other, axis=1, name="join"), conv(b, "next", one)
    assert tied(b, *outputs, join_out=WIDE)["one_out"] == (-1, 1)
    near = tied(b, *outputs, join_out=WIDE, one_out=(-2.0, 4.5))
    # nothing of the shared operand is cut off
    assert near["one_out"] == near["join_out"] == near["other_out"] == (-4.0, 4.5)


def test_ties_reach_through_what_keeps_the_scale() -> None:
    b = ModelBuilder((1, 4, 6, 6))
    one, other = conv(b, "one"), conv(b, "other")
    pooled = b.add("MaxPool", one, kernel_shape=[2, 2], strides=[2, 2])
    small = b.add("Slice", other, b.constant([0, 0], int), b.constant([3, 3], int), b.constant([2, 3], int))
    found = tied(b, b.add("Concat", pooled, small, axis=1, name="join"), join_out=WIDE)
    assert found["one_out"] == found["other_out"] == WIDE


def test_an_average_has_a_scale_of_its_own() -> None:
    b = ModelBuilder((1, 4, 6, 6))
    mean = b.add("AveragePool", conv(b, "one"), kernel_shape=[3, 3], name="mean")
    found = tied(b, b.add("Concat", mean, mean, axis=1, name="join"), join_out=WIDE)
    assert found["one_out"] == (-1, 1)


def test_concats_of_concats_share_one_range() -> None:
    b = ModelBuilder((1, 4, 5, 5))
    one, other, third = (conv(b, name) for name in ("one", "other", "third"))
    inner = b.add("Concat", one, other, axis=1, name="inner")
    found = tied(b, b.add("Concat", inner, third, axis=1, name="join"), join_out=WIDE, inner_out=(-2.0, 2.0))
    assert {found[name] for name in ("one_out", "other_out", "third_out", "inner_out", "join_out")} == {WIDE}


@pytest.mark.parametrize(("first", "together"), [(WIDE, True), ((-9.0, 9.0), False)])
def test_a_tensor_that_two_concats_read_has_the_range_of_the_last(first: Range, together: bool) -> None:
    b = ModelBuilder((1, 4, 5, 5))
    shared, one, other = conv(b, "shared"), conv(b, "one"), conv(b, "other")
    outputs = b.add("Concat", shared, one, axis=1, name="first"), b.add("Concat", shared, other, axis=1, name="second")
    found = tied(b, *outputs, shared_out=WIDE, first_out=first, second_out=(-4.0, 5.0))
    assert found["shared_out"] == found["second_out"] == found["other_out"] == (-4.0, 5.0)
    assert found["one_out"] == found["first_out"] == ((-4.0, 5.0) if together else first)
