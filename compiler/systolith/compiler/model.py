# SPDX-License-Identifier: Apache-2.0
"""The exact cycle model: what the engine's counters will say, from the descriptors alone.

:mod:`~systolith.compiler.issue_model` follows the issue stage through a descriptor; here the sequencer leads it from
one descriptor to the next: what is read ahead, what is read between two descriptors, and how much of what came before
must be stored when the next one begins.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from systolith.spec import timing
from systolith.spec.arch import Arch
from systolith.spec.encoding import decode_program
from systolith.spec.image import Program
from systolith.spec.isa import Descriptor, Op, Section, lead_free, section_lines
from systolith.spec.link import Counter, Space

from .issue_model import IssueModel, output_pixels

__all__ = ["Prediction", "predict", "predict_descriptors"]

Cycles = Mapping[Counter, int]


@dataclass(frozen=True)
class Prediction:
    """Counters of a run, complete and by descriptor.

    A descriptor's cycles are those from behind the last window of the one before to its own last window; the drain at
    the end of the run belongs to the last one.
    """

    total: Cycles
    descriptors: tuple[Cycles, ...]

    def layer(self, first: int, count: int) -> Cycles:
        """The sum over ``count`` descriptors."""
        return _sum(self.descriptors[first : first + count])


def _sum(parts: Sequence[Cycles]) -> Cycles:
    return {counter: sum(part[counter] for part in parts) for counter in Counter}


class _Sequencer:
    """When the sequencer reads what, and lets the issue stage begin.

    Cycle 1 is the run's first; by then the first descriptor and the weights of its first pass are read.
    """

    def __init__(self, arch: Arch) -> None:
        self.arch = arch
        self.lines = section_lines(arch)
        self.issue = IssueModel(arch, now=1)
        self.reading = 0
        """First cycle in which the next descriptor is read; 0 before the run."""
        self.handed_over = 0
        """Cycle in which the back section read last comes into force."""
        self.after_matrix = False

    def step(self, descriptor: Descriptor) -> Tally[Counter]:
        """Run one descriptor; returns its cycles by cause."""
        issue, counts = self.issue, Tally[Counter]()
        issue.counts = counts
        if self.reading:
            waiting = self._read()
            begin = self._allowed(descriptor, waiting)
            start = begin + timing.START_LATENCY
            counts[Counter.DRAIN] += begin - waiting
            counts[Counter.CONTROL] += start - issue.now - (begin - waiting)
            issue.now = start
        # the first begins with the run
        self.reading = issue.now
        # the hand-over, the walkers' start, and then the drain
        issue.issue(descriptor, self.handed_over + 2, self.after_matrix)
        self.after_matrix = descriptor.op == Op.MATRIX
        return counts

    def _read(self) -> int:
        """Read a descriptor; returns the first cycle in which it waits to be allowed."""
        ahead = self.reading + self.lines[Section.HEAD] + self.lines[Section.STEPS]
        complete = max(ahead, self.handed_over + 1) + self.lines[Section.BACK]
        self.handed_over = max(complete, self.issue.stored)
        return max(complete, self.issue.now) + self.lines[Section.FRONT]

    def _allowed(self, descriptor: Descriptor, waiting: int) -> int:
        if descriptor.lead == lead_free(self.arch):
            return waiting
        return max(waiting, self.issue.known, self.issue.stored - descriptor.lead)

    def end(self) -> Tally[Counter]:
        """Read END and wait for the last store; returns the cycles by cause."""
        ended = self.reading + self.lines[Section.HEAD] + 1
        final = max(ended, self.issue.stored)
        control = max(0, ended - self.issue.now)
        return Tally({Counter.CONTROL: control, Counter.DRAIN: final + 1 - self.issue.now - control})


def _work(descriptor: Descriptor) -> int:
    return descriptor.work * output_pixels(descriptor) if descriptor.op == Op.MATRIX else 0


def predict_descriptors(descriptors: Sequence[Descriptor], arch: Arch) -> Iterator[Cycles]:
    """The counters of each descriptor of a program; END's cycles are with the last."""
    sequencer = _Sequencer(arch)
    for index, descriptor in enumerate(descriptors):
        tally = sequencer.step(descriptor)
        if index == len(descriptors) - 1:
            tally.update(sequencer.end())
        counts = {counter: tally[counter] for counter in Counter}
        counts[Counter.CYCLES] = sum(counts.values())
        counts[Counter.WORK] = _work(descriptor)
        yield counts


def predict(program: Program) -> Prediction:
    """The performance counters of one run of a program."""
    descriptors = decode_program(program.segments[Space.PROGRAM], program.arch)
    parts = tuple(predict_descriptors(descriptors, program.arch))
    return Prediction(_sum(parts), parts)
