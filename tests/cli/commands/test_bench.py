# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from systolith.cli.commands import bench
from tests.support.command import run

FIGURES: dict[str, Any] = {
    "network": "small",
    "arch": "tiny",
    "simulator": "amaranth",
    "cores": 2,
    "remark": "measured on something else",
    "figures": [
        {"name": "compile", "value": 1.25, "unit": "s", "cpu": 0.5, "target": "< 5 s", "note": ""},
        {"name": "lines", "value": 7, "unit": "lines", "cpu": None, "target": "", "note": "few"},
    ],
    "modules": {},
}


def test_table_and_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "bench_tools", lambda **options: FIGURES)
    lines = run("bench", "tools").out.splitlines()
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    assert rows == [["compile", "1.2 s", "0.5", "< 5 s", ""], ["lines", "7 lines", "", "", "few"]]
    assert lines[-1] == "measured on something else"
    assert '"cores": 2' in run("bench", "tools", "--json", "-").out


def test_options_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setattr(bench, "bench_tools", lambda **options: seen.update(options) or FIGURES)
    run("bench", "tools", "--arch", "4x4", "--large", "8x8", "--simulator", "icarus")
    assert {key: seen[key] for key in ("arch", "large", "simulator")} == {
        "arch": "4x4",
        "large": "8x8",
        "simulator": "icarus",
    }
