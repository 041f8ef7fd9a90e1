# SPDX-License-Identifier: Apache-2.0
"""Runs inside the simulator, on the link memory: the rules that drivers, receivers and monitors keep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.simtime import get_sim_time
from cocotb.triggers import ClockCycles

from systolith.spec.link import DONE, Space, read_command, run_command, write_command
from systolith.testbench.monitor import StoreMonitor
from systolith.testbench.pauses import Pauses
from systolith.testbench.sink import WordSink
from systolith.testbench.source import WordSource

PERIOD = 10
LOAD = [*write_command(Space.ACTIVATIONS, 0, 6), *range(100, 106)]
WORDS = [*LOAD, *run_command(), *read_command(Space.ACTIVATIONS, 0, 6)]
ANSWERS = [DONE, 101, 102, 103, 104, 104, 105]


def cycle() -> int:
    return int(get_sim_time("ns")) // PERIOD


async def start(dut: Any) -> None:
    Clock(dut.clk, PERIOD, "ns", impl="gpi").start()
    dut.rst.value = 1
    await ClockCycles(dut.clk, 3)
    dut.rst.value = 0


def make_source(dut: Any, pauses: Pauses) -> WordSource:
    port = {name: getattr(dut, f"host_in__{name}") for name in ("valid", "ready", "payload")}
    return WordSource(clock=dut.clk, pauses=pauses, **port)


def make_sink(dut: Any, pauses: Pauses, on_end: Callable[[], None] = lambda: None) -> WordSink:
    port = {name: getattr(dut, f"host_out__{name}") for name in ("valid", "ready", "payload")}
    return WordSink(clock=dut.clk, bits=32, pauses=pauses, cycle=cycle, on_end=on_end, **port)


async def watch(dut: Any, port: str, seen: list[tuple[bool, bool, int]]) -> None:
    """Record (valid, ready, payload) of a port at every edge."""
    valid, ready, payload = (getattr(dut, f"{port}__{name}") for name in ("valid", "ready", "payload"))
    while True:
        await dut.clk.rising_edge
        offered = valid.value == 1
        seen.append((offered, ready.value == 1, payload.value.to_unsigned() if offered else 0))


async def play(dut: Any, port: str, source: Pauses, sink: Pauses) -> list[tuple[bool, bool, int]]:
    """All words in, all answers out; what was seen on ``port`` meanwhile."""
    seen: list[tuple[bool, bool, int]] = []
    sender, receiver = make_source(dut, source), make_sink(dut, sink)
    await start(dut)
    cocotb.start_soon(watch(dut, port, seen))
    cocotb.start_soon(sender.send(WORDS))
    await receiver.receive(len(ANSWERS))
    assert receiver.words == ANSWERS
    assert receiver.ends == [0, 6]
    assert sender.sent == len(WORDS)
    return seen


@cocotb.test()
async def source_without_pauses_wastes_no_cycle(dut: Any) -> None:
    seen = await play(dut, "host_in", Pauses(), Pauses())
    first = next(index for index, (valid, _, _) in enumerate(seen) if valid)
    assert [payload for _, _, payload in seen[first : first + len(LOAD)]] == LOAD
    assert all(valid and ready for valid, ready, _ in seen[first : first + len(LOAD)])


@cocotb.test()
async def source_holds_its_offer_until_it_is_taken(dut: Any) -> None:
    seen = await play(dut, "host_in", Pauses(probability=0.5, seed=4), Pauses(probability=0.5, seed=5))
    waits = 0
    for (valid, ready, payload), after in zip(seen, seen[1:], strict=False):
        if valid and not ready:
            waits += 1
            assert after[0]
            assert after[2] == payload
    assert waits >= 4  # the length of a run
    assert [payload for valid, ready, payload in seen if valid and ready] == WORDS
    offers = [valid for valid, _, _ in seen]
    assert sum(before and not after for before, after in zip(offers, offers[1:], strict=False)) > 2


@cocotb.test()
async def sink_without_pauses_is_ready_in_advance(dut: Any) -> None:
    seen = await play(dut, "host_out", Pauses(), Pauses())
    assert all(ready for valid, ready, _ in seen if valid)


@cocotb.test()
async def sink_pauses_hold_the_sender_back(dut: Any) -> None:
    seen = await play(dut, "host_out", Pauses(), Pauses(probability=1.0, longest=3, seed=1))
    taken = [index for index, (valid, ready, _) in enumerate(seen) if valid and ready]
    held = [index for index, (valid, ready, _) in enumerate(seen) if valid and not ready]
    assert len(taken) == len(ANSWERS)
    assert len(ANSWERS) <= len(held) <= 3 * len(ANSWERS)


@cocotb.test()
async def sink_tells_cycles_and_ends(dut: Any) -> None:
    ends: list[int] = []
    sender, receiver = make_source(dut, Pauses()), make_sink(dut, Pauses(), lambda: ends.append(cycle()))
    await start(dut)
    cocotb.start_soon(sender.send(WORDS))
    await receiver.receive(len(ANSWERS))
    assert ends == [receiver.cycles[0], receiver.cycles[-1]]
    assert receiver.cycles[-1] - receiver.cycles[1] == 5


@cocotb.test()
async def monitor_records_each_store_once(dut: Any) -> None:
    monitor = StoreMonitor(
        clock=dut.clk,
        valid=dut.trace__store_valid,
        address=dut.trace__store_addr,
        data=dut.trace__store_data,
        cycle=cycle,
    )
    sender, receiver = make_source(dut, Pauses()), make_sink(dut, Pauses())
    await start(dut)
    cocotb.start_soon(monitor.watch())
    cocotb.start_soon(sender.send([*LOAD, *run_command(), *run_command()]))
    await receiver.receive(2)
    assert monitor.addresses == [0, 2, 4, 6] * 2
    assert monitor.data == [101, 102, 103, 104, 102, 103, 104, 105]
    first = monitor.cycles[0]
    assert monitor.cycles[:4] == [first, first + 1, first + 2, first + 3]
    assert receiver.cycles[0] == first + 4
