# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console

from systolith.api.conformance import Outcome, summary
from systolith.cli.bench_tables import conformance_table, nets_tables, refusals

SHARES = {
    "useful": 0.5,
    "idle": 0.25,
    "weight_load": 0.125,
    "memory_stall": 0.0,
    "drain": 0.0625,
    "non_matrix": 0.0625,
}


def record(net: str, arch: str, **changes: Any) -> dict[str, Any]:
    plain = {
        "net": net,
        "arch": arch,
        "cycles": 1100,
        "macs": 8800,
        "utilisation": 0.5,
        "model_cycles": 1100,
        "exact": True,
        "attribution": SHARES,
        "target_cycles": None,
        "target_utilisation": None,
        "remark": "",
        "weights": "seeded",
    }
    return plain | changes


def figures(dense: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "records": [
            record("fast", "4x4", target_cycles=1100),
            record("slow", "4x4", target_cycles=1000, exact=False, weights="trained"),
            record("near", "4x4", target_utilisation=0.52, exact=None, remark="act_lines 1 -> 2"),
            record("free", "4x4"),
        ],
        "measured_in": "RTL",
        "dense": dense,
    }


def rows(dense: list[dict[str, Any]], table: int, width: int = 80) -> list[list[str]]:
    """The words of a table's lines."""
    console = Console(file=StringIO(), width=width, record=True)
    console.print(list(nets_tables(figures(dense)))[table])
    return [line.split() for line in console.export_text().splitlines() if line.strip()]


def test_targets_met_and_missed() -> None:
    lines = {words[0]: words[1:] for words in rows([], 0) if "4x4" in words[1:2]}
    assert lines["fast"] == ["4x4", "1,100", "1,100", "met", "50.0%", "1,100", "yes"]
    assert lines["slow"] == ["4x4", "1,100", "1,000", "+10.0%", "50.0%", "1,100", "NO"]
    assert lines["near"][:5] == ["4x4", "1,100", "52%", "-2.0%", "50.0%"]
    assert lines["free"] == ["4x4", "1,100", "50.0%", "1,100", "yes"]


def test_remarks_below_the_cycles() -> None:
    text = [" ".join(words) for words in rows([], 0)]
    assert text[0] == "cycles an inference (RTL)"
    assert text[-2:] == ["near on 4x4: memories enlarged, act_lines 1 -> 2", "trained weights: slow"]


def test_shares_in_percent() -> None:
    lines = rows([], 1)
    assert lines[2][:2] != lines[3][:2]
    assert ["fast", "4x4", "8,800", "50.0", "25.0", "12.5", "0.0", "6.2", "6.2"] in lines


def test_equal_dense_layers_are_summed() -> None:
    one = {"net": "fast", "arch": "8x8", "m": 1, "n": 8, "k": 8, "cycles": 10, "scalesim_cycles": 25}
    other = one | {"arch": "4x4", "k": 16}
    lines = rows([one, one, other], 2)
    assert ["fast", "8x8", "2", "1", "8", "8", "20", "50", "2.50"] in lines
    assert ["total", "8x8", "2", "20", "50", "2.50"] in lines
    assert ["fast", "4x4", "1", "1", "8", "16", "10", "25", "2.50"] in lines
    assert len(list(nets_tables(figures([])))) == 2


def test_conformance_by_operator_and_reason() -> None:
    outcomes = [
        Outcome("a", ("Add", "Relu"), "passed"),
        Outcome("b", ("Add",), "refused", "node 'n' (Add): why; accepted: more"),
        Outcome("c", ("Add",), "refused", "node 'm' (Add): why; accepted: more"),
        Outcome("d", ("Relu",), "refused", "not a tensor"),
    ]
    figures = summary(outcomes)
    console = Console(file=StringIO(), width=80, record=True)
    console.print(conformance_table(figures))
    lines = [line.split() for line in console.export_text().splitlines()]
    assert ["Add", "1", "2"] in lines
    assert ["all", "cases", "1", "3", "0", "0"] in lines
    assert refusals(figures) == {"why; accepted: more": ["b", "c"], "not a tensor": ["d"]}
