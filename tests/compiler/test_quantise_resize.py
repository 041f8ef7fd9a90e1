# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from systolith.compiler.errors import UnsupportedModel
from systolith.compiler.quantise_config import QuantiseConfig
from tests.support.float_models import ModelBuilder
from tests.support.lsb import compiled

COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric")


def resized(b: ModelBuilder, scales: tuple[float, ...], coordinate: str, **attributes: Any) -> str:
    attributes = {"coordinate_transformation_mode": coordinate, "name": "n", **attributes}
    return b.add("Resize", "input", "", b.constant(scales), **attributes)


@pytest.mark.parametrize("scales", [(1, 1, 2, 2), (1, 1, 3, 1), (1, 1, 0.5, 2), (1, 2, 1.5, 1)])
@pytest.mark.parametrize("coordinate", COORDINATES)
@pytest.mark.parametrize("nearest", ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"])
def test_the_nearest_element_is_moved(scales: tuple[float, ...], coordinate: str, nearest: str) -> None:
    b = ModelBuilder((1, 3, 6, 4), opset=19)
    graph = compiled(b, resized(b, scales, coordinate, mode="nearest", nearest_mode=nearest), lsb=0.01)
    assert [node.op for node in graph.nodes] == ["QMove"]


def test_doubling_is_four_moves() -> None:
    b = ModelBuilder((1, 3, 6, 4))
    graph = compiled(
        b, b.add("Upsample" if b.opset < 10 else "Resize", "input", "", b.constant((1, 1, 2, 2))), lsb=0.01
    )
    assert len(graph.nodes[0].attributes["moves"]) == 4


INTERPOLATED = [
    ((1, 1, 2, 2), "half_pixel", ["QMove", *["QConv"] * 4, "QMove"]),
    ((1, 1, 2, 2), "asymmetric", ["QMove", *["QConv"] * 3, "QMove"]),
    ((1, 1, 1, 3), "pytorch_half_pixel", ["QMove", "QConv", "QConv", "QMove"]),
    ((1, 1, 5, 1), "half_pixel", ["QMove", *["QConv"] * 4, "QMove"]),
    ((1, 1, 0.5, 0.25), "half_pixel", ["QConv"]),
    ((1, 1, 0.5, 2), "half_pixel", ["QMove", "QConv", "QConv", "QMove"]),
]


@pytest.mark.parametrize(("scales", "coordinate", "made"), INTERPOLATED)
def test_linear_interpolation_rounds_once(scales: tuple[float, ...], coordinate: str, made: list[str]) -> None:
    b = ModelBuilder((1, 5, 6, 8), opset=19)
    out = resized(b, scales, coordinate, mode="linear")
    graph = compiled(b, out, lsb=0.501)
    assert [node.op for node in graph.nodes] == made
    assert graph.tensors[out].qparams == graph.tensors["input"].qparams


@pytest.mark.parametrize("size", [1, 2])
def test_the_smallest_maps(size: int) -> None:
    b = ModelBuilder((1, 3, size, size), opset=19)
    compiled(b, resized(b, (1, 1, 2, 2), "half_pixel", mode="linear"), lsb=0.501)


def test_cubic_interpolation() -> None:
    b = ModelBuilder((1, 3, 6, 5), opset=19)
    graph = compiled(b, resized(b, (1, 1, 2, 2), "half_pixel", mode="cubic"), lsb=2)
    assert graph.nodes[-1].op == "QMove"


def test_narrow_weights_round() -> None:
    b = ModelBuilder((1, 3, 6, 5), opset=19)
    compiled(b, resized(b, (1, 1, 2, 2), "half_pixel", mode="linear"), lsb=12, config=QuantiseConfig(weight_bits=4))


REFUSED = [
    ((1, 1, 1.5, 1), "half_pixel", r"resizes \[1, 3, 6, 4\] to \[1, 3, 9, 4\], linear with coordinates 'half_pixel'"),
    ((1, 1, 2, 2), "align_corners", "coordinates 'align_corners'; accepted: .*; use half_pixel or asymmetric"),
    ((1, 2, 1, 1), "half_pixel", r"resizes \[1, 3, 6, 4\] to \[1, 6, 6, 4\]"),
]


@pytest.mark.parametrize(("scales", "coordinate", "message"), REFUSED)
def test_refusals(scales: tuple[float, ...], coordinate: str, message: str) -> None:
    b = ModelBuilder((1, 3, 6, 4), opset=19)
    with pytest.raises(UnsupportedModel, match=rf"'n' \(Resize\): .*{message}"):
        compiled(b, resized(b, scales, coordinate, mode="linear"), lsb=1)


def test_crops_are_refused() -> None:
    b = ModelBuilder((1, 3, 6, 4), opset=19)
    roi = b.constant([0, 0, 0, 0, 1, 1, 1, 1])
    attributes: dict[str, Any] = {"coordinate_transformation_mode": "tf_crop_and_resize", "mode": "linear", "name": "n"}
    out = b.add("Resize", "input", roi, b.constant((1, 1, 2, 2)), **attributes)
    with pytest.raises(
        UnsupportedModel, match=r"'n' \(Resize\): coordinates 'tf_crop_and_resize'; accepted: the other"
    ):
        compiled(b, out, lsb=1)
