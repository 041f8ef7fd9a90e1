# SPDX-License-Identifier: Apache-2.0
"""Interpolation in QDQ networks; resizing to the nearest element is in test_qdq_movement.py."""

from typing import Any

import numpy as np
import pytest

from systolith.compiler.errors import UnsupportedModel
from tests.support.qdq_models import QdqModel, check, import_model, on_engine

SEED = 79
SHAPE = (1, 3, 6, 8)


def resized(m: QdqModel, x: str, *scales: float, coordinate: str = "half_pixel", **attributes: Any) -> str:
    attributes = {"mode": "linear", "coordinate_transformation_mode": coordinate, **attributes}
    return m.node("Resize", x, "", m.constant(np.array([1, 1, *scales], np.float32)), **attributes)


@pytest.mark.parametrize(
    ("scales", "coordinate", "made"),
    [
        ((2, 2), "half_pixel", ["QMove", *["QConv"] * 4, "QMove"]),
        ((2, 2), "asymmetric", ["QMove", "QRequant", *["QConv"] * 3, "QMove"]),
        ((1, 3), "pytorch_half_pixel", ["QMove", "QConv", "QRequant", "QConv", "QMove"]),
        ((7, 1), "half_pixel", ["QMove", *["QConv"] * 3, "QRequant", *["QConv"] * 3, "QMove"]),
        ((4, 2), "half_pixel", ["QMove", *["QConv"] * 8, "QMove"]),
        ((0.5, 0.25), "half_pixel", ["QConv"]),
        ((0.5, 2), "half_pixel", ["QMove", "QConv", "QConv", "QMove"]),
    ],
)
def test_linear_interpolation_rounds_once(scales: tuple[float, ...], coordinate: str, made: list[str]) -> None:
    m = QdqModel(SEED, opset=19)
    y = m.node("Relu", resized(m, m.start(*SHAPE), *scales, coordinate=coordinate))
    model = m.model(m.real(y, 0.0317, -20))
    assert [node.op for node in check(model, judged=1, differing=0.01).nodes] == made
    on_engine(model)


@pytest.mark.parametrize("size", [1, 2])
def test_the_smallest_maps(size: int) -> None:
    m = QdqModel(SEED, opset=19)
    check(m.model(m.real(resized(m, m.start(1, 3, size, size), 2, 2), 0.04)), judged=1)


def test_cubic_interpolation_where_its_weights_are_small_fractions() -> None:
    m = QdqModel(SEED, opset=19)
    check(m.model(m.real(resized(m, m.start(*SHAPE), 0.5, 1, mode="cubic"), 0.06)), judged=1)


@pytest.mark.parametrize(
    ("scales", "attributes", "message"),
    [
        ((8, 8), {}, r"its weights, up to 0.\d+, are not fractions with one denominator; accepted: denominators that"),
        ((2, 2), {"mode": "cubic"}, r"not fractions .* weights of 8 bits hold, as of linear .*; resize in two steps"),
        (
            (1.5, 1),
            {},
            r"it resizes \[1, 3, 6, 8\] to \[1, 3, 9, 8\], linear with coordinates 'half_pixel'; acc",
        ),
        ((2, 2), {"coordinate": "align_corners"}, r"'align_corners'; accepted: .*; use half_pixel or asymmetric coord"),
    ],
)
def test_refusals(scales: tuple[float, ...], attributes: dict[str, Any], message: str) -> None:
    m = QdqModel(SEED, opset=19)
    with pytest.raises(UnsupportedModel, match=rf"\(Resize\): .*{message}"):
        import_model(m.model(m.real(resized(m, m.start(*SHAPE), *scales, **attributes))))


def test_refuses_to_interpolate_integers_and_to_crop() -> None:
    m = QdqModel(SEED, opset=19)
    codes = resized(m, m.quantise(m.input(*SHAPE), 0.05), 2, 2)
    m.params[codes] = m.params["quantizelinear0_out"]
    with pytest.raises(UnsupportedModel, match=r"\(Resize\): it computes on the integers of 'quantizelinear0_out'"):
        import_model(m.model(m.dequantise(codes)))
    m = QdqModel(SEED, opset=19)
    roi = m.constant(np.array([0, 0, 0, 0, 1, 1, 1, 1], np.float32))
    attributes: dict[str, Any] = {"coordinate_transformation_mode": "tf_crop_and_resize"}
    y = m.node("Resize", m.start(*SHAPE), roi, m.constant(np.array([1, 1, 2, 2], np.float32)), **attributes)
    with pytest.raises(UnsupportedModel, match=r"\(Resize\): coordinates 'tf_crop_and_resize'; accepted: the other"):
        import_model(m.model(m.real(y)))


def test_narrow_weights_hold_small_factors_only() -> None:
    m = QdqModel(SEED, opset=19)
    model = m.model(m.real(resized(m, m.start(*SHAPE), 1, 2)))
    assert import_model(model, weight_bits=4).nodes
    with pytest.raises(UnsupportedModel, match="denominators that weights of 2 bits hold"):
        import_model(model, weight_bits=2)
