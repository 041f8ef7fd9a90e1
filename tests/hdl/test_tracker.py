# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.hdl import Fragment, ResetInserter, Signal

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
        """Before a descriptor the fields change bit by bit."""
        for _ in range(self.rng.choice([0, 1, 4])):
            ctx.set(self.dut.fields, draw(self.rng, self.arch).fields())
            assert not ctx.get(self.dut.busy)
            await ctx.tick()
        ctx.set(self.dut.fields, raster.fields())
        ctx.set(self.dut.start, 1)
        await ctx.tick()
        ctx.set(self.dut.start, 0)

    def check(self, ctx: Any, raster: Raster, window: int, busy: bool) -> None:
        candidate, expected = self.dut.candidate, raster.candidate(window)
        assert ctx.get(self.dut.busy) == busy, f"window {window} of {raster}"
        if expected is None or not busy:
            assert (ctx.get(candidate.emit), ctx.get(candidate.start)) == (0, 0), f"window {window} of {raster}"
            return
        # what is no output pixel has nothing to say but that
        names = expected if expected["emit"] else ("emit", "start")
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
