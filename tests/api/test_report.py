# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
from io import StringIO

import pytest
from rich.console import Console

from systolith.api.build_folder import BuildFolder
from systolith.api.report import attribution, build_report, render_report, report_view
from systolith.api.views import graph_table, memory_map_table, tile_table
from systolith.compiler.model import predict
from tests.support.builds import SmallBuild


def test_figures_add_up(small: SmallBuild) -> None:
    build = BuildFolder(small.folder)
    figures = build_report(build.program(), build.network())
    assert figures["macs"] == sum(layer["macs"] for layer in figures["layers"]) == 16 * 4 * 18 + 3 * 16
    assert figures["cycles"] >= sum(layer["cycles"] for layer in figures["layers"]) > 0
    assert sum(figures["attribution"].values()) == pytest.approx(1)
    assert [layer["weight_bits"] for layer in figures["layers"]] == [8, 0, 8]
    assert figures["inputs"][0]["shape"] == [1, 2, 4, 4]


def test_shares_of_slots(small: SmallBuild) -> None:
    program = BuildFolder(small.folder).program()
    shares = attribution(predict(program).total, program.arch)
    assert all(0 <= share <= 1 for share in shares.values())


def _width(text: str) -> int:
    return max(len(line.rstrip()) for line in text.splitlines())


@pytest.mark.parametrize("width", [80, 110])
def test_tables_keep_their_rows_on_one_line(small: SmallBuild, width: int) -> None:
    build = BuildFolder(small.folder)
    figures = copy.deepcopy(build.report())
    for layer in figures["layers"]:
        layer["name"] = "a/very/long/name/of/the/exporter/" + layer["name"] + "[x]"
    console = Console(file=StringIO(), width=width, record=True, highlight=False, markup=False)
    console.print(report_view(figures))
    text = console.export_text()
    assert _width(text) <= width
    rows = [line for line in text.splitlines() if line.startswith("│")]
    assert len(rows) == len(figures["layers"]) + 1
    assert all("…" not in row.split("│")[-3] for row in rows)


def test_text_is_plain(small: SmallBuild) -> None:
    text = render_report(BuildFolder(small.folder).report())
    assert "\x1b" not in text
    assert _width(text) <= 110


@pytest.mark.parametrize("width", [80, 110])
def test_views_fit(small: SmallBuild, width: int) -> None:
    build = BuildFolder(small.folder)
    program, network = build.program(), build.network()
    for table in (graph_table(network), tile_table(program), memory_map_table(program)):
        console = Console(file=StringIO(), width=width, record=True, highlight=False, markup=False)
        console.print(table)
        text = console.export_text()
        assert _width(text) <= width
        assert "…" not in text
