# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from systolith.api.accuracy_figures import classified, compared, reconstructed, wilson


@pytest.mark.parametrize(
    ("hits", "count", "expected"),
    [
        (0, 0, (0.0, 1.0)),
        # From the literature's worked examples (Newcombe 1998, table I, method 3).
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
        (29, 29, (0.8830, 1.0)),
    ],
)
def test_wilson(hits: int, count: int, expected: tuple[float, float]) -> None:
    assert wilson(hits, count) == pytest.approx(expected, abs=1e-4)


def test_classified() -> None:
    outputs = np.eye(4)[[0, 1, 2, 2]]
    figures = classified(outputs, np.array([0, 1, 2, 3]))
    assert (figures["correct"], figures["of"], figures["top1"]) == (3, 4, 0.75)
    assert figures["interval95"][0] < 0.75 < figures["interval95"][1]


def test_reconstructed() -> None:
    figures = reconstructed(np.array([[1.0, 2.0], [0.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 3.0]]))
    assert figures == {"mean_squared_error": (4 / 2 + 9 / 2) / 2}


def test_compared() -> None:
    exact, labels = np.eye(3)[[0, 1, 2, 0, 1]], np.array([0, 1, 2, 1, 1])
    integer = np.eye(3)[[0, 2, 2, 1, 0]]
    figures = compared(integer, exact, labels)
    assert figures["agreement"] == 0.4
    assert (figures["turned_wrong"], figures["turned_right"]) == (2, 1)
    assert figures["drop_points"] == pytest.approx(20)
    low, high = figures["drop_interval95"]
    half = 1.959964 * np.sqrt(3 - 1 / 5) / 5 * 100
    assert (low, high) == pytest.approx((20 - half, 20 + half))


def test_compared_without_labels() -> None:
    exact = np.array([[1.0, 2.0], [3.0, 1.0]])
    figures = compared(exact * 1.1, exact, None)
    assert figures["agreement"] == 1.0
    assert figures["snr"] == pytest.approx(20)
    assert "drop_points" not in figures
