# SPDX-License-Identifier: Apache-2.0
"""``systolith run``: real inputs through a board."""

from __future__ import annotations

from pathlib import Path

import click

from systolith.api.build_folder import BuildFolder
from systolith.api.network import engine_feeds, outputs_of
from systolith.api.report import named
from systolith.boards.host.backend import BoardBackend
from systolith.boards.host.client import BoardClient
from systolith.boards.host.transport import DEFAULT_BAUD, SerialTransport
from systolith.cli.console import json_option, out, steps, write_json
from systolith.cli.outputs import answer_table, save_outputs
from systolith.compiler.calibration_data import load_samples

__all__ = ["command"]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--port", required=True, help="The board's serial port, such as /dev/ttyUSB0.")
@click.option("--baud", type=click.IntRange(1), default=DEFAULT_BAUD, show_default=True, help="Its baud rate.")
@click.option("--input", "input_file", type=click.Path(path_type=Path), required=True, help="Inputs (.npy or .npz).")
@click.option("--output", type=click.Path(path_type=Path), help="Write the network's outputs here (.npy or .npz).")
@click.option("--count", type=click.IntRange(1), help="Only the first so many inputs.")
@json_option
def command(
    folder: Path, port: str, baud: int, input_file: Path, output: Path | None, count: int | None, json_file: Path | None
) -> None:
    """Load the network compiled into FOLDER into a board and run inputs through it.

    The board must carry a bitstream of the same architecture (`systolith build`); its identity is checked first.
    """
    build = BuildFolder(folder)
    program, network = build.program(), build.network()
    inputs = {name: values[:count] for name, values in load_samples(input_file, network).items()}
    feeds = engine_feeds(network, inputs)
    with steps("run") as step, SerialTransport(port, baud) as transport:
        backend = BoardBackend(BoardClient(transport), progress=lambda done, total: step("link", done, total))
        results = backend.run(program, feeds)
    answers = outputs_of(network, results)
    save_outputs(output, answers)
    counters = [result.counters for result in results if result.counters is not None]
    figures = {
        "network": program.name,
        "port": port,
        "counters": [named(values) for values in counters],
        "outputs": {name: values.tolist() for name, values in answers.items()},
    }
    if not write_json(json_file, figures):
        out.print(answer_table(answers, counters))
