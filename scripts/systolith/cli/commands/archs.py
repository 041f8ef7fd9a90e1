# SPDX-License-Identifier: Apache-2.0
"""``systolith archs``: the presets, or everything about one architecture."""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table

from systolith.api.views import plain_table
from systolith.cli.console import json_option, out, write_json
from systolith.spec.arch import PRESETS, Arch, load_arch
from systolith.spec.encoding import document

__all__ = ["command"]


def _kib(bits: int) -> str:
    return f"{bits / 8 / 1024:,.0f}"


def _row(arch: Arch) -> list[str]:
    return [
        arch.name,
        f"{arch.rows}x{arch.cols}",
        f"{arch.act_bits}/{arch.weight_bits}/{arch.acc_bits}",
        str(arch.lanes),
        str(arch.weight_rows),
        f"{_kib(arch.act_depth * arch.act_bits)}/{_kib(arch.weight_lines * arch.weight_line_bits)}",
        str(arch.acc_depth),
        str(arch.tables),
        f"{arch.hash:08x}",
    ]


def _table(archs: list[Arch]) -> Table:
    caption = (
        "bits: activation, weight, accumulator; WL: weight rows a cycle; KiB: activations, weights; tile: pixels; "
        "tables: of function values."
    )
    table = plain_table(caption=caption)
    for heading in ("name", "array", "bits", "lanes", "WL", "KiB", "tile", "tables", "hash"):
        table.add_column(heading, justify="left" if heading in ("name", "hash") else "right", no_wrap=True)
    for arch in archs:
        table.add_row(*_row(arch))
    return table


@click.command()
@click.argument("name", required=False)
@click.option("--isa", is_flag=True, help="Print the descriptor's field table with the widths of NAME.")
@json_option
def command(name: str | None, isa: bool, json_file: Path | None) -> None:
    """List the architectures known by name, or show NAME (a preset or a JSON file).

    \b
      systolith archs
      systolith archs 8x8 --json my.json     # a file to change and give to --arch
      systolith archs 8x8 --isa
    """
    archs = [load_arch(name)] if name else list(PRESETS.values())
    if isa:
        click.echo("\n".join(document(arch) for arch in archs), nl=False)
        return
    figures = archs[0].to_json() if name else {arch.name: arch.to_json() for arch in archs}
    if not write_json(json_file, figures):
        out.print(_table(archs))
