# SPDX-License-Identifier: Apache-2.0
"""A network's answers as a table and as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from systolith.spec.link import Counter

__all__ = ["answer_table", "save_outputs"]

_SHOWN = 20
"""Rows and, of a row, values shown."""


def save_outputs(file: Path | None, answers: Mapping[str, NDArray[Any]]) -> None:
    """Write outputs: the only one as ``.npy``, all by name as ``.npz``."""
    if file is None:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as stream:
        if file.suffix == ".npz":
            np.savez(stream, allow_pickle=False, **answers)
        else:
            np.save(stream, next(iter(answers.values())))


def _summary(values: NDArray[Any]) -> str:
    """A class and its score for short vectors, the first values for others."""
    flat = values.ravel()
    if 1 < len(flat) <= _SHOWN:
        best = int(flat.argmax())
        return f"class {best} ({flat[best]:.3g})"
    return ", ".join(f"{value:.3g}" for value in flat[:4]) + (", ..." if len(flat) > 4 else "")


def answer_table(answers: Mapping[str, NDArray[Any]], counters: Sequence[Mapping[Counter, int]]) -> Table:
    """A row an inference: what came out, and the cycles it took where they are known."""
    table = Table()
    table.add_column("input", justify="right")
    for name in answers:
        table.add_column(name)
    table.add_column("cycles", justify="right")
    count = len(next(iter(answers.values())))
    for index in range(min(count, _SHOWN)):
        cycles = f"{counters[index][Counter.CYCLES]:,}" if index < len(counters) else "-"
        table.add_row(str(index), *(_summary(values[index]) for values in answers.values()), cycles)
    if count > _SHOWN:
        table.caption = f"and {count - _SHOWN} more"
    return table
