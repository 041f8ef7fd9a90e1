# SPDX-License-Identifier: Apache-2.0
"""The command ``systolith``: its group, and what happens to errors.

Every expected error becomes one line on stderr and the exit code of its family (:mod:`systolith.cli.exit_codes`).
Results go to stdout, progress and errors to stderr, so that output can be piped.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module, metadata

import click

from .errors import exit_code_of
from .exit_codes import ExitCode

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "check": "everything that keeps a network from being compiled, at once",
    "compile": "an ONNX network to a program, Verilog and a report",
    "simulate": "run a compiled network in an RTL simulator",
    "verify": "prove that reference, ISA model and RTL agree bit for bit",
    "accuracy": "float against integers on labelled data, and which layers cost how much",
    "inspect": "look into a network or a build folder",
    "report": "roofline, time line, memory and utilisation, as a page and as text",
    "verilog": "the engine alone, as one Verilog file",
    "archs": "the architectures known by name",
    "build": "a bitstream for a board",
    "run": "run a compiled network on a board",
    "bench": "benchmarks whose figures anyone can reproduce",
    "demo": "the main job on a bundled network, from end to end",
    "doctor": "which tools are there, and how to get the others",
}
"""Commands in the order of their use, with the line that ``--help`` shows; a command's module has its name."""


class _LazyGroup(click.Group):
    """Imports a command's module only when the command is used, so that ``--help`` is instant."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f"systolith.cli.commands.{cmd_name}"), "command", None)
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), code.meaning) for code in ExitCode])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(metadata.version("systolith"), prog_name="systolith")
def systolith() -> None:
    """Neural accelerators on open hardware: ONNX networks in, verified systolic hardware out.

    Start with `systolith demo`, or with your own network:

    \b
      systolith compile model.onnx --arch 16x16 --calib inputs.npz -o build/model
      systolith verify build/model
      systolith simulate build/model --input x.npy
    """


def main(arguments: list[str] | None = None) -> None:
    """Entry point: run a command and exit with its code."""
    # The matrix products here are small: numpy's threads would wait for each other three times as long as they compute.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        code = systolith.main(args=arguments, prog_name="systolith", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(ExitCode.USAGE)
    except click.Abort:
        sys.exit(130)  # interrupted, as shells report it
    except BrokenPipeError:
        sys.exit(141)  # the reader of the pipe is gone
    except Exception as error:
        code = exit_code_of(error)
        if code is None:
            raise
        click.echo(f"systolith: {error}", err=True)
    sys.exit(code if isinstance(code, int) else ExitCode.OK)
