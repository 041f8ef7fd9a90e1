# SPDX-License-Identifier: Apache-2.0
"""``systolith simulate``: real inputs through the RTL."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from systolith.api.build_folder import BuildFolder
from systolith.api.network import engine_feeds, outputs_of
from systolith.api.report import attribution, counters_table, named
from systolith.cli.console import json_option, out, steps, write_json
from systolith.cli.options import simulator_option
from systolith.cli.outputs import answer_table, save_outputs
from systolith.compiler.calibration_data import load_samples
from systolith.testbench.runner.backend import RtlSimulator

__all__ = ["command"]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--input",
    "input_file",
    type=click.Path(path_type=Path),
    required=True,
    help="Inputs (.npy or .npz), a batch in front.",
)
@click.option("--output", type=click.Path(path_type=Path), help="Write the network's outputs here (.npy or .npz).")
@click.option("--count", type=click.IntRange(1), help="Only the first so many inputs.")
@simulator_option
@click.option(
    "--waves",
    type=click.Path(path_type=Path),
    help="Write a waveform; the suffix becomes .vcd (Verilator, Amaranth) or .fst (Icarus).",
)
@json_option
def command(
    folder: Path,
    input_file: Path,
    output: Path | None,
    count: int | None,
    simulator: str | None,
    waves: Path | None,
    json_file: Path | None,
) -> None:
    """Run inputs through the RTL of the network compiled into FOLDER.

    \b
      systolith simulate build/model --input x.npy --output y.npy
      systolith simulate build/model --input x.npy --count 1 --waves run.vcd
    """
    build = BuildFolder(folder)
    program, network = build.program(), build.network()
    inputs = {name: values[:count] for name, values in load_samples(input_file, network).items()}
    feeds = engine_feeds(network, inputs)
    with steps("simulate") as step:
        rtl = RtlSimulator(
            program.arch,
            simulator=simulator,
            waves=waves,
            progress=lambda done, total: step(f"inference in {rtl.simulator}", done, total),
        )
        if rtl.note:
            click.echo(f"simulate: {rtl.note}", err=True)
        step(f"build for {rtl.simulator} (kept for next time)", 0, 0)
        rtl.prepare()
        results = rtl.run(program, feeds)
    if rtl.waves:
        click.echo(f"simulate: waveform in {rtl.waves}", err=True)
    answers = outputs_of(network, results)
    save_outputs(output, answers)
    counters = [result.counters for result in results if result.counters is not None]
    figures = {
        "network": program.name,
        "arch": program.arch.name,
        "simulator": rtl.simulator,
        "inferences": [
            {"counters": named(values), "attribution": attribution(values, program.arch)} for values in counters
        ],
        "outputs": {name: np.asarray(values).tolist() for name, values in answers.items()},
    }
    if write_json(json_file, figures):
        return
    out.print(answer_table(answers, counters))
    out.print(counters_table(attribution(counters[0], program.arch), "MAC slots of the first inference"))
