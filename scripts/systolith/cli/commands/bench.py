# SPDX-License-Identifier: Apache-2.0
"""``systolith bench``: figures that anyone can reproduce."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from systolith.api.bench_nets import ARRAYS, bench_nets
from systolith.api.bench_networks.catalogue import NETWORKS
from systolith.api.bench_physical import bench_physical
from systolith.api.bench_tools import bench_tools
from systolith.api.conformance import conformance as run_conformance
from systolith.api.conformance import summary
from systolith.api.errors import Mismatch
from systolith.boards.physical import DEVICES, Physical
from systolith.boards.resources import total_use
from systolith.cli.bench_tables import conformance_table, nets_tables, refusals
from systolith.cli.console import json_option, out, steps, write_json
from systolith.cli.options import simulator_option

__all__ = ["command"]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or isinstance(value, int) else f"{value:.1f}"


def _table(figures: list[dict[str, Any]], title: str) -> Table:
    table = Table(title=title, title_justify="left")
    for heading in ("what", "measured", "CPU s", "target", "note"):
        right = heading in ("measured", "CPU s")
        table.add_column(heading, justify="right" if right else "left", no_wrap=heading != "note")
    for figure in figures:
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
        title = f"{figures['network']} on {figures['arch']} in {figures['simulator']}, {figures['cores']} cores"
        out.print(_table(figures["figures"], title))
        if figures["remark"]:
            click.echo(figures["remark"])


@command.command()
@click.option("--arch", "archs", multiple=True, default=ARRAYS, show_default=True, help="An array; may be repeated.")
@click.option(
    "--net",
    "nets",
    multiple=True,
    type=click.Choice(list(NETWORKS)),
    metavar="NET",
    help=f"A network; may be repeated; by default all: {', '.join(NETWORKS)}.",
)
@click.option("--no-rtl", is_flag=True, help="Only ask the cycle model: seconds instead of minutes, but no proof.")
@click.option(
    "--scalesim",
    metavar="PYTHON",
    envvar="SYSTOLITH_SCALESIM",
    show_envvar=True,
    help="An interpreter that has the package scalesim, if this one has not.",
)
@simulator_option
@json_option
def nets(
    archs: tuple[str, ...],
    nets: tuple[str, ...],
    no_rtl: bool,
    scalesim: str | None,
    simulator: str | None,
    json_file: Path | None,
) -> None:
    """Measure well-known networks in RTL: cycles, utilisation, and where the rest went.

    \b
      systolith bench nets --net resnet8 --arch 8x8
      systolith bench nets --no-rtl --json build/nets.json

    Each network runs on a sample and on random numbers; integer reference, ISA model and RTL must agree in every store,
    and every descriptor's counters with the cycle model. Weights are seeded random numbers, or trained ones where the
    environment variable SYSTOLITH_ZOO names a folder with float/NAME.onnx; cycles depend on the shapes alone. The dense
    layers are set beside those of the package scalesim.
    """
    with steps("bench") as step:
        figures = bench_nets(
            archs=archs, nets=nets or tuple(NETWORKS), rtl=not no_rtl, simulator=simulator, scalesim=scalesim, step=step
        )
    if not write_json(json_file, figures):
        for table in nets_tables(figures):
            out.print(table, "")
        out.print(_table(figures["figures"], "tools"))
        if figures["remark"]:
            click.echo(figures["remark"])
    findings = [f"{one['net']} on {one['arch']}: {text}" for one in figures["records"] for text in one["findings"]]
    if findings:
        raise Mismatch("; ".join(findings))


def _physical_table(result: Physical) -> Table:
    table = Table(title=f"{result.arch} on {DEVICES[result.device].title}", title_justify="left")
    table.add_column("block")
    kinds = [kind for kind, number in total_use(result.blocks).items() if number]
    for kind in kinds:
        table.add_column(kind.upper(), justify="right")
    rows = result.blocks | {"all, modules apart": total_use(result.blocks)}
    for name, use in rows.items():
        table.add_row(name, *(f"{use[kind]:,}" for kind in kinds))
    if result.routed:
        used = {kind: f"{use['used']:,}/{use['available']:,}" for kind, use in result.routed.items()}
        table.add_row("all, routed", *(used.get(kind, "") for kind in kinds))
    return table


@command.command()
@click.option("--arch", "archs", multiple=True, default=["8x8"], show_default=True, help="An engine; may be repeated.")
@click.option("--device", type=click.Choice(list(DEVICES)), help="By default the iCE40 for archs made for it.")
@click.option("--no-route", is_flag=True, help="Only count cells: minutes less, and the same figures every time.")
@click.option("--seed", default=1, show_default=True, help="Of the placement; Fmax differs by some MHz.")
@json_option
def physical(archs: tuple[str, ...], device: str | None, no_route: bool, seed: int, json_file: Path | None) -> None:
    """Measure the engine alone on an FPGA: Fmax of the routed design, and cells by block.

    The engine is synthesised, placed and routed by the packaged tools, behind registers and without a board's shell.
    Routing takes about five minutes for 8x8, a quarter of an hour for 16x16 and one minute for a 4x4 on the iCE40.
    Cells by block are those of a synthesis that keeps the modules apart; the routed design is optimised as a whole.
    """
    with steps("bench") as step:
        results = bench_physical(archs, device, route=not no_route, seed=seed, step=step)
    if not write_json(json_file, {"engines": [result.to_json() for result in results]}):
        for result in results:
            out.print(_physical_table(result))
            if result.fmax_mhz is not None:
                click.echo(f"{result.fmax_mhz:g} MHz; slowest: {result.critical_path}")


@command.command()
@json_option
def conformance(json_file: Path | None) -> None:
    """Run the onnx package's own backend tests on the importer and the float interpreter.

    \b
      systolith bench conformance
      systolith bench conformance --json build/conformance.json

    Every node case whose operators are all imported runs, and its results are compared. A case is passed, refused with
    a reason, or failed; cases of what is not claimed of an operator (training, arithmetic of integers) stand apart. The
    exit code is 0 only if none failed.
    """
    with steps("bench") as step:
        figures = summary(run_conformance(step))
    if not write_json(json_file, figures):
        out.print(conformance_table(figures))
        for reason, cases in refusals(figures).items():
            click.echo(f"refused ({len(cases)}): {reason}")
        click.echo(f"{figures['passed']} passed, {figures['share']:.1%} of what is claimed")
    failed = [f"{one['case']}: {one['reason']}" for one in figures["outcomes"] if one["verdict"] == "failed"]
    if failed:
        raise Mismatch("; ".join(failed))
