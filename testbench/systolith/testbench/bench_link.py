# SPDX-License-Identifier: Apache-2.0
"""Plays a link job into an engine; runs inside the simulator.

The clock runs in the simulator and every wait is on a signal, so a whole inference costs Python little more than the
words of its input and output.
"""

from __future__ import annotations

import os
from array import array
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.simtime import get_sim_time
from cocotb.task import Task
from cocotb.triggers import ClockCycles, First, Timer

from systolith.spec.isa import WORD_BITS
from systolith.testbench.job import JOB_VARIABLE, PROGRESS_FILE, LinkJob, LinkLog, StoreLog, count_answers, read_job
from systolith.testbench.monitor import StoreMonitor, TallyMonitor
from systolith.testbench.sink import WordSink
from systolith.testbench.source import WordSource
from systolith.testbench.tallies import TallyLog

__all__ = ["LinkBench", "play_link_job"]

PERIOD_NS = 10
"""Of the simulated clock; of no meaning but in waveforms."""

RESET_CYCLES = 4


class LinkBench:
    """Wires the drivers and monitors to the ports and follows the job; knows no engine internals."""

    def __init__(self, dut: Any, folder: Path) -> None:
        """Read the job in ``folder`` and take the ports of ``dut``."""
        self._dut = dut
        self._folder = folder
        self._job: LinkJob = read_job(folder)
        self._monitor = self._make_monitor()
        self._tally = self._make_tally() if self._job.record_tallies else None
        self._hung = False
        self._connect()

    def _connect(self) -> None:
        """Fresh driver and receiver, as after power-up."""
        dut, job = self._dut, self._job
        self._source = WordSource(
            clock=dut.clk,
            valid=dut.host_in__valid,
            ready=dut.host_in__ready,
            payload=dut.host_in__payload,
            pauses=job.source,
        )
        self._sink = WordSink(
            clock=dut.clk,
            valid=dut.host_out__valid,
            ready=dut.host_out__ready,
            payload=dut.host_out__payload,
            bits=WORD_BITS,
            pauses=job.sink,
            cycle=self.cycle,
            on_end=self._note_progress,
        )

    def _make_monitor(self) -> StoreMonitor:
        dut = self._dut
        return StoreMonitor(
            clock=dut.clk,
            valid=dut.trace__store_valid,
            address=dut.trace__store_addr,
            data=dut.trace__store_data,
            cycle=self.cycle,
        )

    def _make_tally(self) -> TallyMonitor:
        dut = self._dut
        return TallyMonitor(clock=dut.clk, valid=dut.tally_valid, end=dut.tally_end, counts=dut.tally_counts)

    def cycle(self) -> int:
        """Number of the clock cycle that ends at the present edge."""
        return int(get_sim_time("ns")) // PERIOD_NS

    async def run(self) -> LinkLog:
        """Play the job to its end, through all its resets."""
        Clock(self._dut.clk, PERIOD_NS, "ns", impl="gpi").start()
        await self._reset()
        watches = [cocotb.start_soon(monitor.watch()) for monitor in self._monitors()]
        first_word = 0
        for cycles in self._job.resets:
            await self._interrupted(first_word, cycles)
            first_word = self._job.replay_from
        await self._complete(first_word)
        for watch in watches:
            watch.cancel()
        return self._log()

    def _monitors(self) -> list[StoreMonitor | TallyMonitor]:
        """Those that the job asks for."""
        stores: list[StoreMonitor | TallyMonitor] = [self._monitor] if self._job.record_stores else []
        return stores + ([self._tally] if self._tally is not None else [])

    async def _reset(self) -> None:
        self._dut.rst.value = 1
        await ClockCycles(self._dut.clk, RESET_CYCLES)
        self._dut.rst.value = 0

    def _start(self, first_word: int) -> tuple[Task[None], Task[None]]:
        words = self._job.words[first_word:]
        sender = cocotb.start_soon(self._source.send(words))
        return sender, cocotb.start_soon(self._sink.receive(count_answers(words, self._job.arch)))

    async def _interrupted(self, first_word: int, cycles: int) -> None:
        """Play for so many cycles, then reset in the midst of it."""
        tasks = self._start(first_word)
        await ClockCycles(self._dut.clk, cycles)
        for task in tasks:
            task.cancel()
        self._connect()
        await self._reset()

    async def _complete(self, first_word: int) -> None:
        sender, receiver = self._start(first_word)
        watchdog = cocotb.start_soon(self._watchdog())
        await First(receiver.complete, watchdog.complete)
        for task in (sender, receiver, watchdog):
            task.cancel()

    async def _watchdog(self) -> None:
        """Return when neither stream has moved for the quiet limit."""
        seen, quiet = -1, 0
        step = max(1, self._job.quiet_limit // 64)
        while quiet < self._job.quiet_limit:
            await Timer(step * PERIOD_NS, "ns")
            moved = self._source.sent + len(self._sink.words)
            quiet = 0 if moved != seen else quiet + step
            seen = moved
        self._hung = True

    def _note_progress(self) -> None:
        with (self._folder / PROGRESS_FILE).open("ab") as file:
            file.write(b".")

    def _log(self) -> LinkLog:
        return LinkLog(
            answers=array("I", self._sink.words),
            answer_cycles=array("Q", self._sink.cycles),
            ends=tuple(self._sink.ends),
            cycles=self.cycle(),
            sent=self._source.sent,
            hung=self._hung,
            stores=self._stores() if self._job.record_stores else None,
            tallies=TallyLog.from_raw(self._tally.counts, self._tally.ends) if self._tally is not None else None,
        )

    def _stores(self) -> StoreLog:
        monitor = self._monitor
        return StoreLog.from_raw(monitor.cycles, monitor.addresses, monitor.data, self._job.arch)


@cocotb.test()
async def play_link_job(dut: Any) -> None:
    """Play the job whose folder the environment names; a hung engine fails the test."""
    folder = Path(os.environ[JOB_VARIABLE])
    log = await LinkBench(dut, folder).run()
    log.save(folder)
    assert not log.hung, f"no word for the quiet limit; {log.sent} words in, {len(log.answers)} words out"
