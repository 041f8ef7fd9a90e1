# SPDX-License-Identifier: Apache-2.0
"""``systolith verify``: reference, ISA model and RTL, bit for bit."""

from __future__ import annotations

from pathlib import Path

import click

from systolith.api.build_folder import BuildFolder
from systolith.api.checks import check
from systolith.api.errors import Mismatch
from systolith.cli.console import json_option, steps, write_json
from systolith.cli.options import simulator_option

__all__ = ["command"]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@simulator_option
@click.option("--samples", type=click.IntRange(0), default=4, show_default=True, help="Stored real inputs to run.")
@click.option("--random", "randoms", type=click.IntRange(0), default=2, show_default=True, help="Random inputs to run.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the random inputs.")
@json_option
def command(folder: Path, simulator: str | None, samples: int, randoms: int, seed: int, json_file: Path | None) -> None:
    """Prove on real and random inputs that the network compiled into FOLDER is computed exactly.

    The integer reference, the ISA model and the RTL must agree in every output element and every store, and the RTL's
    counters with the cycle model. On a difference the first layer, tile, element and cycle are named.
    """
    with steps("verify") as step:
        figures = check(
            BuildFolder(folder), simulator=simulator, samples=samples, randoms=randoms, seed=seed, step=step
        )
    if figures["note"]:
        click.echo(f"verify: {figures['note']}", err=True)
    printed = write_json(json_file, figures)
    if figures["findings"]:
        raise Mismatch("; ".join(figures["findings"]))
    if not printed:
        click.echo(
            f"equal: {figures['real']} real and {figures['random']} random inputs (seed {seed}), "
            f"{figures['elements']:,} output elements and {figures['stores']:,} stores, "
            f"integer reference == ISA model == RTL in {figures['simulator']}"
        )
        click.echo(f"cycles: {figures['cycles']:,} an inference, as the cycle model predicts to the cycle")
