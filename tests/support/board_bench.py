# SPDX-License-Identifier: Apache-2.0
"""Launches the board bench: a complete board top in a simulator, the real client at its pins."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.back import verilog
from cocotb_tools.runner import get_runner
from numpy.typing import NDArray

from systolith.boards.shell.shell import Shell
from systolith.hdl.engine import Engine
from systolith.spec.arch import Arch
from systolith.spec.image import Program, save_program
from systolith.testbench.job import JOB_VARIABLE
from systolith.testbench.runner.build import Build, build
from systolith.testbench.runner.cache import digest

__all__ = ["DIVISOR", "GAP_BITS", "board_build", "run_client"]

DIVISOR = 4
"""Clock cycles per bit: the fastest line the shell can have, to keep the simulation short."""

GAP_BITS = 64

_TOP = "board_top"

Ints = NDArray[np.int64]


def _verilog(arch: Arch) -> str:
    shell = Shell(engine=Engine(arch=arch), divisor=DIVISOR, gap_bits=GAP_BITS)
    return str(verilog.convert(shell, name=_TOP, emit_src=False))


def board_build(arch: Arch, simulator: str, cache: Path) -> Build:
    """The board top around the engine of ``arch``, built for a simulator."""
    text = _verilog(arch)
    return build(simulator, digest([text]), _TOP, lambda: text, cache=cache)


def run_client(
    top: Build, program: Program, feeds: Sequence[Mapping[str, Ints]], folder: Path
) -> list[dict[str, Ints]]:
    """The outputs (and ``cycles``) that the client got for each of ``feeds``; a failed bench raises."""
    save_program(program, folder / "program.slp")
    arrays: dict[str, Any] = {
        f"{name}.{index}": values for index, feed in enumerate(feeds) for name, values in feed.items()
    }
    np.savez(folder / "inputs.npz", **arrays)
    (folder / "board.json").write_text(json.dumps({"divisor": DIVISOR, "gap_bits": GAP_BITS}))
    get_runner(top.simulator).test(
        test_module="systolith.testbench.bench_board",
        hdl_toplevel=top.top,
        hdl_toplevel_lang="verilog",
        build_dir=top.folder,
        test_dir=folder,
        results_xml=str(folder / "results.xml"),
        extra_env={JOB_VARIABLE: str(folder)},
        log_file=folder / "simulator.log",
    )
    results: list[dict[str, Ints]] = [{} for _ in feeds]
    with np.load(folder / "outputs.npz") as data:
        for key in data.files:
            name, _, index = key.rpartition(".")
            results[int(index)][name] = data[key]
    return results
