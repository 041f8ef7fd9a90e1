# SPDX-License-Identifier: Apache-2.0
"""The filters against the float operator itself, by applying them to numbers."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from systolith.compiler.float_resize import ResizeRule, resize
from systolith.compiler.interpolation import (
    Filters,
    interpolation,
    is_copy,
    nearest_indices,
    phase_weight,
    whole_weights,
)


def rule(**changes: Any) -> ResizeRule:
    given = {"mode": "linear", "coordinate": "half_pixel", "nearest": "floor", "cubic_coeff_a": -0.75}
    return ResizeRule.of(
        {**given, "exclude_outside": False, "antialias": False, "extrapolation_value": 0.0, "roi": (), **changes}
    )


def applied(x: NDArray[np.float64], filters: Filters) -> NDArray[np.float64]:
    """A map (H, W) through the filters, phase by phase."""
    down, across = filters
    padded = x[np.ix_(down.read(x.shape[0]), across.read(x.shape[1]))]
    rows, columns = down.count(padded.shape[0]), across.count(padded.shape[1])
    result = np.zeros((rows * down.factor, columns * across.factor))
    for phase in np.ndindex(down.factor, across.factor):
        weight = phase_weight(phase, filters)
        for row, column in np.ndindex(rows, columns):
            y, x_ = row * down.stride, column * across.stride
            seen = padded[y : y + weight.shape[0], x_ : x_ + weight.shape[1]]
            result[row * down.factor + phase[0], column * across.factor + phase[1]] = (weight * seen).sum()
    return result


@pytest.mark.parametrize("scales", [(2, 2), (3, 1), (0.5, 4), (0.25, 0.5)])
@pytest.mark.parametrize("coordinate", ["half_pixel", "asymmetric", "pytorch_half_pixel"])
@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_filters_do_what_the_operator_does(scales: tuple[float, float], coordinate: str, mode: str) -> None:
    shape, given = (1, 1, 8, 4), rule(mode=mode, coordinate=coordinate)
    after = tuple(int(size * scale) for size, scale in zip(shape, (1, 1, *scales), strict=True))
    filters = interpolation(shape, after, (1, 1, *scales), given)
    assert filters is not None
    x = np.random.default_rng(5).normal(size=(8, 4))
    expected = resize(x, after[2:], scales, [(0.0, 1.0)] * 2, given)
    np.testing.assert_allclose(applied(x, filters), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("before", "after", "coordinate"),
    [
        ((1, 3, 6, 4), (1, 3, 9, 4), "half_pixel"),
        ((1, 3, 6, 4), (1, 3, 12, 8), "align_corners"),
        ((1, 3, 6, 4), (1, 6, 6, 4), "half_pixel"),
        ((1, 3), (1, 3), "half_pixel"),
    ],
)
def test_what_is_no_regular_filter(before: tuple[int, ...], after: tuple[int, ...], coordinate: str) -> None:
    scales = [new / old for old, new in zip(before, after, strict=True)]
    assert interpolation(before, after, scales, rule(coordinate=coordinate)) is None


def test_a_sequence_is_one_row() -> None:
    filters = interpolation((1, 3, 6), (1, 3, 12), (1, 1, 2), rule())
    assert filters is not None
    x = np.random.default_rng(5).normal(size=(1, 6))
    expected = resize(x, [None, 12], (1, 2), [(0.0, 1.0)] * 2, rule())
    np.testing.assert_allclose(applied(x, filters), expected, atol=1e-5)


def test_the_nearest_elements() -> None:
    given = rule(mode="nearest", coordinate="asymmetric")
    assert nearest_indices((1, 3), (1, 6), (1, 2), given) == [[0], [0, 0, 1, 1, 2, 2]]


def test_one_phase_of_an_asymmetric_doubling_is_the_input() -> None:
    filters = interpolation((1, 1, 4, 4), (1, 1, 8, 8), (1, 1, 2, 2), rule(coordinate="asymmetric"))
    assert filters is not None
    assert [phase for phase in np.ndindex(2, 2) if is_copy(phase, filters)] == [(0, 0)]


def test_fractions_become_integers() -> None:
    whole, unit = whole_weights(np.array([[9.0, 3.0], [3.0, 1.0]]) / 16, 127)
    assert (whole.tolist(), unit) == ([[9, 3], [3, 1]], 1 / 16)
    rounded, unit = whole_weights(np.array([1.0, np.pi / 4]), 127)
    assert (rounded.tolist(), unit) == ([127, 100], 1 / 127)
