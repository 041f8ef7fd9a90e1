# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
from typing import Any

import pytest

from systolith.hdl.tail import Tail
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.isa import lead_free
from systolith.spec.timing import DRAIN_LATENCY, drain_cycles, store_cycles, tail_cycles
from tests.support.simulate import simulate

STRAIGHT = {
    "8x8": PRESETS["8x8"],
    "bare": Arch(name="bare", rows=2, cols=2, psum_spacing=2, residual=False, pool=False),
}
BUFFERED = {
    "4x4": PRESETS["4x4"].with_(acc_depth=16),
    "icebreaker": PRESETS["up5k"].with_(acc_depth=32),
    "bare": PRESETS["tiny"].with_(residual=False, pool=False),
}


class Bench:
    """Tells the unit what is issued and drained; asks it in every cycle, with leads around the cycles left."""

    def __init__(self, arch: Arch, seed: int) -> None:
        self.arch, self.rng, self.dut = arch, random.Random(seed), Tail(arch=arch)
        self.cycle = 0
        self.stored = -1
        """The cycle of the last store of all that was issued."""
        self.quiet = -1
        """A cycle in which nobody asks."""
        self.unknown = 0
        """Descriptors whose last store has no time yet."""

    def ask(self, ctx: Any) -> None:
        if self.cycle == self.quiet:
            return
        left, free = max(0, self.stored - self.cycle), lead_free(self.arch)
        for lead in {left - 1, left, left + 1, 0, free - 1, free, self.rng.randrange(free)}:
            if 0 <= lead <= free:
                ctx.set(self.dut.lead, lead)
                allowed = lead == free or (not self.unknown and left <= lead)
                assert ctx.get(self.dut.allowed) == allowed, f"lead {lead}, {left} left, {self.unknown} unknown"

    async def tick(self, ctx: Any, *, ended: str = "", draining: int | None = None) -> None:
        """A cycle; ``ended`` is what ended, ``draining`` the pixels whose drain begins."""
        dut, rng = self.dut, self.rng
        ctx.set(dut.ended, bool(ended))
        ctx.set(dut.vector, ended == "vector" if ended else rng.randrange(2))
        ctx.set(dut.draining, draining is not None)
        ctx.set(dut.pixels, rng.randrange(self.arch.acc_depth) if draining is None else draining - 1)
        await ctx.tick()
        if ended:
            self.quiet = self.cycle + 1
        if ended and (ended == "vector" or not self.arch.buffered):
            self.stored = self.cycle + drain_cycles(self.arch, vector=ended == "vector")
        elif ended:
            self.unknown += 1
        if draining is not None:
            self.unknown -= 1
            last = self.cycle + (draining - 1) * self.arch.lane_cycles
            self.stored = last + DRAIN_LATENCY + store_cycles(self.arch)
        self.cycle += 1

    async def wait(self, ctx: Any, cycles: int) -> None:
        for _ in range(cycles):
            self.ask(ctx)
            await self.tick(ctx)
        self.ask(ctx)


@pytest.mark.parametrize("name", STRAIGHT)
def test_straight_sums_are_stored_so_long_after_their_window(name: str) -> None:
    bench = Bench(STRAIGHT[name], 1)
    kinds = ["matrix", "vector"] if bench.arch.pool else ["matrix"]

    async def run(ctx: Any) -> None:
        for _ in range(40):
            ended = bench.rng.choice(kinds)
            sooner = bench.cycle + drain_cycles(bench.arch, vector=ended == "vector")
            # stores keep the order of their descriptors
            await bench.wait(ctx, max(0, bench.stored + 1 - sooner))
            await bench.tick(ctx, ended=ended)
            await bench.wait(ctx, bench.rng.choice([0, 1, 5, tail_cycles(bench.arch) + 4]))

    simulate(bench.dut, run)


@pytest.mark.parametrize("name", BUFFERED)
def test_drained_sums_have_a_time_when_their_drain_begins(name: str) -> None:
    """One or two MATRIX descriptors end before the drain of the first begins; a VECTOR ends when all is known."""
    bench = Bench(BUFFERED[name], 2)
    rng, arch = bench.rng, bench.arch

    def sizes() -> int:
        return rng.choice([1, 2, arch.acc_depth, rng.randint(1, arch.acc_depth)])

    async def run(ctx: Any) -> None:
        for _ in range(20):
            await bench.tick(ctx, ended="matrix")
            await bench.wait(ctx, rng.choice([0, 3, 40]))
            second = rng.choice(["", "before", "with"])
            if second == "before":
                await bench.tick(ctx, ended="matrix")
            await bench.wait(ctx, rng.choice([0, 3]))
            await bench.tick(ctx, draining=sizes(), ended="matrix" if second == "with" else "")
            await bench.wait(ctx, rng.choice([0, 1, bench.stored - bench.cycle + 3]))
            if second:
                await bench.wait(ctx, max(0, bench.stored - bench.cycle))
                await bench.tick(ctx, draining=sizes())
                await bench.wait(ctx, bench.stored - bench.cycle + rng.choice([0, 3]))
            elif arch.pool:
                sooner = bench.cycle + drain_cycles(arch, vector=True)
                await bench.wait(ctx, max(0, bench.stored + 1 - sooner))
                await bench.tick(ctx, ended="vector")
                await bench.wait(ctx, rng.choice([0, 2, tail_cycles(arch)]))

    simulate(bench.dut, run)
