# SPDX-License-Identifier: Apache-2.0
"""The plot of a comparison: MACs a cycle over multipliers, under the line on which every multiplier always works."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .axes import Axis, Tick
from .plot import FRAME

__all__ = ["Engine", "Scaling", "scaling_plot"]


@dataclass(frozen=True)
class Engine:
    """An engine in the plot."""

    figures: Mapping[str, Any]
    x: float
    y: float
    own: bool
    """It is the one of the build."""


@dataclass(frozen=True)
class Scaling:
    """Everything a template needs."""

    x_ticks: list[Tick]
    y_ticks: list[Tick]
    ideal: tuple[float, float, float, float]
    """Where the line of full use begins and ends, in pixels."""
    engines: list[Engine]


def scaling_plot(comparison: Sequence[Mapping[str, Any]]) -> Scaling | None:
    """The plot of the engines that the network goes on; None if there is nothing to compare or no MAC."""
    shown = [row for row in comparison if row["refused"] is None and row["macs_per_cycle"] > 0]
    if len(shown) < 2:
        return None
    low, high = min(row["multipliers"] for row in shown) / 2, max(row["multipliers"] for row in shown) * 4
    bottom = min(low, *(row["macs_per_cycle"] / 2 for row in shown))
    x = Axis(low, high, FRAME.left, FRAME.right, log=True)
    y = Axis(bottom, high, FRAME.bottom, FRAME.top, log=True)
    engines = [
        Engine(row, x.at(row["multipliers"]), y.at(row["macs_per_cycle"]), row is comparison[0]) for row in shown
    ]
    return Scaling(x.ticks(), y.ticks(), (x.at(low), y.at(low), x.at(high), y.at(high)), engines)
