# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
import re
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from systolith.api.roofline.comparison import compare
from systolith.api.roofline.figures import roofline_figures
from systolith.api.roofline.text import roofline_view
from systolith.api.roofline.words import NO_TENSORS
from systolith.spec.arch import PRESETS
from systolith.spec.image import Program
from tests.support.networks import resnet8


def _text(figures: dict[str, Any], width: int = 80) -> str:
    console = Console(file=StringIO(), width=width, record=True, highlight=False, markup=False)
    console.print(roofline_view(figures))
    return console.export_text()


def _section(text: str, title: str) -> str:
    found = re.search(rf"^{title}.*?(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[0]


@pytest.mark.parametrize("width", [80, 110])
def test_tables_fit_and_numbers_are_whole(figures: dict[str, Any], width: int) -> None:
    figures = copy.deepcopy(figures)
    for layer in figures["layers"]:
        layer["name"] = "a/very/long/name/of/the/exporter/" + layer["name"] + "[x]"
    text = _text(figures, width)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    assert re.search(r"[\d.,]…|…\s", text) is None
    assert "\x1b" not in text


def test_every_layer_is_in_every_table_of_layers(figures: dict[str, Any]) -> None:
    text = _text(figures)
    for title in ("layers", "cycles by cause", "time line"):
        section = _section(text, title)
        numbers = [int(one) for one in re.findall(r"^ (\d+) ", section, re.MULTILINE)]
        assert numbers == [layer["number"] for layer in figures["layers"]], title


def test_the_text_has_the_figures(figures: dict[str, Any]) -> None:
    text = _text(figures)
    assert f"{figures['cycles']:,} cycles, {figures['macs']:,} MACs" in text
    assert f"hash {figures['arch']['hash']}" in text
    shares = re.findall(r"([\d.]+) %", _section(text, r"MAC slots"))
    *parts, total = map(float, shares)
    assert sum(parts) == pytest.approx(total, abs=0.03)
    assert total == 100
    assert f"{figures['traffic']['windows']['bytes']:,.0f}" in _section(text, "bytes moved")


def test_bars_of_the_time_line_follow_each_other(figures: dict[str, Any]) -> None:
    bars = [line for line in _section(_text(figures), "time line").splitlines() if "█" in line or "▏" in line]
    begins = [min(line.find(mark) for mark in "█▏" if mark in line) for line in bars]
    assert len(bars) == len(figures["layers"])
    assert begins == sorted(begins)


def test_an_older_build_says_what_is_missing(programs: dict[str, Program]) -> None:
    program = programs["digits_cnn"]
    text = _text(roofline_figures(replace(program, notes={"memory": program.notes["memory"]})), 200)
    assert NO_TENSORS in text


def test_measured_counters_stand_beside_the_model_s(programs: dict[str, Program]) -> None:
    figures = roofline_figures(programs["digits_cnn"])
    counters = figures["counters"] | {"drain": 7}
    measured = {"simulator": "icarus", "input": "stored input 0", "counters": counters}
    text = _text(figures | {"measured": measured})
    assert re.search(rf"drain +{figures['counters']['drain']} +7 +differs", text)
    assert text.count(" equal") == len(counters) - 1


def test_other_engines_are_listed_with_the_build_s_own_first(programs: dict[str, Program]) -> None:
    figures = roofline_figures(programs["resnet8"])
    figures["comparison"] = compare(figures, resnet8(), [PRESETS["8x8"], PRESETS["ulx3s-25f"]])
    section = _section(_text(figures), "the same network on other engines")
    assert [line.split()[0] for line in section.splitlines()[4:6]] == ["16x16", "8x8"]
    assert f"{figures['comparison'][1]['cycles']:,}" in section
    assert "ulx3s-25f: weights memory" in _text(figures)
    assert max(map(len, _text(figures).splitlines())) <= 80


def test_a_network_without_macs(pooled: Program) -> None:
    assert "0 MACs" in _text(roofline_figures(pooled))
