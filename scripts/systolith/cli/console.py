# SPDX-License-Identifier: Apache-2.0
"""The terminal: results on stdout, progress on stderr, figures as JSON on request."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

__all__ = ["Advance", "json_option", "out", "steps", "write_json"]

_WIDTH = 110
"""Columns where there is no terminal to ask."""

out = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDTH)
"""Results; the brackets in names are theirs."""

_err = Console(stderr=True, highlight=False)
"""Progress and remarks."""

Advance = Callable[[str, int, int], None]
"""Called with a step's name, the part done and the whole (0: unknown)."""

json_option = click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the figures to this file as JSON ('-': to stdout, instead of the text).",
)


def write_json(file: Path | None, figures: Mapping[str, Any]) -> bool:
    """Write figures where ``--json`` asked for; True if they went to stdout and the text must not."""
    if file is None:
        return False
    text = json.dumps(figures, indent=2) + "\n"
    if str(file) == "-":
        click.echo(text, nl=False)
        return True
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return False


@contextmanager
def steps(title: str) -> Iterator[Advance]:
    """Progress of a command: a live bar on a terminal, one line a step elsewhere."""
    if _err.is_terminal:
        yield from _live_steps(title)
    else:
        yield _PlainSteps(title)


class _PlainSteps:
    """Prints each step's name once."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._last = ""

    def __call__(self, step: str, done: int, total: int) -> None:
        if step != self._last:
            self._last = step
            click.echo(f"{self._title}: {step}", err=True)


def _live_steps(title: str) -> Iterator[Advance]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=_err, transient=True) as progress:
        task = progress.add_task(title, total=None)

        def advance(step: str, done: int, total: int) -> None:
            progress.update(task, description=f"{title}: {step}", completed=done, total=total or None)

        yield advance
