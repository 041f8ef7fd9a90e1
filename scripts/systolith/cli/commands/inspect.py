# SPDX-License-Identifier: Apache-2.0
"""``systolith inspect``: what is in a network or a build folder."""

from __future__ import annotations

from pathlib import Path

import click

from systolith.api.build_folder import BuildFolder
from systolith.api.views import graph_table, memory_map_table, program_text, tile_table
from systolith.cli.console import out
from systolith.cli.options import model_options
from systolith.compiler.frontend.input_shapes import Shapes
from systolith.compiler.pipeline import import_network

__all__ = ["command"]


@click.command()
@click.argument("what", type=click.Path(path_type=Path))
@click.option("--graph", is_flag=True, help="The layers with shapes and quantisation (the default).")
@click.option("--tiles", is_flag=True, help="The tiles of each layer and the cycles of each.")
@click.option("--memory", is_flag=True, help="Where tensors lie in the activation memory.")
@click.option("--disassemble", is_flag=True, help="The program's descriptors in full.")
@model_options
def command(what: Path, graph: bool, tiles: bool, memory: bool, disassemble: bool, shapes: Shapes) -> None:
    """Look into WHAT: an ONNX file, as imported, or a build folder.

    \b
      systolith inspect model.onnx
      systolith inspect build/model --tiles --disassemble
    """
    if not what.is_dir():
        if tiles or memory or disassemble:
            raise click.UsageError("--tiles, --memory and --disassemble need a build folder; compile the network first")
        out.print(graph_table(import_network(what, shapes=shapes)))
        return
    if shapes:
        raise click.UsageError("--fix-shape needs an ONNX file; the shapes of a build folder are fixed")
    build = BuildFolder(what)
    program = build.program()
    if graph or not (tiles or memory or disassemble):
        out.print(graph_table(build.network()))
    if tiles:
        out.print(tile_table(program))
    if memory:
        out.print(memory_map_table(program))
    if disassemble:
        click.echo(program_text(program))
