# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from systolith.api.bench_nets import bench_nets
from systolith.compiler.frontend.coverage import coverage
from tools.write_docs import DOCS, bench_table, operator_table, replace_generated


def test_what_stands_between_the_markers_is_replaced() -> None:
    text = "a\n<!-- generated: one -->\nold\n<!-- end -->\nb\n<!-- generated: two -->\nkept\n<!-- end -->\n"
    assert replace_generated(text, "one", "new\n") == text.replace("old", "new")


def record(arch: str, cycles: int, **changes: Any) -> dict[str, Any]:
    plain = {"net": "net", "arch": arch, "macs": 1000, "cycles": cycles, "utilisation": 0.5}
    return plain | {"target_cycles": None, "target_utilisation": None} | changes


def test_cells_tell_what_is_missed() -> None:
    records = [
        record("4x4", 1100, target_cycles=1000),
        record("8x8", 1000, target_cycles=1000, net="other"),
        record("16x16", 10, target_utilisation=0.6),
    ]
    assert bench_table(records).splitlines() == [
        "| benchmark | MACs | 4x4 | 8x8 | 16x16 |",
        "|---|---:|---:|---:|---:|",
        "| net | 1,000 | 1,100 (50.0 %), +10.0 % | | 10 (50.0 %), -10.0 % |",
        "| other | 1,000 | | 1,000 (50.0 %) | |",
    ]


def test_the_table_of_operators_is_current() -> None:
    """``python scripts/tools/write_docs.py`` writes it."""
    text = (DOCS / "operators.md").read_text()
    assert text == replace_generated(text, "operators", operator_table(coverage()))
    assert len(text.splitlines()) > 100


@pytest.mark.slow
def test_the_benchmark_s_table_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    """``python scripts/tools/write_docs.py`` writes it."""
    monkeypatch.delenv("SYSTOLITH_ZOO", raising=False)
    text = (DOCS / "figures.md").read_text()
    assert replace_generated(text, "bench", bench_table(bench_nets(rtl=False)["records"])) == text
