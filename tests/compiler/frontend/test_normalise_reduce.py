# SPDX-License-Identifier: Apache-2.0
from typing import Any

import numpy as np
import pytest

from systolith.compiler.errors import UnsupportedModel
from systolith.compiler.ir import Node
from tests.support.float_models import ModelBuilder, agreeing, read


def last(builder: ModelBuilder, out: str) -> Node:
    return agreeing(builder, out).nodes[-1]


@pytest.mark.parametrize("opset", [9, 17])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", [[2, 3], [-1], [3, 1]])
def test_mean_with_attributes(opset: int, keepdims: int, axes: list[int]) -> None:
    builder = ModelBuilder((1, 3, 4, 5), opset=opset)
    node = last(builder, builder.add("ReduceMean", "input", axes=axes, keepdims=keepdims))
    assert node.attributes == {"axes": tuple(sorted(axis % 4 for axis in axes)), "keepdims": bool(keepdims)}


def test_mean_with_inputs() -> None:
    builder = ModelBuilder((1, 3, 4, 5), opset=18)
    node = last(builder, builder.add("ReduceMean", "input", builder.constant([2, 3], np.int64), keepdims=0))
    assert (node.attributes, node.inputs) == ({"axes": (2, 3), "keepdims": False}, ("input",))


def test_mean_of_everything_but_the_batch() -> None:
    builder = ModelBuilder((1, 3, 4, 5), opset=18)
    assert last(builder, builder.add("ReduceMean", "input")).attributes == {"axes": (1, 2, 3), "keepdims": True}


def test_mean_of_nothing_is_an_identity() -> None:
    builder = ModelBuilder((1, 3, 4, 5), opset=18)
    assert last(builder, builder.add("ReduceMean", "input", noop_with_empty_axes=1)).op == "Identity"


def test_mean_over_the_one_element_of_the_batch_is_an_identity() -> None:
    builder = ModelBuilder((1, 3, 4, 5), opset=13)
    node = last(builder, builder.add("ReduceMean", "input", axes=[0]))
    assert (node.op, node.inputs, node.attributes) == ("Identity", ("input",), {})


@pytest.mark.parametrize("opset", [9, 13])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_argmax(opset: int, keepdims: int) -> None:
    builder = ModelBuilder((1, 3, 4, 5), opset=opset)
    node = last(builder, builder.add("ArgMax", builder.add("Relu", "input"), axis=-2, keepdims=keepdims))
    assert node.attributes == {"axis": 2, "keepdims": bool(keepdims), "select_last_index": False}


def test_argmax_of_the_last_of_equals() -> None:
    """Most elements of the operand are zero and equal."""
    builder = ModelBuilder((1, 9), opset=13)
    relu = builder.add("Relu", builder.add("Add", "input", builder.constant(-1.0)))
    node = last(builder, builder.add("ArgMax", relu, axis=1, select_last_index=1))
    assert node.attributes["select_last_index"] is True


@pytest.mark.parametrize(
    ("op", "attributes", "message"),
    [
        ("ReduceMean", {"keepdims": 0}, r"it reduces axes \[0, 1\]; accepted: operators that leave the batch axis"),
        ("ArgMax", {}, "it looks for the maximum along axis 0"),
    ],
)
def test_refusals(op: str, attributes: dict[str, Any], message: str) -> None:
    builder = ModelBuilder((1, 3))
    out = builder.add(op, "input", **attributes)
    with pytest.raises(UnsupportedModel, match=message):
        read(builder, out)
