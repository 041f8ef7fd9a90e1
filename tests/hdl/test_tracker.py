# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.hdl import Fragment, ResetInserter, Signal

from systolith.hdl.payload import Setup
from systolith.hdl.tracker import Tracker
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.isa import layout
from tests.support.rasters import Raster
from tests.support.simulate import simulate

ARCHES = {
    "2 taps": PRESETS["tiny"],
    "3 taps": PRESETS["4x4"].with_(dim_bits=5),
    "6 taps": PRESETS["8x8"],
    "9 taps": Arch(name="9", rows=16, cols=2, line_depth=16),
}


def draw(rng: random.Random, arch: Arch) -> Raster:
    """Rasters down to a single pixel; lags from none to more than a raster."""
    size = rng.choice([1, 2, 3, 5]), rng.choice([1, 2, 3, 4])
    passes, blocks = rng.choice([1, 1, 2, 3]), rng.choice([1, 2, 3])
    lag = rng.choice([0, 1, 2, 5, min(40, (1 << layout(arch)["lag"].width) - 1)])
    return Raster.draw(rng, arch, size=size, passes=passes, blocks=blocks, lag=lag)


class Bench:
    """Follows random descriptors, window by window, and looks at the candidate in every cycle."""

    def __init__(self, arch: Arch, seed: int) -> None:
        self.arch, self.rng, self.dut = arch, random.Random(seed), Tracker(arch=arch)

    async def begin(self, ctx: Any, raster: Raster) -> None:
        """Before a descriptor the fields change bit by bit, and one may be read that does not begin."""
        for _ in range(self.rng.choice([0, 1, 4])):
            ctx.set(self.dut.fields, draw(self.rng, self.arch).fields())
            assert not ctx.get(self.dut.busy)
            await self.set_up(ctx, self.rng.choice(list(Setup)))
        await self.set_up(ctx, Setup.CLEAR)
        ctx.set(self.dut.fields, raster.fields())
        ctx.set(self.dut.raster, 1)
        await self.start(ctx)

    async def start(self, ctx: Any) -> None:
        """With the last step of the setup, or later."""
        await self.set_up(ctx, Setup.ARM)
        together = self.rng.randrange(2)
        ctx.set(self.dut.start, together)
        await self.set_up(ctx, Setup.FIRST)
        if not together:
            await self.pulse(ctx, "start")
        ctx.set(self.dut.start, 0)

    async def set_up(self, ctx: Any, setup: int) -> None:
        ctx.set(self.dut.setup, setup)
        await ctx.tick()
        ctx.set(self.dut.setup, Setup.NONE)

    async def pulse(self, ctx: Any, name: str) -> None:
        """A cycle, with one input high."""
        ctx.set(getattr(self.dut, name), 1)
        await ctx.tick()
        ctx.set(getattr(self.dut, name), 0)

    async def pass_over(self, ctx: Any) -> None:
        """A descriptor that is none of the tracker's."""
        await self.set_up(ctx, Setup.CLEAR)
        ctx.set(self.dut.raster, 0)
        ctx.set(self.dut.fields, draw(self.rng, self.arch).fields())
        await self.start(ctx)
        for _ in range(9):
            await self.pulse(ctx, "step")
            outputs = self.dut.busy, self.dut.candidate.emit, self.dut.candidate.start, self.dut.candidate.begin
            assert [ctx.get(output) for output in outputs] == [0] * 4

    def check(self, ctx: Any, raster: Raster, window: int, busy: bool) -> None:
        candidate, expected = self.dut.candidate, raster.candidate(window)
        assert ctx.get(self.dut.busy) == busy, f"window {window} of {raster}"
        if expected is None or not busy:
            shown = [ctx.get(candidate[name]) for name in ("emit", "start", "begin")]
            assert shown == [0] * 3, f"window {window} of {raster}"
            return
        expected = expected | {"begin": int(expected["start"] and expected["first"])}
        # what is no output pixel has nothing to say but that
        names = expected if expected["emit"] else ("emit", "start", "begin")
        got = {name: ctx.get(candidate[name]) for name in names}
        assert got == {name: expected[name] for name in names}, f"window {window} of {raster}"

    async def follow(self, ctx: Any, stall: float) -> None:
        raster = draw(self.rng, self.arch)
        await self.begin(ctx, raster)
        busy = True
        for window in range(raster.windows):
            while self.rng.random() < stall:
                self.check(ctx, raster, window, busy)
                await ctx.tick()
            self.check(ctx, raster, window, busy)
            ctx.set(self.dut.step, 1)
            await ctx.tick()
            ctx.set(self.dut.step, 0)
            busy = busy and not raster.completes(window)
        assert not ctx.get(self.dut.busy)


def test_attributes() -> None:
    dut = Tracker(arch=ARCHES["9 taps"])
    Fragment.get(dut, None)
    assert (len(dut.candidate.mask_x), len(dut.candidate.mask_y)) == (3, 3)


@pytest.mark.parametrize("name", ARCHES)
@pytest.mark.parametrize("stall", [0.0, 0.4], ids=["dense", "stalled"])
def test_candidates_follow_the_windows(name: str, stall: float) -> None:
    bench = Bench(ARCHES[name], 5)

    async def run(ctx: Any) -> None:
        for _ in range(40):
            if bench.rng.random() < 0.3:
                await bench.pass_over(ctx)
            await bench.follow(ctx, stall)

    simulate(bench.dut, run)


def test_a_reset_in_mid_raster_starts_afresh() -> None:
    bench = Bench(ARCHES["9 taps"], 6)
    reset = Signal()

    async def run(ctx: Any) -> None:
        raster = Raster.draw(bench.rng, bench.arch, size=(4, 4), passes=2, blocks=2, lag=3)
        for windows in (2, 9, 30):
            await bench.begin(ctx, raster)
            ctx.set(bench.dut.step, 1)
            await ctx.tick().repeat(windows)
            ctx.set(bench.dut.step, 0)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            await bench.follow(ctx, 0.0)

    simulate(ResetInserter(reset)(bench.dut), run)
