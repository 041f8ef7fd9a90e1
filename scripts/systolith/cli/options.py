# SPDX-License-Identifier: Apache-2.0
"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

__all__ = ["arch_option", "calib_option", "model_argument", "model_options", "simulator_option"]

model_argument = click.argument("model", type=click.Path(path_type=Path))


def arch_option(default: str | None = None) -> Callable[[Any], Any]:
    """``--arch``, required without a default."""
    text = "A preset (see `systolith archs`) or a JSON file."
    return click.option("--arch", default=default, required=default is None, show_default=True, help=text)


def calib_option(more: str) -> Callable[[Any], Any]:
    """``--calib``; ``more`` says what the command needs of it."""
    text = f"Real inputs (.npz or .npy, a batch in front); {more}"
    return click.option("--calib", type=click.Path(path_type=Path), help=text)


simulator_option = click.option(
    "--simulator",
    type=click.Choice(["verilator", "icarus", "amaranth"]),
    help="Which simulator; by default the fastest that is there.",
)


def _shapes(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    # here and not above, so that commands that read no model start without onnx
    from systolith.compiler.frontend.input_shapes import parse_shape

    try:
        return dict(parse_shape(text) for text in texts)
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from error


def _batch(context: click.Context, parameter: click.Parameter, batch: int) -> int:
    if batch != 1:
        problem = f"{batch}; accepted: 1, as the engine computes one sample a run (simulate and run take whole batches)"
        raise click.BadParameter(problem, context, parameter)
    return batch


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of every command that reads an ONNX file: ``shapes`` (sizes by input) and ``batch`` (1)."""
    batch = click.option(
        "--batch",
        type=int,
        default=1,
        show_default=True,
        expose_value=False,
        callback=_batch,
        help="Samples in a run of the engine: 1, nothing else. A batch (axis 0 of the inputs) that the model leaves "
        "free or fixes to another size becomes 1, also in the sizes of its Reshapes; what mixes samples is refused.",
    )
    shapes = click.option(
        "--fix-shape",
        "shapes",
        multiple=True,
        metavar="NAME=1x3x32x32",
        callback=_shapes,
        help="Sizes of an input whose shape is dynamic, batch included; once for each such input.",
    )
    return batch(shapes(command))
