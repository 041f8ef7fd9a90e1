# SPDX-License-Identifier: Apache-2.0
"""Runs the real client against a complete board top, connected by nothing but its serial pins.

The job's folder holds ``program.slp``, ``inputs.npz`` (one array ``name.index`` for each input of each inference) and
``board.json`` (``divisor``, ``gap_bits``); the bench leaves ``outputs.npz`` in the same form.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.task import bridge
from cocotb.triggers import ClockCycles
from numpy.typing import NDArray

from systolith.boards.host.backend import BoardBackend
from systolith.boards.host.client import BoardClient, Patience
from systolith.spec.image import load_program
from systolith.spec.link import Counter
from systolith.testbench.job import JOB_VARIABLE
from systolith.testbench.serial_line import PinTransport, SerialLine

__all__ = ["run_client"]

PERIOD_PS = 10_000
"""Of the simulated clock; of no meaning but in waveforms."""

RESET_CYCLES = 4

BITS_PER_SECOND = 20_000
"""Bit times that count as a second to the client, so that a hang shows soon."""

Ints = NDArray[np.int64]


def _feeds(folder: Path) -> list[dict[str, Ints]]:
    """The inputs of each inference."""
    with np.load(folder / "inputs.npz") as data:
        feeds: dict[int, dict[str, Ints]] = {}
        for key in data.files:
            name, _, index = key.rpartition(".")
            feeds.setdefault(int(index), {})[name] = data[key]
    return [feeds[index] for index in sorted(feeds)]


def _talk(transport: PinTransport, folder: Path) -> dict[str, Ints]:
    """All that the client does; in a thread of its own."""
    client = BoardClient(transport, patience=Patience(run=100.0))
    results = BoardBackend(client).run(load_program(folder / "program.slp"), _feeds(folder))
    outputs: dict[str, Ints] = {}
    for index, result in enumerate(results):
        assert result.counters is not None
        outputs |= {f"{name}.{index}": values for name, values in result.outputs.items()}
        outputs[f"cycles.{index}"] = np.array(result.counters[Counter.CYCLES])
    return outputs


@cocotb.test()
async def run_client(dut: Any) -> None:
    """Load the program through the pins, run every inference, keep the outputs."""
    folder = Path(os.environ[JOB_VARIABLE])
    board = json.loads((folder / "board.json").read_text())
    bit_ps = board["divisor"] * PERIOD_PS
    dut.rst.value = 1
    line = SerialLine(rx=dut.rx, tx=dut.tx, bit_ps=bit_ps)
    Clock(dut.clk, PERIOD_PS, "ps", impl="gpi").start()
    await ClockCycles(dut.clk, RESET_CYCLES)
    dut.rst.value = 0
    transport = PinTransport(line, bit_ps=bit_ps, gap_bits=board["gap_bits"], bits_per_second=BITS_PER_SECOND)
    outputs: dict[str, Any] = await bridge(_talk)(transport, folder)
    np.savez(folder / "outputs.npz", **outputs)
