# SPDX-License-Identifier: Apache-2.0
"""``systolith bench``: figures that anyone can reproduce."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from systolith.api.bench_tools import bench_tools
from systolith.cli.console import json_option, out, steps, write_json
from systolith.cli.options import simulator_option

__all__ = ["command"]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or isinstance(value, int) else f"{value:.1f}"


def _table(figures: dict[str, Any]) -> Table:
    title = f"{figures['network']} on {figures['arch']} in {figures['simulator']}, {figures['cores']} cores"
    table = Table(title=title, title_justify="left")
    for heading in ("what", "measured", "CPU s", "target", "note"):
        right = heading in ("measured", "CPU s")
        table.add_column(heading, justify="right" if right else "left", no_wrap=heading != "note")
    for figure in figures["figures"]:
        cpu = "" if figure["cpu"] is None else _number(figure["cpu"])
        measured = f"{_number(figure['value'])} {figure['unit']}"
        table.add_row(figure["name"], measured, cpu, figure["target"], figure["note"])
    return table


@click.group()
def command() -> None:
    """Benchmarks whose figures anyone can reproduce."""


@command.command()
@click.option("--arch", default="16x16", show_default=True, help="The engine to compile for and to simulate.")
@click.option("--large", default="32x32", show_default=True, help="The engine that is only generated.")
@simulator_option
@json_option
def tools(arch: str, large: str, simulator: str | None, json_file: Path | None) -> None:
    """Measure the tool chain, from a float ONNX file to a verified RTL result.

    Nothing is taken from a cache. Targets are for two cores with nothing else to do. The network is resnet8 where the
    environment variable SYSTOLITH_ZOO names a folder with float/resnet8.onnx and data/cifar10_calib.npz, else the
    bundled digits_cnn.
    """
    with steps("bench") as step:
        figures = bench_tools(arch=arch, large=large, simulator=simulator, step=step)
    if not write_json(json_file, figures):
        out.print(_table(figures))
        if figures["remark"]:
            click.echo(figures["remark"])
