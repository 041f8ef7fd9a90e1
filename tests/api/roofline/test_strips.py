# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from systolith.api.roofline.figures import roofline_figures
from systolith.api.roofline.strips import LEFT, RIGHT, cycle_axis, memory_panels, time_rows, waterfall
from systolith.spec.image import Program

PIXEL = 1e-6


def test_bars_are_to_scale_and_follow_each_other(figures: dict[str, Any]) -> None:
    scale = (RIGHT - LEFT) / figures["cycles"]
    end = LEFT
    for row in time_rows(figures):
        assert row.pieces[0].x == pytest.approx(end)
        for piece in row.pieces:
            assert piece.width == pytest.approx(row.figures["cycles_by_cause"][piece.name] * scale)
            assert piece.x == pytest.approx(end)
            end = piece.x + piece.width
    assert end == pytest.approx(RIGHT)


def test_every_tensor_is_in_its_segment_s_panel(programs: dict[str, Program]) -> None:
    figures = roofline_figures(programs["resnet8"])
    panels = memory_panels(figures)
    assert [panel.segment for panel in panels] == [0, 1]
    shown = [rect.tensor["name"] for panel in panels for rect in panel.rects]
    assert sorted(shown) == sorted(tensor["name"] for tensor in figures["occupancy"])
    for panel in panels:
        assert {rect.tensor["segment"] for rect in panel.rects} == {panel.segment}
        assert min(rect.y for rect in panel.rects) == pytest.approx(panel.top)
        assert max(rect.y + rect.height for rect in panel.rects) == pytest.approx(panel.bottom)
    assert panels[0].bottom < panels[1].top


def test_rectangles_are_to_scale(programs: dict[str, Program]) -> None:
    figures = roofline_figures(programs["digits_cnn"])
    (panel,) = memory_panels(figures)
    axis = cycle_axis(figures["cycles"])
    an_element = {round(rect.height / rect.tensor["elements"], 6) for rect in panel.rects}
    assert len(an_element) == 1
    for rect in panel.rects:
        assert rect.x == pytest.approx(axis.at(rect.tensor["begins"]))
        assert rect.x + rect.width == pytest.approx(axis.at(rect.tensor["ends"]))


def test_names_keep_off_what_is_written_over_them(programs: dict[str, Program]) -> None:
    panels = memory_panels(roofline_figures(programs["resnet8"]))
    covered = 0
    for panel in panels:
        for rect in panel.rects:
            over = [
                other.x
                for other in panel.rects
                if rect.x + PIXEL < other.x < rect.x + rect.width - PIXEL
                and rect.y + PIXEL < other.y + other.height
                and other.y + PIXEL < rect.y + rect.height
            ]
            assert rect.x + rect.clear == pytest.approx(min([rect.x + rect.width, *over]))
            covered += bool(over)
    assert covered == 3


def test_the_waterfall_goes_from_all_slots_to_the_useful_ones(figures: dict[str, Any]) -> None:
    first, *losses, last = waterfall(figures)
    assert (first.name, last.name) == ("all", "useful")
    assert {step.name for step in losses} == set(figures["attribution"]) - {"useful"}
    edge = first.x + first.width
    for step in losses:
        assert step.x + step.width == pytest.approx(edge)
        edge = step.x
    assert last.x + last.width == pytest.approx(edge)
    assert last.value + sum(step.value for step in losses) == pytest.approx(100)
    assert (first.hang, last.hang) == (first.x + first.width, last.x)
