# SPDX-License-Identifier: Apache-2.0
from typing import Any

import numpy as np
import pytest

from systolith.compiler.errors import UnsupportedModel
from systolith.compiler.ir import Node
from tests.support.float_models import ModelBuilder, agreeing, only, read

NEWEST = 19
"""The newest Resize."""

COORDINATES = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric"]


def resize(scales: list[float], *, opset: int = NEWEST, sizes: list[int] | None = None, **attributes: Any) -> Node:
    """A resize of (1, 2, 5, 6), compared with onnxruntime."""
    builder = ModelBuilder((1, 2, 5, 6), opset=opset)
    # older runtimes read a roi that nothing needs
    roi = builder.constant([]) if opset < 13 else ""
    operands = [roi, builder.constant(scales)]
    if sizes is not None:
        operands = [roi, builder.constant([]) if opset < 13 else "", builder.constant(sizes, np.int64)]
    return only(agreeing(builder, builder.add("Resize", "input", *operands, **attributes)), "Resize")


def test_everything_is_explicit() -> None:
    assert resize([1, 1, 2, 3], opset=13).attributes == {
        "mode": "nearest",
        "coordinate": "half_pixel",
        "nearest": "round_prefer_floor",
        "scales": (1.0, 1.0, 2.0, 3.0),
        "roi": (),
        "cubic_coeff_a": -0.75,
        "exclude_outside": False,
        "antialias": False,
        "extrapolation_value": 0.0,
    }


@pytest.mark.parametrize("rounding", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
@pytest.mark.parametrize("coordinate", COORDINATES)
def test_nearest(coordinate: str, rounding: str) -> None:
    """Runtimes do not agree with ONNX's own tests where aligned corners make no whole number of elements."""
    for scales in ([1.0, 1.0, 2.0, 3.0], [1.0, 1.0, 0.6 if coordinate == "align_corners" else 0.5, 1.5]):
        resize(scales, coordinate_transformation_mode=coordinate, nearest_mode=rounding)


@pytest.mark.parametrize("coordinate", COORDINATES)
@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_interpolation(coordinate: str, mode: str) -> None:
    for scales in ([1.0, 1.0, 2.0, 3.0], [1.0, 1.0, 0.6, 1.5]):
        resize(scales, mode=mode, coordinate_transformation_mode=coordinate)


def test_cubic_details() -> None:
    resize([1, 1, 2, 2], mode="cubic", cubic_coeff_a=-0.5, exclude_outside=1)


@pytest.mark.parametrize("opset", [11, 13, NEWEST])
def test_sizes(opset: int) -> None:
    node = resize([], sizes=[1, 2, 10, 9], opset=opset, mode="linear")
    assert node.attributes["scales"] == (1.0, 1.0, 2.0, 1.5)


def test_axes_and_aspect_ratio() -> None:
    for policy, scale in (("not_larger", 2.0), ("not_smaller", 2.2)):
        node = resize([], sizes=[12, 11], axes=[3, 2], keep_aspect_ratio_policy=policy)
        assert node.attributes["scales"] == (1.0, 1.0, scale, scale)


@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_antialias(mode: str) -> None:
    """The runtime leaves elements beyond an end out, ONNX repeats the end unless told to leave them out."""
    builder = ModelBuilder((1, 2, 8, 8), opset=NEWEST)
    scales = builder.constant([1, 1, 0.5, 0.5])
    out = builder.add("Resize", "input", "", scales, mode=mode, antialias=1, exclude_outside=1)
    assert only(agreeing(builder, out), "Resize").attributes["antialias"] is True


def test_cropping() -> None:
    builder = ModelBuilder((1, 2, 5, 6), opset=NEWEST)
    roi = builder.constant([0, 0, 0.25, -0.5, 1, 1, 0.75, 1.5])
    sizes = builder.constant([1, 2, 4, 8], np.int64)
    out = builder.add(
        "Resize",
        "input",
        roi,
        "",
        sizes,
        mode="linear",
        coordinate_transformation_mode="tf_crop_and_resize",
        extrapolation_value=9.0,
    )
    node = only(agreeing(builder, out), "Resize")
    assert node.attributes["roi"] == (0, 0, 0.25, -0.5, 1, 1, 0.75, 1.5)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_operator_set_10(mode: str) -> None:
    builder = ModelBuilder((1, 2, 5, 6), opset=10)
    node = only(agreeing(builder, builder.add("Resize", "input", builder.constant([1, 1, 2, 3]), mode=mode)), "Resize")
    assert (node.attributes["coordinate"], node.attributes["nearest"]) == ("asymmetric", "floor")


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("scales", [[1, 1, 2, 3], [1, 1, 1.5, 2.25]])
def test_upsample(mode: str, scales: list[float]) -> None:
    builder = ModelBuilder((1, 2, 5, 6), opset=9)
    node = only(agreeing(builder, builder.add("Upsample", "input", builder.constant(scales), mode=mode)), "Resize")
    assert (node.origin, node.attributes["coordinate"]) == (("Upsample",), "asymmetric")


@pytest.mark.parametrize(
    ("scales", "attributes", "message"),
    [
        ([2, 1, 1, 1], {}, "it resizes axis 0; accepted: operators that leave the batch axis"),
        ([1, 1, 2, 2], {"mode": "sharp"}, "mode 'sharp'; accepted: nearest, linear, cubic"),
        ([1, 1, 2, 2], {"nearest_mode": "odd"}, "nearest_mode 'odd'; accepted: round_prefer_floor"),
        ([1, 1, 2, 2], {"coordinate_transformation_mode": "tf_crop_and_resize"}, "roi of 0 numbers; accepted: 8"),
    ],
)
def test_refusals(scales: list[float], attributes: dict[str, Any], message: str) -> None:
    builder = ModelBuilder((1, 2, 5, 6))
    out = builder.add("Resize", "input", "", builder.constant(scales), **attributes)
    with pytest.raises(UnsupportedModel, match=message):
        read(builder, out)


def test_refuses_a_doubtful_nearest_element() -> None:
    builder = ModelBuilder((1, 2, 5, 6), opset=10)
    out = builder.add("Resize", "input", builder.constant([1, 1, 1, 0.7]))
    with pytest.raises(UnsupportedModel, match="scales that leave no doubt which element is the nearest"):
        read(builder, out)
