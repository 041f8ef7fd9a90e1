# SPDX-License-Identifier: Apache-2.0
"""``systolith compile``: an ONNX network to a build folder."""

from __future__ import annotations

from pathlib import Path

import click

from systolith.api.flow import compile as compile_file
from systolith.api.report import report_view
from systolith.cli.console import json_option, out, steps, write_json
from systolith.cli.options import arch_option, calib_option, model_argument, model_options
from systolith.cli.quantise_options import Choices, quantise_options
from systolith.compiler.frontend.input_shapes import Shapes
from systolith.spec.arch import load_arch

__all__ = ["command"]


@click.command()
@model_argument
@arch_option()
@calib_option("a float network needs some 50 to 200.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The build folder to write.")
@quantise_options
@model_options
@json_option
def command(
    model: Path,
    arch: str,
    calib: Path | None,
    output: Path,
    choices: Choices,
    shapes: Shapes,
    json_file: Path | None,
) -> None:
    """Compile MODEL, an ONNX file, float or quantised (QDQ, QOperator, QONNX).

    Writes the program image, the engine's Verilog and the report (report.txt, report.json) into the folder given
    with -o. A network that is quantised already keeps its scales and zero points exactly.

    \b
      systolith compile model.onnx --arch 16x16 --calib inputs.npz -o build/model
      systolith compile model.onnx --arch 8x8 --calib inputs.npz --weights auto:4,8 --max-drop 0.5 -o build/model
    """
    chosen = load_arch(arch)
    with steps("compile") as step:
        compiled = compile_file(
            model,
            chosen,
            calib,
            config=choices.config(chosen),
            allowance=choices.allowance,
            labels=choices.labels,
            step=step,
            shapes=shapes,
        )
        folder = compiled.write(output, step)
    figures = folder.report()
    if not write_json(json_file, figures):
        out.print(report_view(figures))
        click.echo(f"\nwritten to {output}; next: systolith verify {output}")
