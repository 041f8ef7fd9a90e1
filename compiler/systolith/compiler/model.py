# SPDX-License-Identifier: Apache-2.0
"""The exact cycle model: what the engine's counters will say, from the descriptors alone.

Everything behind the issue of a window has a fixed latency (:mod:`systolith.spec.timing`), so the model only follows
the issue stage. A window waits, in this order of causes, for the weights of its pass, for the lanes, and for the memory
ports that results on their way out take from it a fixed time after their own issue. Passes and blocks that begin in the
same situation take the same time: runs of undisturbed passes are counted, not walked, and a block is walked once for
each situation in which one begins.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from systolith.spec import timing
from systolith.spec.arch import Arch
from systolith.spec.image import Program
from systolith.spec.isa import Descriptor, Op, decode_program, section_words
from systolith.spec.link import Counter, Space

__all__ = ["Prediction", "predict", "predict_descriptors"]

Cycles = Mapping[Counter, int]

_HANDOVER = timing.FETCH_LATENCY + 1
"""From a descriptor's last issue to the reading of the next one: the fetch stage still needs the fields."""


@dataclass(frozen=True)
class Prediction:
    """Counters of a run, complete and by descriptor (the wait before its first window and the drain included)."""

    total: Cycles
    descriptors: tuple[Cycles, ...]

    def layer(self, first: int, count: int) -> Cycles:
        """The sum over ``count`` descriptors."""
        return _sum(self.descriptors[first : first + count])


def _sum(parts: tuple[Cycles, ...]) -> Cycles:
    return {counter: sum(part[counter] for part in parts) for counter in Counter}


@dataclass(frozen=True)
class _Shape:
    """What the issue stage sees of a descriptor."""

    vector: bool
    windows: int
    """Windows of a pass (MATRIX) or of a pixel (VECTOR)."""
    passes: int
    """Passes of a block (MATRIX); 1 for VECTOR, whose last window of a pixel makes the result."""
    blocks: int
    """Blocks (MATRIX) or pixels of all blocks (VECTOR)."""
    pass_cycles: int
    """Least distance of two passes."""
    lane_cycles: int
    """Least distance of two results."""
    taken: tuple[int, ...]
    """Cycles, counted from the issue of a result, in which the memory serves it instead of a window."""


@dataclass
class _Issue:
    """The issue stage at cycle ``now``."""

    shape: _Shape
    now: int = 0
    weights: int = 0
    """First cycle in which weights are there."""
    lanes: int = 0
    """First cycle in which the lanes are free."""
    taken: set[int] = field(default_factory=set)
    """Cycles from now on that the memory takes."""
    counts: Tally[Counter] = field(default_factory=Tally)

    def _until(self, cycle: int, cause: Counter) -> None:
        if cycle > self.now:
            self.counts[cause] += cycle - self.now
            self.now = cycle

    def window(self, *, starts: bool, last: bool) -> None:
        """Wait for one window's needs and issue it."""
        shape = self.shape
        if starts:
            self._until(self.weights, Counter.WEIGHTS)
        if last:
            self._until(self.lanes, Counter.LANES)
        while self.now in self.taken:
            self._until(self.now + 1, Counter.MEMORY)
        if starts:
            self.weights = self.now + shape.pass_cycles
        if last:
            self.lanes = self.now + shape.lane_cycles
            self.taken.update(self.now + delay for delay in shape.taken)
        self._until(self.now + 1, Counter.VECTOR if shape.vector else Counter.ACTIVE)

    def disturbed(self) -> bool:
        """Whether the memory still takes cycles."""
        self.taken = {cycle for cycle in self.taken if cycle >= self.now}
        return bool(self.taken)

    def situation(self) -> tuple[int, int, tuple[int, ...]]:
        """All that decides how it goes on, relative to now."""
        self.disturbed()
        ahead = tuple(sorted(cycle - self.now for cycle in self.taken))
        return max(0, self.weights - self.now), max(0, self.lanes - self.now), ahead


def _walk_pass(issue: _Issue, *, last: bool) -> None:
    """One pass of a MATRIX descriptor."""
    windows = issue.shape.windows
    left = windows
    while left and (last or left == windows or issue.disturbed()):
        issue.window(starts=left == windows, last=last)
        left -= 1
    issue._until(issue.now + left, Counter.ACTIVE)
    # the last pixel comes again no sooner than a pass's minimum after now
    issue.weights = max(issue.weights, issue.now + timing.MIN_PASS - windows)


def _walk_last_pass(issue: _Issue) -> None:
    """The pass that makes the results; without memory conflicts their distance is the lanes'."""
    shape = issue.shape
    if shape.taken:
        _walk_pass(issue, last=True)
        return
    issue.window(starts=True, last=True)
    more, gap = shape.windows - 1, shape.lane_cycles - 1
    issue.counts[Counter.LANES] += more * gap
    issue.counts[Counter.ACTIVE] += more
    issue.now += more * (gap + 1)
    issue.lanes = issue.now + gap
    issue.weights = max(issue.weights, issue.now + timing.MIN_PASS - shape.windows)


def _walk_block(issue: _Issue) -> None:
    """All passes of one block of output channels."""
    shape = issue.shape
    left = shape.passes - 1
    while left and (left == shape.passes - 1 or issue.disturbed()):
        _walk_pass(issue, last=False)
        left -= 1
    # undisturbed passes: each waits for its weights, then runs
    if left:
        _walk_pass(issue, last=False)
        more = left - 1
        issue.counts[Counter.WEIGHTS] += more * max(0, shape.pass_cycles - shape.windows)
        issue.counts[Counter.ACTIVE] += more * shape.windows
        length = more * max(shape.pass_cycles, shape.windows)
        issue.now, issue.weights = issue.now + length, issue.weights + length
    _walk_last_pass(issue)


def _walk_pixel(issue: _Issue) -> None:
    """All windows of one pixel of a VECTOR descriptor."""
    left = issue.shape.windows - 1
    while left and issue.disturbed():
        issue.window(starts=False, last=False)
        left -= 1
    issue._until(issue.now + left, Counter.VECTOR)
    issue.window(starts=False, last=True)


@lru_cache(maxsize=4096)
def _walk(shape: _Shape, weights: int) -> tuple[tuple[tuple[Counter, int], ...], int, int]:
    """Issue a whole descriptor from cycle 0, weights being there from cycle ``weights`` on.

    Returns the cycles by cause, the cycle after the last issue, and the first cycle in which the weights of the next
    pass are there.
    """
    issue = _Issue(shape, weights=weights)
    if shape.vector and not shape.taken:
        count = shape.windows * shape.blocks
        return ((Counter.VECTOR, count),), count, weights
    step = _walk_pixel if shape.vector else _walk_block
    known: dict[tuple[int, int, tuple[int, ...]], tuple[Tally[Counter], int, tuple[int, int, tuple[int, ...]]]] = {}
    total: Tally[Counter] = Tally()
    situation, now = issue.situation(), 0
    for _ in range(shape.blocks):
        if situation not in known:
            ahead = _Issue(shape, weights=situation[0], lanes=situation[1], taken=set(situation[2]))
            step(ahead)
            known[situation] = ahead.counts, ahead.now, ahead.situation()
        counts, length, situation = known[situation]
        total.update(counts)
        now += length
    return tuple(total.items()), now, weights if shape.vector else now + situation[0]


def _product(descriptor: Descriptor, first: int, stop: int) -> int:
    count = 1
    for loop in descriptor.loops[first:stop]:
        count *= loop.count
    return count


def _taken(descriptor: Descriptor, arch: Arch, steps: int) -> tuple[int, ...]:
    """When a result keeps the memory from the fetch: its operand reads, and in a single-port memory its stores."""
    vector = descriptor.op == Op.VECTOR
    stored = timing.drain_cycles(arch, vector=vector) - (steps - 1)
    read = stored - timing.lanes_after_sum(arch) - timing.lane_latency(arch)
    meet = descriptor.residual and not descriptor.apart
    cycles = {read + later for later in range(steps)} if meet else set()
    if arch.act_single_port:
        cycles |= {stored - 1 + later for later in range(steps)}
    return tuple(sorted(cycles))


def _shape(descriptor: Descriptor, arch: Arch) -> _Shape:
    vector = descriptor.op == Op.VECTOR
    steps = 1 if vector else arch.lane_cycles
    return _Shape(
        vector=vector,
        windows=_product(descriptor, 0, 3) if vector else _product(descriptor, 0, 2),
        passes=1 if vector else _product(descriptor, 2, 5),
        blocks=_product(descriptor, 3, 6) if vector else descriptor.loops[5].count,
        pass_cycles=timing.pass_cycles(arch, 0),
        lane_cycles=steps,
        taken=_taken(descriptor, arch, steps),
    )


def _work(descriptor: Descriptor) -> int:
    return descriptor.work * _product(descriptor, 0, 2) if descriptor.op == Op.MATRIX else 0


def predict_descriptors(descriptors: list[Descriptor], arch: Arch) -> Iterator[Cycles]:
    """The counters of each descriptor of a program; END's cycles are with the last."""
    front, back = section_words(arch)
    # from the run's start: cycles until the first window can be issued, and until the weights of its pass are there
    wait, weights = front + back + 1, timing.pass_cycles(arch, 0) - 1
    for index, descriptor in enumerate(descriptors):
        drain = timing.drain_cycles(arch, vector=descriptor.op == Op.VECTOR)
        causes, length, ready = _walk(_shape(descriptor, arch), max(0, weights - wait))
        # after the last issue: the front section is read while the fetch and the results run out, then the back section
        ended = max(_HANDOVER, drain)
        following = max(_HANDOVER + front, drain) + back
        last = index == len(descriptors) - 1
        counts = dict.fromkeys(Counter, 0) | dict(causes)
        counts[Counter.CONTROL] = wait + (ended - drain if last else 0)
        counts[Counter.DRAIN] = drain
        counts[Counter.CYCLES] = sum(counts.values())
        counts[Counter.WORK] = _work(descriptor)
        yield counts
        wait, weights = following - drain, max(0, ready - length - drain)


def predict(program: Program) -> Prediction:
    """The performance counters of one run of a program."""
    descriptors = decode_program(program.segments[Space.PROGRAM], program.arch)
    parts = tuple(predict_descriptors(descriptors, program.arch))
    return Prediction(_sum(parts), parts)
