# SPDX-License-Identifier: Apache-2.0
"""The design after synthesis for iCE40, as Verilog of the vendor's cells, on the same bench.

Yosys runs as a process of its own: its library prints, and ends the process where it refuses.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from .cache import digest
from .design import Design
from .errors import SimulationError, SimulatorMissing

__all__ = ["netlist_design", "synthesise"]

_YOSYS = (
    "import sys; from pyosys import libyosys as ys; design = ys.Design(); "
    "[ys.run_pass(command, design) for command in sys.argv[1:]]"
)

_CELLS = Path("share") / "ice40" / "cells_sim.v"
"""Behaviour of the cells, in the Yosys package."""

_DEFINE = "`define NO_ICE40_DEFAULT_ASSIGNMENTS\n"
"""Default values of ports are SystemVerilog, which Icarus refuses; the netlist connects what matters."""


def _package() -> Path:
    spec = importlib.util.find_spec("pyosys")
    if spec is None or not spec.submodule_search_locations:
        raise SimulatorMissing("Yosys is not installed; get it by: pip install 'systolith[synth]'")
    return Path(next(iter(spec.submodule_search_locations)))


def synthesise(verilog: str, top: str) -> str:
    """Verilog to a flat netlist of iCE40 cells, the cells' models included.

    Raises:
        SimulatorMissing: Yosys is not installed.
        SimulationError: Yosys refused the design; the message shows the end of its output.
    """
    cells = _package() / _CELLS
    with tempfile.TemporaryDirectory(prefix="systolith-") as name:
        source, netlist = Path(name) / "source.v", Path(name) / "netlist.v"
        source.write_text(verilog)
        # never -dsp: its pass takes SB_MAC16 that the design instantiates for its own and rewrites their modes
        commands = [f"read_verilog {source}", f"synth_ice40 -top {top}", f"write_verilog -noattr {netlist}"]
        process = subprocess.run(
            [sys.executable, "-c", _YOSYS, *commands],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if process.returncode or not netlist.is_file():
            tail = "\n".join(process.stdout.splitlines()[-20:])
            raise SimulationError(f"yosys failed with exit code {process.returncode}:\n{tail}")
        return _DEFINE + cells.read_text() + netlist.read_text()


def netlist_design(design: Design) -> Design:
    """``design`` after synthesis; it has no Amaranth component any more."""
    return replace(
        design,
        key=digest(["ice40", design.key, metadata.version("pyosys"), Path(__file__).read_text()]),
        verilog=lambda: synthesise(design.verilog(), design.top),
        component=None,
    )
