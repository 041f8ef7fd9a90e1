# SPDX-License-Identifier: Apache-2.0
"""The roofline plot: MACs a cycle over MACs a byte, under the roofs of the multipliers and of a memory port."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import atan2, degrees, hypot, sqrt
from typing import Any

from .axes import Axis, Tick
from .labels import Box, Label, Spot, place_labels

__all__ = ["FRAME", "Plot", "Point", "roofline_plot"]

FRAME = Box(56, 28, 540, 344)
"""The plot's area in pixels."""
_NAME = 150.0
"""Pixels of the flat roof's name."""


@dataclass(frozen=True)
class Point:
    """A layer, or the whole network, in the plot."""

    figures: Mapping[str, Any]
    x: float
    y: float
    radius: float
    intensity: float
    roof: float

    @property
    def dominant(self) -> str:
        """The class that most of its MAC slots went to."""
        return str(self.figures["dominant"])


@dataclass(frozen=True)
class Plot:
    """Everything a template needs."""

    port: str
    """The key of the port in ``intensity``."""
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    ridge: tuple[float, float]
    """Where the two roofs meet."""
    slope_from: tuple[float, float]
    """Where the sloped roof enters the plot."""
    slope_name: tuple[float, float, float]
    """Middle of the sloped roof's name, and its turn in degrees."""
    points: list[Point]
    labels: list[Label]
    network: Point | None


def _axes(parts: Sequence[Mapping[str, Any]], port: str, peak: float, width: float) -> tuple[Axis, Axis]:
    """Axes that hold all points, the ridge and some of the sloped roof."""
    crossing = peak / width
    xs = [crossing, *(part["intensity"][port]["macs_per_byte"] for part in parts)]
    ys = [part["macs_per_cycle"] for part in parts]
    low_x, high_x = min(xs) / 3, max(*xs, 2 * crossing) * 2.5
    low_y = min([*ys, peak / 10]) / 2
    return Axis(low_x, high_x, FRAME.left, FRAME.right, log=True), Axis(
        low_y, peak * 2, FRAME.bottom, FRAME.top, log=True
    )


def _point(part: Mapping[str, Any], port: str, x: Axis, y: Axis) -> Point:
    intensity = part["intensity"][port]
    where = x.at(intensity["macs_per_byte"]), y.at(part["macs_per_cycle"])
    # the area goes with the share of time, so that what matters is seen first
    radius = 3.5 + 9 * sqrt(part.get("share", 0))
    return Point(part, *where, radius, intensity["macs_per_byte"], intensity["roof_macs_per_cycle"])


def _along(start: tuple[float, float], stop: tuple[float, float]) -> list[Box]:
    """Small boxes on a line, for labels to keep off."""
    steps = max(1, round(hypot(stop[0] - start[0], stop[1] - start[1]) / 8))
    spots = [
        (start[0] + (stop[0] - start[0]) * i / steps, start[1] + (stop[1] - start[1]) * i / steps)
        for i in range(steps + 1)
    ]
    return [Box(x - 4, y - 4, x + 4, y + 4) for x, y in spots]


def _diamond(network: Point | None) -> list[Box]:
    """What the network's point covers."""
    return [] if network is None else [Box(network.x - 9, network.y - 9, network.x + 9, network.y + 9)]


def _slope_name(start: tuple[float, float], stop: tuple[float, float]) -> tuple[float, float, float]:
    """Above the middle of the slope."""
    across, up = stop[0] - start[0], stop[1] - start[1]
    length = hypot(across, up) or 1.0
    x, y = (start[0] + stop[0]) / 2 + 9 * up / length, (start[1] + stop[1]) / 2 - 9 * across / length
    return x, y, degrees(atan2(up, across))


def roofline_plot(figures: Mapping[str, Any], port: str, width: float) -> Plot:
    """The plot for one port.

    Args:
        figures: of :func:`systolith.api.roofline.figures.roofline_figures`.
        port: ``weights`` or ``activations``.
        width: bytes a cycle of the port.
    """
    peak = figures["roofs"]["macs_per_cycle"]
    layers = [layer for layer in figures["layers"] if layer["intensity"][port]["macs_per_byte"] is not None]
    x, y = _axes(layers, port, peak, width)
    points = [_point(layer, port, x, y) for layer in layers]
    spots = [Spot(point.figures["number"], point.x, point.y, point.radius) for point in points]
    start = max(x.low, y.low / width)
    slope_from, ridge = (x.at(start), y.at(start * width)), (x.at(peak / width), y.at(peak))
    name = Box(FRAME.right - _NAME, ridge[1] - 22, FRAME.right, ridge[1])
    network = _point(figures, port, x, y) if layers else None
    blocked = [name, *_diamond(network), *_along(slope_from, ridge), *_along(ridge, (FRAME.right, ridge[1]))]
    return Plot(
        port=port,
        x_ticks=x.ticks(),
        y_ticks=y.ticks(),
        ridge=ridge,
        slope_from=slope_from,
        slope_name=_slope_name(slope_from, ridge),
        points=points,
        labels=place_labels(spots, FRAME, blocked),
        network=network,
    )
