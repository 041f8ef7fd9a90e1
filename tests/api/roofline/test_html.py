# SPDX-License-Identifier: Apache-2.0
"""The page says what the figures say: its marks are read back and compared with them."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from html.parser import HTMLParser
from math import log10
from typing import Any
from xml.etree import ElementTree

import pytest

from systolith.api.roofline.comparison import compare
from systolith.api.roofline.figures import roofline_figures
from systolith.api.roofline.html import render_html
from systolith.api.roofline.words import NO_TENSORS
from systolith.spec.arch import PRESETS
from systolith.spec.image import Program
from tests.support.networks import resnet8

SIZE = 500_000
"""Bytes that a page may have."""
UNITS = {"k": 1e3, "M": 1e6, "G": 1e9}


@pytest.fixture
def page(figures: dict[str, Any]) -> str:
    return render_html(figures, "roofline.json")


def chart(page: str, name: str) -> ElementTree.Element:
    """One of the page's charts."""
    found = re.search(rf'<svg [^>]*id="{name}".*?</svg>', page, re.DOTALL)
    assert found is not None, name
    return ElementTree.fromstring(found[0])


def rows(page: str, name: str) -> list[list[str]]:
    """The cells of a table's body, without marks."""
    found = re.search(rf'<table id="{name}".*?</table>', page, re.DOTALL)
    assert found is not None, name
    lines = re.findall(r"<tr.*?</tr>", found[0].split("<tbody>")[1], re.DOTALL)
    return [[re.sub(r"<.*?>", "", cell).strip() for cell in re.findall(r"<td.*?</td>", line)] for line in lines]


def number(text: str) -> float:
    """A tick's label or a cell as a number."""
    text = text.replace(",", "").removesuffix(" %")
    return float(text[:-1]) * UNITS[text[-1]] if text[-1] in UNITS else float(text)


class _Tags(HTMLParser):
    """Which elements are open, to see that each is closed."""

    VOID = ("meta", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_else(page: str) -> None:
    tags = _Tags()
    tags.feed(page)
    assert tags.open == []
    assert not tags.seen & {"script", "link", "img", "iframe", "object", "embed", "base"}
    assert not {name for name in tags.attributes if name in ("src", "href", "srcset") or name.startswith("on")}
    assert re.search(r"https?:|url\(|@import|//[a-z]", page) is None
    assert page.startswith("<!DOCTYPE html>")
    assert len(page.encode()) < SIZE


def test_the_page_is_for_every_eye_and_for_paper(page: str) -> None:
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page
    charts = re.findall(r"<svg .*?</svg>", page, re.DOTALL)
    assert len(charts) == 5
    for one in charts:
        tree = ElementTree.fromstring(one)
        assert tree.get("role") == "img"
        titled = [element.get("id") for element in tree if element.tag in ("title", "desc")]
        assert tree.get("aria-labelledby") == " ".join(map(str, titled))
        assert all(element.text for element in tree.iter() if element.tag in ("title", "desc"))


def test_each_class_has_a_colour_of_its_own(page: str) -> None:
    """In the light, in the dark and on paper."""
    for scheme in re.findall(r":root \{(.*?)\}", page, re.DOTALL):
        colours = dict(re.findall(r"--(useful|idle|weight|memory|drain|other): (#\w+)", scheme))
        assert len(set(colours.values())) == 6


def _scale(tree: ElementTree.Element, horizontal: bool) -> tuple[tuple[float, float], tuple[float, float]]:
    """(value, pixel) of the first and the last tick of an axis, as a reader takes them."""
    lines = [one for one in tree.iter("line") if one.get("class") == "grid"]
    lines = [one for one in lines if (one.get("x1") == one.get("x2")) == horizontal]
    pixels = [float(one.get("x1" if horizontal else "y1", "")) for one in lines]
    labels = {}
    for text in tree.iter("text"):
        if text.get("class") == "soft" and re.fullmatch(r"[\d.,]+[kMG]?", text.text or ""):
            labels[text.get("text-anchor") == "middle", float(text.get("x" if horizontal else "y", ""))] = text.text
    ticks = [(number(labels[horizontal, round(pixel + (0 if horizontal else 4), 2)] or ""), pixel) for pixel in pixels]
    return ticks[0], ticks[-1]


def _read(pixel: float, scale: tuple[tuple[float, float], tuple[float, float]], log: bool = False) -> float:
    (low, start), (high, stop) = scale
    share = (pixel - start) / (stop - start)
    return 10 ** (log10(low) + share * log10(high / low)) if log else low + share * (high - low)


@pytest.mark.parametrize("port", ["weights", "activations"])
def test_points_of_the_roofline_read_back_are_the_figures(figures: dict[str, Any], page: str, port: str) -> None:
    tree = chart(page, f"roofline-{port}")
    across, up = _scale(tree, horizontal=True), _scale(tree, horizontal=False)
    points = {point.get("data-layer"): point for point in tree.iter("circle")}
    layers = [layer for layer in figures["layers"] if layer["macs"]]
    assert list(points) == [str(layer["number"]) for layer in layers]
    for layer in layers:
        point = points[str(layer["number"])]
        intensity = layer["intensity"][port]["macs_per_byte"]
        assert _read(float(point.get("cx", "")), across, log=True) == pytest.approx(intensity, rel=0.01)
        assert _read(float(point.get("cy", "")), up, log=True) == pytest.approx(layer["macs_per_cycle"], rel=0.01)
        assert layer["name"] in (point[0].text or "")


def test_the_roofs_read_back_are_the_figures(figures: dict[str, Any], page: str) -> None:
    for port, key in (("weights", "weight_bytes_per_cycle"), ("activations", "activation_bytes_per_cycle")):
        tree = chart(page, f"roofline-{port}")
        across, up = _scale(tree, horizontal=True), _scale(tree, horizontal=False)
        (roof,) = (one for one in tree.iter("path") if one.get("class") == "roof")
        x0, y0, x1, y1 = map(float, re.findall(r"-?\d+\.\d+", roof.get("d", ""))[:4])
        peak = _read(y1, up, log=True)
        assert peak == pytest.approx(figures["roofs"]["macs_per_cycle"], rel=0.01)
        assert peak / _read(x1, across, log=True) == pytest.approx(figures["roofs"][key], rel=0.02)
        assert _read(y0, up, log=True) / _read(x0, across, log=True) == pytest.approx(figures["roofs"][key], rel=0.02)


def test_the_time_line_read_back_is_the_figures(figures: dict[str, Any], page: str) -> None:
    tree = chart(page, "timeline")
    scale = _scale(tree, horizontal=True)
    bars = {bar.get("data-layer"): list(bar.iter("rect")) for bar in tree.iter("g")}
    assert list(bars) == [str(layer["number"]) for layer in figures["layers"]]
    pixel = _read(1, scale) - _read(0, scale)
    for layer in figures["layers"]:
        parts = bars[str(layer["number"])]
        lengths = {part.get("data-class"): pixel * float(part.get("width", "")) for part in parts}
        expected = {name: value for name, value in layer["cycles_by_cause"].items() if value > 0}
        assert lengths == pytest.approx(expected, abs=0.02 * pixel)
        begins = min(_read(float(part.get("x", "")), scale) for part in parts)
        assert begins == pytest.approx(layer["begins"], abs=0.02 * pixel)


def test_the_waterfall_read_back_sums_to_all_slots(figures: dict[str, Any], page: str) -> None:
    steps = {one.get("data-class"): float(one.get("width", "")) for one in chart(page, "waterfall").iter("rect")}
    whole = steps.pop("all")
    assert sum(steps.values()) == pytest.approx(whole, abs=0.1)
    for name, share in figures["attribution"].items():
        assert steps[name] / whole == pytest.approx(share, abs=1e-4)


def test_the_memory_read_back_is_the_figures(figures: dict[str, Any], page: str) -> None:
    tree = chart(page, "occupancy")
    scale = _scale(tree, horizontal=True)
    pixel = _read(1, scale) - _read(0, scale)
    rects = {one.get("data-tensor"): one for one in tree.iter("rect")}
    assert set(rects) == {tensor["name"] for tensor in figures["occupancy"]}
    for tensor in figures["occupancy"]:
        x, width = (float(rects[tensor["name"]].get(key, "")) for key in ("x", "width"))
        assert _read(x, scale) == pytest.approx(tensor["begins"], abs=0.02 * pixel)
        assert _read(x + width, scale) == pytest.approx(tensor["ends"], abs=0.02 * pixel)


def test_tables_have_every_layer_and_sum_up(figures: dict[str, Any], page: str) -> None:
    names = [layer["name"] for layer in figures["layers"]]
    *layers, total = rows(page, "layers")
    assert [row[1] for row in layers] == names
    assert sum(number(row[6]) for row in layers) == number(total[6]) == figures["cycles"]
    *causes, total = rows(page, "causes")
    assert [row[1] for row in causes] == names
    for row in causes:
        assert sum(map(number, row[2:-1])) == pytest.approx(number(row[-1]), abs=0.6)
    *classes, total = rows(page, "attribution")
    assert sum(number(row[2]) for row in classes) == pytest.approx(100, abs=0.03)
    assert number(total[2]) == 100
    *moved, total = rows(page, "traffic")
    assert sum(number(row[3]) for row in moved) == number(total[3]) == figures["bytes_moved"]


def test_names_cannot_break_the_page(programs: dict[str, Program]) -> None:
    figures = copy.deepcopy(roofline_figures(programs["digits_cnn"]))
    figures["network"] = figures["layers"][0]["name"] = '<script src="x">&'
    page = render_html(figures, "roofline.json")
    assert "<script" not in page
    assert "&lt;script" in page


def test_an_older_build_says_what_is_missing(programs: dict[str, Program]) -> None:
    program = programs["digits_cnn"]
    older = replace(program, notes={"memory": program.notes["memory"]})
    page = render_html(roofline_figures(older), "roofline.json")
    assert NO_TENSORS in page
    assert 'id="occupancy"' not in page
    assert NO_TENSORS not in render_html(roofline_figures(program), "roofline.json")


def test_a_network_without_macs_has_a_page(pooled: Program) -> None:
    page = render_html(roofline_figures(pooled), "roofline.json")
    assert "without MACs: pool0" in page
    assert rows(page, "roofs") == []


@pytest.mark.parametrize("equal", [True, False])
def test_measured_counters_stand_beside_the_model_s(programs: dict[str, Program], equal: bool) -> None:
    figures = roofline_figures(programs["digits_cnn"])
    counters = figures["counters"] | ({} if equal else {"drain": 7})
    measured = {"simulator": "verilator", "input": "stored input 0", "counters": counters, "equal": equal}
    page = render_html(figures | {"measured": measured}, "roofline.json")
    model, rtl = rows(page, "measured")
    assert (model[1:] == rtl[1:]) is equal
    assert ("counters differ" in page) is not equal


def test_other_engines_read_back_are_the_figures(programs: dict[str, Program]) -> None:
    figures = roofline_figures(programs["resnet8"])
    figures["comparison"] = compare(figures, resnet8(), [PRESETS["8x8"], PRESETS["ulx3s-25f"]])
    page = render_html(figures, "roofline.json")
    tree = chart(page, "scaling")
    across, up = _scale(tree, horizontal=True), _scale(tree, horizontal=False)
    for row, point in zip(figures["comparison"], tree.iter("circle"), strict=False):
        assert point.get("data-arch") == row["arch"]
        assert _read(float(point.get("cx", "")), across, log=True) == pytest.approx(row["multipliers"], rel=0.01)
        assert _read(float(point.get("cy", "")), up, log=True) == pytest.approx(row["macs_per_cycle"], rel=0.01)
    own, second, third = rows(page, "comparison")
    assert (own[0], number(own[2])) == ("16x16 (this build)", figures["cycles"])
    assert number(second[2]) > figures["cycles"]
    assert third == ["ulx3s-25f", third[1]]
    assert "has 11776" in third[1]


def test_a_class_of_its_own_gets_a_colour(programs: dict[str, Program]) -> None:
    figures = copy.deepcopy(roofline_figures(programs["digits_cnn"]))
    for part in (figures, *figures["layers"]):
        for key in ("attribution", "cycles_by_cause"):
            part[key]["new_cause"] = part[key].pop("drain")
    page = render_html(figures, "roofline.json")
    assert "new cause" in page
    assert any(one.get("class") == "c-other" for one in chart(page, "timeline").iter("rect"))
