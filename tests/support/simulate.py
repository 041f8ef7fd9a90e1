# SPDX-License-Identifier: Apache-2.0
"""Runs a component in Amaranth's own simulator."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from amaranth.sim import Simulator

__all__ = ["Process", "simulate"]

Process = Callable[[Any], Awaitable[None]]
"""A testbench: a coroutine function of the simulator's context."""


def simulate(dut: Any, *benches: Process, background: Sequence[Process] = ()) -> None:
    """Run the benches to their end, the background processes until then.

    A background process waits with ``ctx.tick()`` alone: one that ``until`` holds cannot be ended cleanly.
    """
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    for bench in benches:
        simulator.add_testbench(bench)
    for process in background:
        simulator.add_testbench(process, background=True)
    simulator.run()
