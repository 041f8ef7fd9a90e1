# SPDX-License-Identifier: Apache-2.0
"""``systolith accuracy``: a network before and after quantisation, and where accuracy is lost."""

from __future__ import annotations

from pathlib import Path

import click

from systolith.api.accuracy_report import measure_accuracy
from systolith.cli.accuracy_view import accuracy_view
from systolith.cli.console import json_option, out, steps, write_json
from systolith.cli.options import arch_option, calib_option, model_argument, model_options
from systolith.cli.quantise_options import Choices, quantise_options
from systolith.compiler.frontend.input_shapes import Shapes
from systolith.spec.arch import load_arch

__all__ = ["command"]


@click.command()
@model_argument
@calib_option("a float network needs some 50 to 200, not those it is judged on.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    required=True,
    help="Inputs to judge on (.npz): x with labels y, or x_test with y_test. Without labels, outputs are compared with "
    "the float network's and, where an autoencoder gives its input back, with the inputs.",
)
@click.option("--data-labels", type=click.Path(path_type=Path), help="Labels of --data in a file of their own (.npy).")
@arch_option("8x8")
@click.option("--layers/--no-layers", default=True, show_default=True, help="Look at each layer and try what helps.")
@quantise_options
@model_options
@json_option
def command(
    model: Path,
    calib: Path | None,
    data: Path,
    data_labels: Path | None,
    arch: str,
    layers: bool,
    choices: Choices,
    shapes: Shapes,
    json_file: Path | None,
) -> None:
    """Say how accurate MODEL is in float and in the engine's integers, and which layers cost how much.

    Shares have their 95 % confidence interval: from 500 samples, half a point is no news. For each layer: the signal to
    noise of its result in the integer network, and what the network's outputs are left with if this layer alone is
    quantised. What could help is tried and its gain measured.

    \b
      systolith accuracy model.onnx --calib inputs.npz --data test.npz
      systolith accuracy model.onnx --calib inputs.npz --data test.npz --weights auto:4,8 --max-drop 1
    """
    chosen = load_arch(arch)
    with steps("accuracy") as step:
        figures = measure_accuracy(
            model,
            chosen,
            calib,
            data,
            labels=data_labels,
            calibration_labels=choices.labels,
            config=choices.config(chosen),
            allowance=choices.allowance,
            layers=layers,
            step=step,
            shapes=shapes,
        )
    if not write_json(json_file, figures):
        out.print(accuracy_view(figures))
