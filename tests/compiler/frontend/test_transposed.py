# SPDX-License-Identifier: Apache-2.0
from typing import Any

import pytest

from systolith.compiler.errors import ShapeError, UnsupportedModel
from systolith.compiler.ir import Node
from tests.support.float_models import ModelBuilder, agreeing, only, read


def transposed(builder: ModelBuilder, *shape: int, bias: int = 0, **attributes: Any) -> str:
    operands = [builder.weights(*shape), *([builder.weights(bias)] if bias else [])]
    return builder.add("ConvTranspose", "input", *operands, **attributes)


def agree(shape: tuple[int, ...], *, opset: int = 17, bias: int = 0, **attributes: Any) -> Node:
    builder = ModelBuilder((1, 4, 5, 6), opset=opset)
    return only(agreeing(builder, transposed(builder, *shape, bias=bias, **attributes)), "ConvTranspose")


def test_everything_omitted() -> None:
    assert agree((4, 3, 3, 2), opset=9).attributes == {
        "kernel_shape": (3, 2),
        "strides": (1, 1),
        "dilations": (1, 1),
        "pads": (0, 0, 0, 0),
        "output_padding": (0, 0),
        "group": 1,
    }


@pytest.mark.parametrize(
    "attributes",
    [
        {"strides": [2, 3]},
        {"strides": [2, 2], "pads": [1, 0, 0, 2]},
        {"strides": [3, 2], "output_padding": [2, 1]},
        {"dilations": [2, 3], "pads": [1, 1, 1, 1]},
        {"group": 2, "strides": [2, 1]},
        {"group": 4},
    ],
)
def test_attributes(attributes: dict[str, Any]) -> None:
    agree((4, 3, 3, 3), bias=3 * attributes.get("group", 1), **attributes)


@pytest.mark.parametrize(
    ("mode", "pads"), [("SAME_UPPER", (0, 0, 1, 1)), ("SAME_LOWER", (1, 1, 0, 0)), ("VALID", (0, 0, 0, 0))]
)
def test_auto_pad(mode: str, pads: tuple[int, ...]) -> None:
    assert agree((4, 2, 3, 3), strides=[2, 2], auto_pad=mode).attributes["pads"] == pads


def test_output_shape_becomes_pads() -> None:
    """Of an odd number of elements the larger half goes before, as ONNX defines it where auto_pad is left out."""
    node = agree((4, 2, 3, 3), strides=[2, 2], output_shape=[8, 11])
    assert node.attributes["pads"] == (2, 1, 1, 1)


def test_larger_output_shape_becomes_output_padding() -> None:
    node = agree((4, 2, 3, 3), bias=2, strides=[3, 2], output_shape=[16, 13])
    assert (node.attributes["pads"], node.attributes["output_padding"]) == ((0, 0, 0, 0), (1, 0))


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"group": 3}, r"group 3 with 4 channels and weights \[4, 2, 3, 3\]|must be divisible by group"),
        ({"kernel_shape": [3, 4]}, r"kernel_shape \[3, 4\] differs from the weights'"),
    ],
)
def test_refusals(attributes: dict[str, Any], message: str) -> None:
    """Newer onnx packages find a wrong group at shape inference."""
    builder = ModelBuilder((1, 4, 5, 6))
    out = transposed(builder, 4, 2, 3, 3, **attributes)
    with pytest.raises((UnsupportedModel, ShapeError), match=message):
        read(builder, out)
