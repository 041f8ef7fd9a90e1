# SPDX-License-Identifier: Apache-2.0
"""Plays a link job in Amaranth's own simulator: in this process, with nothing but Amaranth installed; slow."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from amaranth.hdl import ClockDomain, Module, Signal, Value
from amaranth.sim import Simulator

from systolith.testbench.job import LinkJob, LinkLog, StoreLog, count_answers
from systolith.testbench.pauses import Pauses
from systolith.testbench.tallies import TallyLog

__all__ = ["simulate"]

_RESET_CYCLES = 4


class _Source:
    """The driver's decisions, cycle by cycle."""

    def __init__(self, words: array[int], pauses: Pauses) -> None:
        self._words = words
        self._gaps = pauses.gaps()
        self._wait = next(self._gaps)
        self.sent = 0

    def offer(self) -> int | None:
        """The word on offer in the coming cycle."""
        if self.sent == len(self._words):
            return None
        if self._wait:
            self._wait -= 1
            return None
        return self._words[self.sent]

    def taken(self) -> None:
        """The offered word has left."""
        self.sent += 1
        self._wait = next(self._gaps)


class _Sink:
    """The receiver's decisions, cycle by cycle; a pause begins when a word is offered."""

    def __init__(self, pauses: Pauses) -> None:
        self._gaps = pauses.gaps()
        self._wait = next(self._gaps)
        self.words, self.cycles = array("I"), array("Q")
        self.ends: list[int] = []

    @property
    def ready(self) -> bool:
        """Whether a word is accepted in the coming cycle."""
        return self._wait == 0

    def offered(self, cycle: int, word: int, last: int) -> None:
        """A word is on offer in this cycle."""
        if self._wait:
            self._wait -= 1
            return
        if last:
            self.ends.append(len(self.words))
        self.words.append(word)
        self.cycles.append(cycle)
        self._wait = next(self._gaps)


class _Player:
    """One job on one engine: the process that Amaranth's simulator runs."""

    def __init__(self, engine: Any, reset: Signal, job: LinkJob, report: Callable[[int], None]) -> None:
        self._engine = engine
        self._reset_signal = reset
        self._job = job
        self._report = report
        self._cycle = 0
        self._hung = False
        self._stores: tuple[list[int], list[int], list[int]] = ([], [], [])
        self._source, self._sink = _Source(job.words, job.source), _Sink(job.sink)
        trace = engine.trace
        self._watched = [trace.store_valid, trace.store_addr, Value.cast(trace.store_data)]
        self._tallies: tuple[list[int], list[bool]] = ([], [])
        if job.record_tallies:
            self._watched += [engine.tally_valid, engine.tally_end, Value.cast(engine.tally_counts)]

    async def play(self, ctx: Any) -> None:
        """The job from power-up to its end, through all its resets."""
        job, first_word = self._job, 0
        for limit in (*job.resets, None):
            await self._reset(ctx)
            words = job.words[first_word:]
            self._source, self._sink = _Source(words, job.source), _Sink(job.sink)
            await self._exchange(ctx, count_answers(words, job.arch), limit)
            first_word = job.replay_from

    async def _reset(self, ctx: Any) -> None:
        ctx.set(self._reset_signal, 1)
        ctx.set(self._engine.host_in.valid, 0)
        ctx.set(self._engine.host_out.ready, 0)
        for _ in range(_RESET_CYCLES):
            await ctx.tick()
        self._cycle += _RESET_CYCLES
        ctx.set(self._reset_signal, 0)

    async def _exchange(self, ctx: Any, answers: int, limit: int | None) -> None:
        """Until so many answers (or, with a limit, cycles) or silence."""
        start = moved = self._cycle
        while not self._hung and (len(self._sink.words) < answers if limit is None else self._cycle - start < limit):
            if await self._step(ctx):
                moved = self._cycle
            self._hung = self._cycle - moved >= self._job.quiet_limit

    async def _step(self, ctx: Any) -> bool:
        """One cycle; True if a word moved."""
        host_in, host_out, sink = self._engine.host_in, self._engine.host_out, self._sink
        word, had = self._source.offer(), len(sink.words)
        ctx.set(host_in.valid, word is not None)
        if word is not None:
            ctx.set(host_in.payload, word)
        ctx.set(host_out.ready, sink.ready)
        sampled = ctx.tick().sample(host_in.ready, host_out.valid, host_out.payload, *self._watched)
        _, _, ready, valid, answer, *watched = await sampled
        if valid:
            sink.offered(self._cycle, int(answer.data), int(answer.last))
        if word is not None and ready:
            self._source.taken()
        self._observe_store(*watched[:3])
        self._observe_tally(*watched[3:])
        if len(sink.words) > had and sink.ends[-1:] == [had]:
            self._report(len(sink.ends))
        self._cycle += 1
        return len(sink.words) > had or (word is not None and bool(ready))

    def _observe_store(self, valid: int, address: int, data: int) -> None:
        if valid and self._job.record_stores:
            for column, value in zip(self._stores, (self._cycle, address, data), strict=True):
                column.append(value)

    def _observe_tally(self, valid: int = 0, end: int = 0, counts: int = 0) -> None:
        if valid:
            self._tallies[0].append(counts)
            self._tallies[1].append(bool(end))

    def log(self) -> LinkLog:
        """What came back, after the simulation."""
        stores = StoreLog.from_raw(*self._stores, self._job.arch) if self._job.record_stores else None
        return LinkLog(
            answers=self._sink.words,
            answer_cycles=self._sink.cycles,
            ends=tuple(self._sink.ends),
            cycles=self._cycle,
            sent=self._source.sent,
            hung=self._hung,
            stores=stores,
            tallies=TallyLog.from_raw(*self._tallies) if self._job.record_tallies else None,
        )


def simulate(
    engine: Any, job: LinkJob, *, waves: Path | None = None, report: Callable[[int], None] | None = None
) -> LinkLog:
    """Play ``job`` on ``engine``, a component with the engine's ports, from power-up.

    ``waves`` names a VCD file to write. ``report`` is called with the number of complete answers.
    """
    top, domain = Module(), ClockDomain("sync")
    top.domains += domain
    top.submodules.engine = engine
    player = _Player(engine, domain.rst, job, report or (lambda count: None))
    simulator = Simulator(top)
    simulator.add_clock(1e-8)
    simulator.add_testbench(player.play)
    with simulator.write_vcd(str(waves)) if waves else nullcontext():
        simulator.run()
    return player.log()
