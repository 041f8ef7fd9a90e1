# SPDX-License-Identifier: Apache-2.0
"""``systolith demo``: the main job, from end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from systolith.api.demo import run_demo
from systolith.api.errors import Mismatch
from systolith.api.report import report_view
from systolith.cli.console import json_option, out, steps, write_json
from systolith.cli.options import simulator_option

__all__ = ["command"]


def _print(figures: dict[str, Any]) -> None:
    accuracy, verdict, folder = figures["accuracy"], figures["verify"], figures["folder"]
    out.print(report_view(figures))
    click.echo(
        f"\naccuracy  float {accuracy['float']:.1%}, quantised {accuracy['quantised']:.1%} "
        f"({accuracy['images']} held-out images); hardware {accuracy['hardware']:.1%} "
        f"(the first {accuracy['hardware_images']})"
    )
    click.echo(
        f"verified  integer reference == ISA model == RTL in {figures['simulator']}: {verdict['elements']} outputs and "
        f"{verdict['stores']:,} stores, bit for bit"
    )
    click.echo(f"cycles    {verdict['cycles']:,} an inference, as the cycle model predicts to the cycle")
    click.echo(f"files     {folder}: engine.v, program.slp, report.txt, report.json")
    click.echo(f"look at   {figures['page']}: roofline, time line, memory and utilisation")
    click.echo(f"next      systolith simulate {folder} --input x.npy, systolith inspect {folder} --tiles")


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("build/demo"),
    show_default=True,
    help="Build folder.",
)
@click.option("--arch", default="8x8", show_default=True, help="The engine.")
@click.option("--images", type=click.IntRange(1, 500), default=100, show_default=True, help="Test images for the RTL.")
@simulator_option
@json_option
def command(output: Path, arch: str, images: int, simulator: str | None, json_file: Path | None) -> None:
    """Take a trained network from ONNX to verified hardware.

    A small convolutional network for handwritten digits is imported, quantised with calibration data, compiled, its
    engine generated as Verilog and simulated on real images, and every result compared with the integer reference.
    """
    with steps("demo") as step:
        figures = run_demo(output, arch=arch, simulator=simulator, images=images, step=step)
    if figures["verify"]["note"]:
        click.echo(f"demo: {figures['verify']['note']}", err=True)
    printed = write_json(json_file, figures)
    findings = figures["verify"]["findings"]
    if findings or not figures["hardware_equals_reference"]:
        raise Mismatch("; ".join(findings) or "a test image's class differs between RTL and integer reference")
    if not printed:
        _print(figures)
