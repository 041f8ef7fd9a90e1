# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from amaranth.hdl import ResetInserter, Signal

from systolith.hdl.drain import Drain
from systolith.hdl.payload import Advance
from systolith.spec.arch import Arch
from systolith.spec.timing import DRAIN_LATENCY
from tests.support.simulate import simulate

ARCHES = {
    "2 steps": Arch(name="q2", rows=2, cols=2, psum_spacing=2, lane_cycles=2, acc_depth=8),
    "8 steps": Arch(name="q8", rows=2, cols=8, psum_spacing=2, lane_cycles=8, acc_depth=5),
}


def test_straight_accumulators_have_no_drain() -> None:
    with pytest.raises(ValueError, match="a drain needs lane_cycles of 2 or more, got 1"):
        Drain(arch=Arch(name="q1", rows=4, cols=4))


@dataclass
class Story:
    """Banks filled and descriptors begun at random, and what the drain must do about it, by cycle."""

    arch: Arch
    rng: random.Random
    filled: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Last pixel, and whether the descriptor ends."""
    begun: set[int] = field(default_factory=set)
    reads: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Bank and pixel."""
    drained: set[int] = field(default_factory=set)
    draining: dict[int, int] = field(default_factory=dict)
    """Pixels that follow the first of a descriptor's last bank."""
    end: int = 0

    def __post_init__(self) -> None:
        """Draw: a bank is filled again in the cycle after its last read at the earliest."""
        rng, arch = self.rng, self.arch
        last = [-arch.lane_cycles, -arch.lane_cycles]
        full = free = -1
        for index in range(40):
            full = max(full + 1, last[index % 2] + 1) + rng.choice([0, 0, 1, 30])
            size, ends = rng.randint(1, arch.acc_depth), rng.random() < 0.4
            self.filled[full] = size - 1, int(ends)
            first = max(full + 1, last[1 - index % 2] + arch.lane_cycles, free)
            self._read(index % 2, first, size, ends)
            last[index % 2] = first + (size - 1) * arch.lane_cycles
            if ends:
                free = 1 + self._begin(last[index % 2])
            elif rng.random() < 0.3:
                self.begun.add(first)
        self.end = max(self.reads) + DRAIN_LATENCY + 1

    def _read(self, bank: int, first: int, size: int, ends: bool) -> None:
        cycles = [first + pixel * self.arch.lane_cycles for pixel in range(size)]
        self.reads |= {cycle: (bank, pixel) for pixel, cycle in enumerate(cycles)}
        self.drained.add(cycles[-1])
        if ends:
            self.draining[first] = size - 1

    def _begin(self, last: int) -> int:
        """The stage behind is ready for the next descriptor some time after the last sum of one."""
        cycle = last + self.rng.choice([1, 2, 20])
        self.begun.add(cycle)
        return cycle


class Bench:
    """Plays a story; the banks hold random sums, and who is not asked is shown anything."""

    def __init__(self, arch: Arch, seed: int) -> None:
        self.arch, self.rng, self.dut = arch, random.Random(seed), Drain(arch=arch)
        self.banks = [[self.sum() for _ in range(arch.acc_depth)] for _ in range(2)]

    def sum(self) -> dict[str, Any]:
        values = [self.rng.randrange(-1000, 1000) for _ in range(self.arch.cols)]
        return {"data": values, "advance": self.rng.choice(list(Advance))}

    def drive(self, ctx: Any, story: Story, now: int) -> None:
        dut, rng, arch = self.dut, self.rng, self.arch
        # without ``filled`` its companions say anything
        last, ends = story.filled.get(now, (rng.randrange(arch.acc_depth), rng.randrange(2)))
        for port, value in ((dut.filled, now in story.filled), (dut.last, last), (dut.ends, ends)):
            ctx.set(port, value)
        ctx.set(dut.begun, now in story.begun)

    def check(self, ctx: Any, story: Story, now: int) -> None:
        dut = self.dut
        read = (ctx.get(dut.bank.number), ctx.get(dut.bank.pixel)) if ctx.get(dut.bank.en) else None
        assert read == story.reads.get(now), f"cycle {now}"
        assert ctx.get(dut.drained) == (now in story.drained), f"cycle {now}"
        assert ctx.get(dut.draining) == (now in story.draining), f"cycle {now}"
        if now in story.draining:
            assert ctx.get(dut.pixels) == story.draining[now]

    def check_sum(self, ctx: Any, story: Story, now: int) -> None:
        """Show the sum asked for DRAIN_LATENCY cycles ago; it must leave."""
        dut, asked = self.dut, story.reads.get(now - DRAIN_LATENCY)
        shown = self.banks[asked[0]][asked[1]] if asked else self.sum()
        ctx.set(dut.bank.line, shown)
        assert ctx.get(dut.sums.valid) == (asked is not None)
        if asked:
            payload = dut.sums.payload
            assert [ctx.get(payload.data[index]) for index in range(self.arch.cols)] == shown["data"]
            assert ctx.get(payload.advance) == shown["advance"]

    async def play(self, ctx: Any, cycles: int | None = None) -> None:
        story = Story(self.arch, self.rng)
        for now in range(cycles or story.end):
            self.drive(ctx, story, now)
            self.check_sum(ctx, story, now)
            self.check(ctx, story, now)
            await ctx.tick()
        ctx.set(self.dut.filled, 0)
        ctx.set(self.dut.begun, 0)


@pytest.mark.parametrize("name", ARCHES)
@pytest.mark.parametrize("seed", range(3))
def test_banks_are_read_in_turn_at_the_lanes_pace(name: str, seed: int) -> None:
    bench = Bench(ARCHES[name], seed)
    simulate(bench.dut, bench.play)


def test_a_reset_in_mid_drain_starts_afresh() -> None:
    bench = Bench(ARCHES["2 steps"], 9)
    reset = Signal()

    async def run(ctx: Any) -> None:
        for cycles in (7, 40, 133, None):
            await bench.play(ctx, cycles)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)

    simulate(ResetInserter(reset)(bench.dut), run)
