# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from systolith.cli.outputs import answer_table, save_outputs
from systolith.spec.link import Counter

ANSWERS = {"scores": np.eye(3) / 2, "map": np.arange(90.0).reshape(3, 30)}


def _rows(*arguments: object) -> list[list[str]]:
    console = Console(file=StringIO(), width=100, record=True)
    console.print(answer_table(*arguments))  # type: ignore[arg-type]
    lines = console.export_text().splitlines()
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]


def test_a_row_an_inference() -> None:
    counters = [dict.fromkeys(Counter, 1234)] * 2
    rows = _rows(ANSWERS, counters)
    assert rows[1] == ["1", "class 1 (0.5)", "30, 31, 32, 33, ...", "1,234"]
    assert [row[-1] for row in rows] == ["1,234", "1,234", "-"]


def test_many_inferences_are_cut_short() -> None:
    assert len(_rows({"y": np.zeros((50, 1))}, [])) == 20


@pytest.mark.parametrize("name", ["y.npy", "y", "y.npz"])
def test_files(tmp_path: Path, name: str) -> None:
    save_outputs(tmp_path / name, ANSWERS)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    content = np.load(tmp_path / name)
    if name.endswith("z"):
        assert set(content.files) == set(ANSWERS)
        content = content["scores"]
    np.testing.assert_array_equal(content, ANSWERS["scores"])


def test_no_file() -> None:
    save_outputs(None, ANSWERS)
