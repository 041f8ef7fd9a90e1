# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from systolith.api.roofline.axes import Axis, short


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.25, "0.25"), (64, "64"), (999.9, "1k"), (20000, "20k"), (2.5e6, "2.5M"), (1e9, "1G")],
)
def test_short_numbers(value: float, text: str) -> None:
    assert short(value) == text


def test_linear_axis() -> None:
    axis = Axis(0, 50, 100, 0)
    assert [axis.at(value) for value in (0, 25, 50)] == [100, 50, 0]
    assert [tick.value for tick in axis.ticks(5)] == [0, 10, 20, 30, 40, 50]
    assert [tick.value for tick in Axis(3, 26, 0, 1).ticks(5)] == [5, 10, 15, 20, 25]


def test_logarithmic_axis() -> None:
    axis = Axis(10, 1000, 0, 200, log=True)
    assert [axis.at(value) for value in (10, 100, 1000)] == pytest.approx([0, 100, 200])
    assert [tick.value for tick in axis.ticks(9)] == [10, 20, 50, 100, 200, 500, 1000]
    assert [tick.label for tick in axis.ticks(4)] == ["10", "100", "1k"]


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("high", [7.0, 31, 4782, 51095, 1e7])
def test_ticks_are_few_round_and_inside(high: float, log: bool) -> None:
    axis = Axis(0.3, high, 0, 100, log)
    ticks = axis.ticks(8)
    assert 2 <= len(ticks) <= 9
    assert all(0 <= tick.at <= 100 for tick in ticks)
