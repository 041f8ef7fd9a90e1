# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from systolith.api.roofline.plot import FRAME
from systolith.api.roofline.scaling import scaling_plot


def _row(name: str, multipliers: int, rate: float) -> dict[str, Any]:
    return {"arch": name, "multipliers": multipliers, "macs_per_cycle": rate, "refused": None}


ROWS = [_row("8x8", 64, 64.0), _row("4x4", 16, 8.0), _row("16x16", 256, 100.0)]
REFUSED = {"arch": "2x2", "refused": "too small"}


def test_engines_lie_below_the_line_by_what_they_do_not_use() -> None:
    plot = scaling_plot([*ROWS, REFUSED])
    assert plot is not None
    assert [engine.own for engine in plot.engines] == [True, False, False]
    x0, y0, x1, y1 = plot.ideal
    for engine, row in zip(plot.engines, ROWS, strict=True):
        assert FRAME.left < engine.x < FRAME.right
        assert FRAME.top < engine.y < FRAME.bottom
        line = y0 + (y1 - y0) * (engine.x - x0) / (x1 - x0)
        full = row["macs_per_cycle"] == row["multipliers"]
        assert (engine.y == pytest.approx(line)) is full
        assert engine.y >= line - 1e-6


def test_one_engine_is_no_comparison() -> None:
    assert scaling_plot([]) is None
    assert scaling_plot([ROWS[0], REFUSED]) is None
    assert scaling_plot([_row("8x8", 64, 0), _row("4x4", 16, 0)]) is None
