# SPDX-License-Identifier: Apache-2.0
"""The engine's control, one cycle after the other: what the cycle model is held to where no hardware is simulated.

Slow and plain. :class:`IssueClock` issues windows and drains accumulators; :class:`EngineClock` adds the sequencer.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from systolith.spec import timing
from systolith.spec.arch import Arch
from systolith.spec.isa import Descriptor, Op, Section, lead_free, section_lines
from systolith.spec.link import Counter

__all__ = ["EngineClock", "IssueClock", "Window", "windows"]


@dataclass(frozen=True, kw_only=True)
class Window:
    """What the issue stage knows of a window."""

    vector: bool = False
    starts: bool = False
    """The first pixel of a pass."""
    begins: bool = False
    """And of a block."""
    result: bool = False
    """Completes an output pixel."""
    pixels: int = 0
    """Of a block's last result: how many it has."""
    ends: bool = False
    """Completes the descriptor's last output pixel."""
    place: int | None = None
    """Pixel of the pass, where a late one holds up the next pass."""


def windows(descriptor: Descriptor) -> Iterator[Window]:
    """All windows of a descriptor, in issue order."""
    if descriptor.op == Op.VECTOR:
        yield from _vector(descriptor)
    elif descriptor.depthwise:
        yield from _rasters(descriptor)
    else:
        yield from _dense(descriptor)


def _product(descriptor: Descriptor, first: int, stop: int) -> int:
    result = 1
    for loop in descriptor.loops[first:stop]:
        result *= loop.count
    return result


def _vector(descriptor: Descriptor) -> Iterator[Window]:
    taps, results = _product(descriptor, 0, 3), _product(descriptor, 3, 6)
    for number in range(taps * results):
        yield Window(vector=True, result=number % taps == taps - 1, ends=number == taps * results - 1)


def _dense(descriptor: Descriptor) -> Iterator[Window]:
    pixels, passes, blocks = _product(descriptor, 0, 2), _product(descriptor, 2, 5), descriptor.loops[5].count
    for number in range(blocks * passes * pixels):
        step, pixel = number // pixels, number % pixels
        last = step % passes == passes - 1
        yield Window(
            starts=pixel == 0,
            begins=pixel == 0 and step % passes == 0,
            result=last,
            pixels=pixels if last and pixel == pixels - 1 else 0,
            ends=number == blocks * passes * pixels - 1,
            place=pixel,
        )


def _rasters(descriptor: Descriptor) -> Iterator[Window]:
    wide, high = (loop.count for loop in descriptor.loops[:2])
    passes, blocks = _product(descriptor, 2, 5), descriptor.loops[5].count
    columns = range(0, descriptor.last_x + 1, descriptor.skip_x + 1)
    rows = range(0, descriptor.last_y + 1, descriptor.skip_y + 1)
    number, ended = 0, False
    while number < wide * high * passes * blocks or not ended:
        candidate = number - descriptor.lag
        number += 1
        if candidate < 0 or ended:
            yield Window()
            continue
        column, row, step = candidate % wide, candidate // wide % high, candidate // (wide * high)
        last = step % passes == passes - 1
        result = last and column in columns and row in rows
        fills = result and column == columns[-1] and row == rows[-1]
        ended = fills and step == passes * blocks - 1
        start = column == row == 0
        yield Window(
            starts=start,
            begins=start and step % passes == 0,
            result=result,
            pixels=len(columns) * len(rows) if fills else 0,
            ends=ended,
        )


@dataclass
class _Bank:
    """A filled bank of accumulators: when it can first be read, what is left of it, and its descriptor's part."""

    ready: int
    left: int
    ends: bool
    residual: bool
    fresh: bool = True


class IssueClock:
    """Issue stage and drain. :meth:`tick` is a cycle."""

    def __init__(self, arch: Arch, *, cycle: int, weights: int) -> None:
        self.arch, self.cycle, self.weights = arch, cycle, weights
        self.pending: list[Window] = []
        self.descriptor = Descriptor(op=Op.END)
        self.reads: list[int] = []
        """Cycles in which windows are read, in order."""
        self.stores: list[int] = []
        """Cycles of the stores, in order."""
        self.foreseen: list[tuple[int, int]] = [(0, 0)]
        """By descriptor: from which cycle on its last store is foreseen, and for which. Begins with the start."""
        self.unknown = 0
        """Descriptors whose last store is not foreseen yet."""
        self._operands: set[int] = set()
        self._banks, self._lanes = 2, 0
        self._filled: list[_Bank] = []
        self._paced, self._held = 0, False

    def begin(self, descriptor: Descriptor) -> None:
        """From the next tick on, its windows are issued."""
        self.descriptor, self.pending = descriptor, list(windows(descriptor))[::-1]
        if descriptor.fresh:
            self.weights = self.cycle - timing.NEST_LATENCY + max(self.arch.pass_lines, timing.MIN_PASS)

    def release(self) -> None:
        """The stage behind takes the sums of the next descriptor from this cycle on."""
        self._held = False

    def tick(self) -> Counter | None:
        """What this cycle passed with; None if there was nothing to issue."""
        drained = self._drain()
        cause = self._cause() if self.pending else None
        if cause in (Counter.ACTIVE, Counter.VECTOR):
            self._issue(self.pending.pop())
        self._banks += drained
        self.cycle += 1
        return cause

    def _cause(self) -> Counter:
        arch, window, cycle = self.arch, self.pending[-1], self.cycle
        access = cycle + timing.READ_LATENCY
        meets = arch.residual and not self.descriptor.apart and access in self._operands
        if window.starts and cycle < self.weights:
            return Counter.WEIGHTS
        if arch.buffered and window.begins and self._banks == 0:
            return Counter.LANES
        if arch.buffered and window.vector and window.result and cycle < self._lanes:
            return Counter.LANES
        if meets or (arch.act_single_port and access in self.stores):
            return Counter.MEMORY
        return Counter.VECTOR if window.vector else Counter.ACTIVE

    def _issue(self, window: Window) -> None:
        arch, cycle = self.arch, self.cycle
        self.reads.append(cycle + timing.READ_LATENCY)
        if window.starts:
            self.weights = cycle + max(arch.pass_lines, timing.MIN_PASS)
        if window.place is not None:
            self.weights = max(self.weights, cycle + timing.MIN_PASS - window.place)
        self._banks -= window.begins
        summed = cycle + timing.sum_cycles(arch, vector=window.vector)
        if arch.buffered and not window.vector:
            self.unknown += window.ends
            if window.pixels:
                self._filled.append(_Bank(summed + 1, window.pixels, window.ends, self.descriptor.residual))
            return
        if window.result:
            self._lanes = cycle + arch.lane_cycles
            self._summed(summed, residual=self.descriptor.residual)
        if window.ends:
            self.foreseen.append((cycle + 1, self.stores[-1]))

    def _drain(self) -> bool:
        """Read a pixel if it is time; returns whether a bank becomes free."""
        cycle = self.cycle
        if not self._filled or self._filled[0].ready > cycle or self._held or cycle < self._paced:
            return False
        bank = self._filled[0]
        self._paced = cycle + self.arch.lane_cycles
        self._summed(cycle + timing.DRAIN_LATENCY, residual=bank.residual)
        if bank.fresh and bank.ends:
            last = cycle + (bank.left - 1) * self.arch.lane_cycles + timing.DRAIN_LATENCY
            self.foreseen.append((cycle + 1, last + timing.store_cycles(self.arch)))
            self.unknown -= 1
        bank.fresh = False
        bank.left -= 1
        if bank.left:
            return False
        self._held = self._filled.pop(0).ends
        return True

    def _summed(self, cycle: int, *, residual: bool) -> None:
        """A sum of ``cycle`` passes the lanes."""
        if residual:
            self._operands.add(cycle + timing.lanes_after_sum(self.arch) - 1)
        self.stores.append(cycle + timing.store_cycles(self.arch))


class EngineClock(IssueClock):
    """The whole control. :meth:`run` returns the cycles of each descriptor by cause.

    Before the run, the first descriptor is read, and the weights of its first pass; it begins with the run.
    """

    def __init__(self, arch: Arch, descriptors: Sequence[Descriptor]) -> None:
        super().__init__(arch, cycle=1, weights=0)
        self.program = [*descriptors, Descriptor(op=Op.END)]
        self.starts: list[int] = []
        """Cycles from which the descriptors' windows are issued."""
        self.results = [self._results(one) for one in descriptors]
        self._lines = section_lines(arch)
        self._state, self._line, self._next = "HEAD", 0, 1
        self._coming, self._active, self._handed = False, 0, -2
        self._due, self._running = False, True
        self.begin(self.program[0])
        self.starts.append(self.cycle)

    @staticmethod
    def _results(descriptor: Descriptor) -> int:
        return sum(window.result for window in windows(descriptor))

    def run(self) -> list[Tally[Counter]]:
        """Every cycle of a run belongs to the descriptor whose last window is next, those behind it to the last."""
        counts: list[Tally[Counter]] = [Tally() for _ in self.program[:-1]]
        while self._running:
            owner = min(len(self.starts) - bool(self.pending), len(counts) - 1)
            waiting = self._sequence()
            cause = self.tick()
            counts[owner][cause if cause is not None else Counter.DRAIN if waiting else Counter.CONTROL] += 1
            if self._due:
                self._due = False
                self.begin(self.program[len(self.starts)])
                self.starts.append(self.cycle)
        return counts

    def _finished(self) -> bool:
        """Whether the last store of the descriptor in force is made in this cycle or was before."""
        count = sum(self.results[: self._active + 1])
        return len(self.stores) >= count and self.stores[count - 1] <= self.cycle

    def _sequence(self) -> bool:
        """The sequencer's part of a cycle; returns whether it waits for stores."""
        coming, finished = self._coming, self._finished()
        if self._handed == self.cycle - 2:
            self.release()
        if coming and finished:
            self._coming, self._active, self._handed = False, self._active + 1, self.cycle
        return self._step(coming, finished)

    def _step(self, coming: bool, finished: bool) -> bool:
        match self._state:
            case "HEAD":
                self._take(Section.HEAD, "STEPS")
            case "STEPS" if self.program[self._next].op == Op.END:
                self._state = "END"
            case "STEPS":
                self._take(Section.STEPS, "BACK")
            case "BACK" if not coming:
                self._coming = self._take(Section.BACK, "FRONT")
            case "FRONT" if not self.pending:
                self._take(Section.FRONT, "WAIT")
            case "WAIT" if self._allowed():
                self._state = "START"
            case "START":
                self._due, self._state, self._next = True, "HEAD", self._next + 1
            case "END":
                self._running = coming or not finished
                return True
            case state:
                return state == "WAIT"
        return False

    def _take(self, section: Section, then: str) -> bool:
        """Take a line of a section; returns whether it was the last."""
        self._line += 1
        if self._line < self._lines[section]:
            return False
        self._line, self._state = 0, then
        return True

    def _allowed(self) -> bool:
        lead, left = self.program[self._next].lead, self.foreseen[-1][1] - self.cycle
        return lead == lead_free(self.arch) or (self.unknown == 0 and left <= lead)
