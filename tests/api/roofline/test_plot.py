# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from systolith.api.roofline.figures import roofline_figures
from systolith.api.roofline.plot import FRAME, Plot, roofline_plot
from systolith.spec.image import Program

PORTS = {"weights": "weight_bytes_per_cycle", "activations": "activation_bytes_per_cycle"}


def _plot(figures: dict[str, Any], port: str) -> Plot:
    return roofline_plot(figures, port, figures["roofs"][PORTS[port]])


@pytest.mark.parametrize("port", PORTS)
def test_every_layer_with_macs_is_a_point_inside_the_frame(figures: dict[str, Any], port: str) -> None:
    plot = _plot(figures, port)
    assert [point.figures for point in plot.points] == [layer for layer in figures["layers"] if layer["macs"]]
    assert plot.network is not None
    for point in (*plot.points, plot.network):
        assert FRAME.left < point.x < FRAME.right
        assert FRAME.top < point.y < FRAME.bottom


@pytest.mark.parametrize("port", PORTS)
def test_points_lie_under_the_roofs(figures: dict[str, Any], port: str) -> None:
    """In pixels: below the flat roof, and below the sloped one left of the ridge."""
    plot = _plot(figures, port)
    (x, y), (from_x, from_y) = plot.ridge, plot.slope_from
    for point in plot.points:
        slope = y + (from_y - y) * (x - point.x) / (x - from_x)
        assert point.y >= max(y, slope) - 8
    assert from_x >= FRAME.left - 0.01
    assert from_y <= FRAME.bottom + 0.01


@pytest.mark.parametrize("port", PORTS)
def test_every_layer_is_named_and_no_label_covers_another(figures: dict[str, Any], port: str) -> None:
    plot = _plot(figures, port)
    assert not any(one.box.meets(other.box) for one, other in combinations(plot.labels, 2))
    if figures["network"].startswith("digits"):
        named = ", ".join(label.text for label in plot.labels).split(", ")
        assert sorted(map(int, named)) == [layer["number"] for layer in figures["layers"] if layer["macs"]]


def test_larger_shares_have_larger_points(programs: dict[str, Program]) -> None:
    points = _plot(roofline_figures(programs["digits_cnn"]), "weights").points
    by_share = sorted(points, key=lambda point: point.figures["share"])
    assert [point.radius for point in by_share] == sorted(point.radius for point in points)


def test_a_network_without_macs_has_roofs_only(pooled: Program) -> None:
    plot = _plot(roofline_figures(pooled), "weights")
    assert (plot.points, plot.network, plot.labels) == ([], None, [])
