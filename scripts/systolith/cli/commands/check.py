# SPDX-License-Identifier: Apache-2.0
"""``systolith check``: every problem of a network at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from systolith.api.check import check
from systolith.api.check_places import PLACES
from systolith.api.views import plain_table
from systolith.cli.console import json_option, out, steps, write_json
from systolith.cli.errors import exit_code_of
from systolith.cli.options import arch_option, calib_option, model_argument, model_options
from systolith.compiler.frontend.input_shapes import Shapes

__all__ = ["command"]


@click.command()
@model_argument
@arch_option("8x8")
@calib_option("without them, the ranges of a float network come from random ones.")
@model_options
@json_option
def command(model: Path, arch: str, calib: Path | None, shapes: Shapes, json_file: Path | None) -> int:
    """List everything that keeps MODEL, an ONNX file of any dialect, from being compiled.

    Unlike compile, check does not stop at the first problem: each is shown with its node and operator, what would
    be accepted, and the way out. A table says where every operator runs: on the engine, in a table, folded into a
    layer, or on the host after the run. The exit code is 0 only if the network would compile for the architecture,
    and otherwise that of the first problem.

    \b
      systolith check model.onnx --arch 16x16
      systolith check model.onnx --fix-shape image=1x3x224x224 --json problems.json
    """
    with steps("check") as step:
        found = check(model, arch, calib, shapes=shapes, step=step)
    figures = found.figures()
    if not write_json(json_file, figures):
        _show(figures, str(model))
    return int(exit_code_of(found.errors[0]) or 0) if found.errors else 0


def _show(figures: dict[str, Any], model: str) -> None:
    _problems(figures["problems"])
    out.print(_operators(figures["operators"]))
    places = {row["place"] for row in figures["operators"]}
    click.echo("".join(f"{place:10}  {text}\n" for place, text in PLACES.items() if place in places))
    macs, count = figures["macs"], len(figures["problems"])
    click.echo(f"multiply-accumulates  {macs['total']:,}, of these on the engine {macs['share']:.1%}")
    verdict = "compiles" if figures["compiles"] else f"does not compile: {count} problem{'s' * (count > 1)}"
    click.echo(f"{model} {verdict} for arch {figures['arch']}")


def _problems(problems: list[dict[str, Any]]) -> None:
    """A paragraph each; what would be accepted is said once."""
    seen: dict[str, int] = {}
    for number, problem in enumerate(problems, 1):
        where = f"node {problem['node']!r} ({problem['op']}): " if problem["op"] else ""
        first = seen.setdefault(problem["accepted"], number)
        accepted = problem["accepted"] if first == number else f"as in {first}"
        out.print(f"{number}. {where}{problem['problem'] if where else problem['text']}", soft_wrap=True)
        if where and problem["accepted"]:
            out.print(f"   accepted: {accepted}", soft_wrap=True)
        if where and problem["advice"]:
            out.print(f"   way out: {problem['advice']}", soft_wrap=True)
    if problems:
        click.echo()


def _operators(rows: list[dict[str, Any]]) -> Table:
    table = plain_table()
    for heading in ("operator", "runs", "nodes", "MACs"):
        table.add_column(heading, justify="left" if heading in ("operator", "runs") else "right")
    for row in rows:
        table.add_row(row["op"], row["place"], str(row["nodes"]), f"{row['macs']:,}" if row["macs"] else "")
    return table
