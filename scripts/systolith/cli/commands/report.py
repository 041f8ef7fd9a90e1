# SPDX-License-Identifier: Apache-2.0
"""``systolith report``: where a compiled network stands against the engine's roofs."""

from __future__ import annotations

from pathlib import Path

import click

from systolith.api.build_folder import BuildFolder
from systolith.api.errors import Mismatch
from systolith.api.roofline.text import roofline_view
from systolith.api.roofline.write import report_figures, report_files, write_report
from systolith.cli.console import json_option, out, steps, write_json
from systolith.cli.options import simulator_option
from systolith.spec.arch import load_arch

__all__ = ["command"]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The page to write, with the figures as JSON beside it; by default FOLDER/roofline.html.",
)
@click.option(
    "--clock",
    type=click.FloatRange(min=0, min_open=True),
    metavar="MHZ",
    help="The clock that times are given for; without it 100 MHz, for reference.",
)
@click.option(
    "--compare",
    "others",
    multiple=True,
    metavar="ARCH",
    help="Also compile the network for this preset or JSON file, and compare; may be given more than once.",
)
@click.option("--measure", is_flag=True, help="Run one inference in RTL and hold its counters to the cycle model's.")
@simulator_option
@json_option
def command(
    folder: Path,
    output: Path | None,
    clock: float | None,
    others: tuple[str, ...],
    measure: bool,
    simulator: str | None,
    json_file: Path | None,
) -> None:
    """Report on the network compiled into FOLDER: roofline, time line, memory, utilisation, bytes moved.

    Writes one HTML file that needs nothing else, the same figures as JSON beside it, and prints them as tables. All
    cycles are the cycle model's, which are the engine's; --measure shows that they are, and exits with 7 if not.

    \b
      systolith report build/model
      systolith report build/model -o report.html --clock 80 --measure
      systolith report build/model --compare 8x8 --compare my_arch.json
    """
    build, archs = BuildFolder(folder), [load_arch(name) for name in others]
    page, beside = report_files(build, output)
    with steps("report") as step:
        figures = report_figures(build, clock=clock, archs=archs, rtl=measure, simulator=simulator, step=step)
    measured = figures["measured"] or {"note": "", "differences": []}
    if measured["note"]:
        click.echo(f"report: {measured['note']}", err=True)
    write_report(figures, page, beside)
    if not write_json(json_file, figures):
        out.print(roofline_view(figures))
        click.echo(f"\nwritten to {page} and {beside}")
    if measured["differences"]:
        raise Mismatch("; ".join(measured["differences"]))
