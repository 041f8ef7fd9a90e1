# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

from systolith.compiler.float_resize import ResizeRule, resize

RULE = ResizeRule(
    mode="nearest",
    coordinate="asymmetric",
    nearest="floor",
    cubic_coeff_a=-0.75,
    exclude_outside=False,
    antialias=False,
    extrapolation_value=0.0,
)
LINE = np.array([0.0, 10.0, 20.0, 30.0])


def line(rule: ResizeRule, size: int, scale: float, region: tuple[float, float] = (0, 1)) -> list[float]:
    """A resize of a line of four."""
    return [round(float(value), 4) for value in resize(LINE, [size], [scale], [region], rule)]


@pytest.mark.parametrize(
    ("coordinate", "nearest", "expected"),
    [
        ("asymmetric", "floor", [0, 0, 10, 10, 20, 20, 30, 30]),
        ("asymmetric", "ceil", [0, 10, 10, 20, 20, 30, 30, 30]),
        ("asymmetric", "round_prefer_ceil", [0, 10, 10, 20, 20, 30, 30, 30]),
        ("asymmetric", "round_prefer_floor", [0, 0, 10, 10, 20, 20, 30, 30]),
        ("half_pixel", "round_prefer_floor", [0, 0, 10, 10, 20, 20, 30, 30]),
        ("half_pixel", "floor", [0, 0, 0, 10, 10, 20, 20, 30]),
    ],
)
def test_nearest(coordinate: str, nearest: str, expected: list[float]) -> None:
    assert line(replace(RULE, coordinate=coordinate, nearest=nearest), 8, 2) == expected


@pytest.mark.parametrize(
    ("coordinate", "size", "scale", "expected"),
    [
        ("asymmetric", 8, 2, [0, 5, 10, 15, 20, 25, 30, 30]),
        ("half_pixel", 8, 2, [0, 2.5, 7.5, 12.5, 17.5, 22.5, 27.5, 30]),
        ("align_corners", 7, 1.75, [0, 5, 10, 15, 20, 25, 30]),
        ("pytorch_half_pixel", 1, 0.25, [0]),
        ("half_pixel", 1, 0.25, [15]),
        ("half_pixel_symmetric", 3, 0.8, [2.5, 15, 27.5]),
    ],
)
def test_linear(coordinate: str, size: int, scale: float, expected: list[float]) -> None:
    assert line(replace(RULE, mode="linear", coordinate=coordinate), size, scale) == expected


def test_crop_extrapolates_outside() -> None:
    rule = replace(RULE, mode="linear", coordinate="tf_crop_and_resize", extrapolation_value=-1.0)
    assert line(rule, 3, 1, (0.5, 1.5)) == [15, 30, -1]
    assert line(rule, 1, 1, (0.0, 1.0)) == [15]


def test_cubic_keeps_straight_lines_inside() -> None:
    assert line(replace(RULE, mode="cubic", cubic_coeff_a=-0.5), 8, 2)[3:5] == [15, 20]


def test_outside_counts_as_the_end_or_not_at_all() -> None:
    cubic = replace(RULE, mode="cubic", coordinate="half_pixel")
    near, far = 0.59375, -0.09375
    assert line(cubic, 2, 0.5)[0] == round(10 * near + 20 * far, 4)
    assert line(replace(cubic, exclude_outside=True), 2, 0.5)[0] == round((10 * near + 20 * far) / (1 - far), 4)


def test_antialias_averages() -> None:
    """A triangle twice as wide: weights 1/8, 3/8, 3/8, 1/8, of which one lies outside."""
    assert line(replace(RULE, mode="linear", coordinate="half_pixel", antialias=True), 2, 0.5) == [6.25, 23.75]


def test_every_axis_on_its_own() -> None:
    x = np.arange(6.0).reshape(1, 2, 3)
    both = resize(x, [None, 4, 6], [1, 2, 2], [(0, 1)] * 3, RULE)
    np.testing.assert_array_equal(both, x.repeat(2, 1).repeat(2, 2))
    assert both.dtype == x.dtype
