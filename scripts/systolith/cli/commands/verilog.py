# SPDX-License-Identifier: Apache-2.0
"""``systolith verilog``: the engine alone."""

from __future__ import annotations

from pathlib import Path

import click

from systolith.cli.console import steps
from systolith.cli.options import arch_option
from systolith.hdl.emit import emit_verilog
from systolith.hdl.target import Target
from systolith.spec.arch import load_arch

__all__ = ["command"]


@click.command()
@arch_option()
@click.option(
    "--target",
    type=click.Choice([target.value for target in Target]),
    default=Target.GENERIC.value,
    show_default=True,
    help="Generic, for any tool and every simulator, or with a family's primitives.",
)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="The file; else stdout.")
def command(arch: str, target: str, output: Path | None) -> None:
    """Write the engine of an architecture as one Verilog file.

    Its header comment documents the ports, clock and reset, and the link protocol with the memory map.
    """
    with steps("verilog") as step:
        step("generate", 0, 0)
        text = emit_verilog(load_arch(arch), target=Target(target))
    if output is None:
        click.echo(text, nl=False)
    else:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text)
