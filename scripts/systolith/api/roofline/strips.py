# SPDX-License-Identifier: Apache-2.0
"""Charts over the cycles of a run, on one scale: the layers' time line and the tensors' places in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from .axes import Axis, Tick

__all__ = ["LEFT", "RIGHT", "Panel", "Piece", "Rect", "Row", "cycle_axis", "memory_panels", "time_rows", "waterfall"]

LEFT, RIGHT = 170.0, 1000.0
"""Pixels of the first and the last cycle."""
ROW = 22.0
"""Pixels of a row of the time line."""
_PANEL, _GAP = 190.0, 34.0
"""Pixels of a memory panel, and between two."""


@dataclass(frozen=True)
class Piece:
    """A part of a bar: its class, what it stands for, its pixels."""

    name: str
    value: float
    x: float
    width: float

    @property
    def hang(self) -> float:
        """Where the next step of a waterfall hangs: the left edge, of all slots the right one."""
        return self.x + self.width if self.name == "all" else self.x


@dataclass(frozen=True)
class Row:
    """A bar with its pieces."""

    figures: Mapping[str, Any]
    y: float
    pieces: list[Piece]


@dataclass(frozen=True)
class Rect:
    """A tensor in a memory panel."""

    tensor: Mapping[str, Any]
    x: float
    y: float
    width: float
    height: float
    clear: float
    """Pixels from its left edge that no later tensor covers, for its name."""


@dataclass(frozen=True)
class Panel:
    """A segment of the activation memory: its tensors and its ticks."""

    segment: int
    top: float
    bottom: float
    ticks: list[Tick]
    rects: list[Rect]


def cycle_axis(cycles: int) -> Axis:
    """The common scale."""
    return Axis(0, max(1, cycles), LEFT, RIGHT)


def _pieces(values: Mapping[str, float], begin: float, axis: Axis) -> list[Piece]:
    ends = list(accumulate(values.values(), initial=begin))
    spans = zip(values.items(), ends, ends[1:], strict=False)
    return [Piece(name, value, axis.at(a), axis.at(b) - axis.at(a)) for (name, value), a, b in spans if value > 0]


def time_rows(figures: Mapping[str, Any]) -> list[Row]:
    """A row a layer: its cycles by cause, where they lie in the run."""
    axis = cycle_axis(figures["cycles"])
    return [
        Row(layer, index * ROW, _pieces(layer["cycles_by_cause"], layer["begins"], axis))
        for index, layer in enumerate(figures["layers"])
    ]


def _uncovered(tensor: Mapping[str, Any], tensors: Sequence[Mapping[str, Any]]) -> int:
    """The first cycle in which a tensor written later takes some of this one's place."""
    low, high = tensor["base"], tensor["base"] + tensor["elements"]
    over = [
        other["begins"]
        for other in tensors
        if tensor["begins"] < other["begins"] and other["base"] < high and low < other["base"] + other["elements"]
    ]
    return int(min([tensor["ends"], *over]))


def _rect(tensor: Mapping[str, Any], tensors: Sequence[Mapping[str, Any]], x: Axis, y: Axis) -> Rect:
    left, top = x.at(tensor["begins"]), y.at(tensor["base"] + tensor["elements"])
    width, height = x.at(tensor["ends"]) - left, y.at(tensor["base"]) - top
    return Rect(tensor, left, top, width, height, x.at(_uncovered(tensor, tensors)) - left)


def _panel(segment: int, tensors: Sequence[Mapping[str, Any]], index: int, axis: Axis) -> Panel:
    top = index * (_PANEL + _GAP)
    low = min(tensor["base"] for tensor in tensors)
    high = max(tensor["base"] + tensor["elements"] for tensor in tensors)
    y = Axis(low, high, top + _PANEL, top)
    ordered = sorted(tensors, key=lambda tensor: tensor["begins"])
    return Panel(segment, top, top + _PANEL, y.ticks(5), [_rect(tensor, tensors, axis, y) for tensor in ordered])


def memory_panels(figures: Mapping[str, Any]) -> list[Panel]:
    """A panel for each segment in use, each from its lowest to its highest address in use."""
    tensors, axis = figures["occupancy"] or [], cycle_axis(figures["cycles"])
    segments = sorted({tensor["segment"] for tensor in tensors})
    return [
        _panel(segment, [one for one in tensors if one["segment"] == segment], index, axis)
        for index, segment in enumerate(segments)
    ]


def waterfall(figures: Mapping[str, Any]) -> list[Piece]:
    """From all MAC slots down to the useful ones, a step for each class of loss, in percent."""
    axis = Axis(0, 100, LEFT, RIGHT - 90)
    steps, left = [Piece("all", 100.0, axis.at(0), axis.at(100) - axis.at(0))], 100.0
    for name, share in figures["attribution"].items():
        if name != "useful":
            left -= 100 * share
            steps.append(Piece(name, 100 * share, axis.at(left), axis.at(left + 100 * share) - axis.at(left)))
    useful = 100 * figures["attribution"]["useful"]
    return [*steps, Piece("useful", useful, axis.at(0), axis.at(useful) - axis.at(0))]
