# SPDX-License-Identifier: Apache-2.0
"""What the issue stage does with a descriptor, cycle by cycle, without walking the cycles.

The issue stage is the only place where the engine waits; everything behind it has a fixed latency
(:mod:`systolith.spec.timing`), but for the drain of buffered accumulators, which runs at the lanes' pace. A window
waits, in this order of causes, for the weights of its pass, for the lanes (a bank of accumulators to be drained, the
result of a VECTOR to be taken), and for a memory port that a result on its way out takes. Undisturbed passes are
counted, not walked.
"""

from __future__ import annotations

import math
from collections import Counter as Tally
from collections import deque
from dataclasses import dataclass, field

from systolith.spec import timing
from systolith.spec.arch import Arch
from systolith.spec.isa import Descriptor, Op, output_counts
from systolith.spec.link import Counter

__all__ = ["IssueModel", "issued_windows", "output_pixels"]


def _product(descriptor: Descriptor, first: int, stop: int) -> int:
    return math.prod(loop.count for loop in descriptor.loops[first:stop])


def output_pixels(descriptor: Descriptor) -> int:
    """Output pixels of a descriptor, in each block."""
    return math.prod(output_counts(descriptor))


def issued_windows(descriptor: Descriptor) -> int:
    """Windows of a descriptor; those of rasters go on until the last output pixel is complete."""
    windows = _product(descriptor, 0, 6)
    if not descriptor.depthwise:
        return windows
    raster, wide = _product(descriptor, 0, 2), descriptor.loops[0].count
    return max(windows, windows - raster + descriptor.lag + descriptor.last_y * wide + descriptor.last_x + 1)


@dataclass
class IssueModel:
    """The issue stage of an engine of ``arch``, and the drain behind it. All times are cycles of the run."""

    arch: Arch
    now: int = 0
    """The next cycle."""
    weights: int = 0
    """First cycle in which the weights of the next pass are there."""
    counts: Tally[Counter] = field(default_factory=Tally)
    """Cycles by cause."""
    known: int = 0
    """First cycle in which the time of the last store is known."""
    stored: int = 0
    """The cycle of the last store of all that was issued."""

    def __post_init__(self) -> None:
        """Begin with free lanes, banks and memory ports."""
        self._lanes = 0
        self._drained: deque[int] = deque([-1, -1])
        self._taken: deque[int] = deque()
        self._blocked = self._busy = False

    # ------------------------------------------------------------------ a descriptor

    def issue(self, descriptor: Descriptor, begun: int, after_matrix: bool) -> None:
        """Issue a descriptor from cycle ``now`` on.

        Args:
            descriptor: a MATRIX or VECTOR.
            begun: first cycle in which the stage behind takes its sums.
            after_matrix: the descriptor before is a MATRIX: a drain waits for ``begun``.
        """
        arch = self.arch
        self._blocked = (arch.residual and not descriptor.apart) or arch.act_single_port
        self._busy = descriptor.residual or arch.act_single_port
        if descriptor.fresh:
            # from the start on, a nest before the first window
            self.weights = self.now - timing.NEST_LATENCY + timing.pass_cycles(arch, 0)
        if descriptor.op == Op.VECTOR:
            self._vector(descriptor)
        elif descriptor.depthwise:
            self._depthwise(descriptor, begun if after_matrix else 0)
        else:
            self._matrix(descriptor, begun if after_matrix else 0)

    def _until(self, cycle: int, cause: Counter) -> None:
        if cycle > self.now:
            self.counts[cause] += cycle - self.now
            self.now = cycle

    def _run(self, windows: int, cause: Counter = Counter.ACTIVE) -> None:
        """Issue windows that wait for nothing but the memory."""
        taken = self._taken
        while taken and taken[0] < self.now:
            taken.popleft()
        while self._blocked and taken and taken[0] < self.now + windows:
            windows -= taken[0] - self.now
            self._until(taken[0], cause)
            self._until(taken.popleft() + 1, Counter.MEMORY)
        self._until(self.now + windows, cause)

    def _occupy(self, summed: int) -> None:
        """A sum of cycle ``summed`` takes a memory port on its way."""
        if self._busy:
            late = timing.store_cycles(self.arch) - 1 if self.arch.act_single_port else 0
            self._taken.append(summed + late)

    def _end_straight(self, *, vector: bool) -> None:
        """The window issued last completes a descriptor whose sums go straight to the lanes."""
        self.known = self.now
        self.stored = self.now - 1 + timing.drain_cycles(self.arch, vector=vector)

    # ------------------------------------------------------------------ passes

    def _start(self, begins_block: bool) -> None:
        """The first window of a pass."""
        self._until(self.weights, Counter.WEIGHTS)
        if begins_block and self.arch.buffered:
            self._until(self._drained[0] + 1, Counter.LANES)
        self._run(1)
        self.weights = self.now - 1 + timing.pass_cycles(self.arch, 0)

    def _finish_block(self, pixels: int, begun: int, final: bool) -> None:
        """Buffered accumulators: the block whose last window was just issued is drained when its turn comes."""
        arch = self.arch
        filled = self.now - 1 + timing.sum_cycles(arch, vector=False)
        first = max(filled + 1, self._drained[-1] + arch.lane_cycles, begun)
        reads = range(first, first + pixels * arch.lane_cycles, arch.lane_cycles)
        if self._busy:
            for read in reads:
                self._occupy(read + timing.DRAIN_LATENCY)
        self._drained.append(reads[-1])
        self._drained.popleft()
        if final:
            self.known = first + 1
            self.stored = reads[-1] + timing.DRAIN_LATENCY + timing.store_cycles(arch)

    def _results(self, windows: int) -> None:
        """Windows each of which completes an output pixel."""
        if not self._busy:
            self._run(windows)
            return
        summed = timing.sum_cycles(self.arch, vector=False)
        for _ in range(windows):
            self._run(1)
            self._occupy(self.now - 1 + summed)

    # ------------------------------------------------------------------ MATRIX

    def _matrix(self, descriptor: Descriptor, begun: int) -> None:
        pixels, passes = _product(descriptor, 0, 2), _product(descriptor, 2, 5)
        blocks = descriptor.loops[5].count
        for block in range(blocks):
            left = passes
            while left > 1:
                self._pass(pixels, begins_block=left == passes)
                left -= 1
                if left > 1 and not (self._blocked and self._taken):
                    self._repeat(pixels, left - 1)
                    left = 1
            self._last_pass(pixels, begins_block=passes == 1)
            if self.arch.buffered:
                self._finish_block(pixels, begun, block == blocks - 1)
        if not self.arch.buffered:
            self._end_straight(vector=False)

    def _pass(self, pixels: int, *, begins_block: bool) -> None:
        self._start(begins_block)
        self._run(pixels - 1)
        self._hold(pixels)

    def _last_pass(self, pixels: int, *, begins_block: bool) -> None:
        if self.arch.buffered:
            self._pass(pixels, begins_block=begins_block)
            return
        self._start(begins_block)
        if self._busy:
            self._occupy(self.now - 1 + timing.sum_cycles(self.arch, vector=False))
        self._results(pixels - 1)
        self._hold(pixels)

    def _hold(self, pixels: int) -> None:
        """A pass's last pixel comes again no sooner than MIN_PASS cycles later."""
        self.weights = max(self.weights, self.now + timing.MIN_PASS - pixels)

    def _repeat(self, pixels: int, passes: int) -> None:
        """Passes that nothing disturbs: each waits for its weights, then runs."""
        length = max(timing.pass_cycles(self.arch, 0), pixels)
        self._until(self.weights, Counter.WEIGHTS)
        self.counts[Counter.WEIGHTS] += (passes - 1) * (length - pixels)
        self.counts[Counter.ACTIVE] += passes * pixels
        begin = self.now + (passes - 1) * length
        self.now = begin + pixels
        self.weights = begin + timing.pass_cycles(self.arch, 0)

    # ------------------------------------------------------------------ depthwise

    def _depthwise(self, descriptor: Descriptor, begun: int) -> None:
        """Windows of rasters; a pass starts, and a block ends, as far behind its raster as the lag says."""
        wide, raster = descriptor.loops[0].count, _product(descriptor, 0, 2)
        passes, blocks = _product(descriptor, 2, 5), descriptor.loops[5].count
        last = descriptor.last_y * wide + descriptor.last_x
        done = 0
        for number in range(passes * blocks):
            start = descriptor.lag + number * raster
            self._run(start - done)
            results = number % passes == passes - 1
            self._start(number % passes == 0)
            if results and self._busy and not self.arch.buffered:
                self._emissions(descriptor)
            else:
                self._run(last)
            done = start + last + 1
            if results and self.arch.buffered:
                self._finish_block(output_pixels(descriptor), begun, number == passes * blocks - 1)
        if not self.arch.buffered:
            self._end_straight(vector=False)
        self._run(passes * blocks * raster - done)

    def _emissions(self, descriptor: Descriptor) -> None:
        """The windows from the first output pixel of a last pass to its last, whose results take memory ports."""
        wide, summed = descriptor.loops[0].count, timing.sum_cycles(self.arch, vector=False)
        before = 0
        self._occupy(self.now - 1 + summed)
        for y in range(0, descriptor.last_y + 1, descriptor.skip_y + 1):
            for x in range(0, descriptor.last_x + 1, descriptor.skip_x + 1):
                if here := y * wide + x:
                    self._run(here - before)
                    self._occupy(self.now - 1 + summed)
                before = here

    # ------------------------------------------------------------------ VECTOR

    def _vector(self, descriptor: Descriptor) -> None:
        taps = _product(descriptor, 0, 3)
        results = output_pixels(descriptor) * descriptor.loops[5].count
        while results:
            self._result(taps)
            results -= 1
            if results > 1 and not self._busy and not (self._blocked and self._taken):
                self._repeat_results(taps, results - 1)
                results = 1
        self._end_straight(vector=True)

    def _result(self, taps: int) -> None:
        arch = self.arch
        self._run(taps - 1, Counter.VECTOR)
        if arch.buffered:
            self._until(self._lanes, Counter.LANES)
        self._run(1, Counter.VECTOR)
        self._lanes = self.now - 1 + arch.lane_cycles
        self._occupy(self.now - 1 + timing.sum_cycles(arch, vector=True))

    def _repeat_results(self, taps: int, results: int) -> None:
        """Results that nothing but the lanes disturbs."""
        distance = max(taps, self.arch.lane_cycles)
        self.counts[Counter.VECTOR] += results * taps
        self.counts[Counter.LANES] += results * (distance - taps)
        self.now += results * distance
        self._lanes += results * distance
