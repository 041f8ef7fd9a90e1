# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from amaranth.hdl import Fragment

from systolith.hdl.issue import Issue
from systolith.hdl.payload import Advance, Setup
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.isa import LOOPS, Loop, layout
from systolith.spec.link import Counter
from systolith.spec.timing import MIN_PASS
from tests.support.rasters import Raster
from tests.support.simulate import simulate

ARCHES = {
    "4x4": PRESETS["4x4"],
    "8x8": PRESETS["8x8"],
    "9 taps": Arch(name="9", rows=16, cols=4, lane_cycles=2, act_lines=1024),
    "single port": PRESETS["up5k"].with_(cols=4, lane_cycles=4),
    "no rasters": PRESETS["8x8"].with_(depthwise=False, lane_cycles=8),
    "bare": PRESETS["tiny"].with_(residual=False, pool=False, narrow_weights=False),
    "waits for weights alone": Arch(name="bare", rows=8, cols=4, residual=False, pool=False),
}


@dataclass(frozen=True)
class Window:
    """What a window must bring; ``row`` is None where the nest has ended and the window is any."""

    row: int | None
    col: int
    tag: dict[str, Any]
    place: int
    """Its number in the pass."""
    final_pass: bool
    final_block: bool
    depthwise: dict[str, int]
    """The feed's part of it."""

    @property
    def ends(self) -> bool:
        return bool(self.tag["last"] and self.tag["advance"] == Advance.END)


def _advance(row_ends: bool, plane_ends: bool, ends: bool) -> int:
    if not row_ends:
        return Advance.PIXEL
    if not plane_ends:
        return Advance.ROW
    return Advance.END if ends else Advance.BLOCK


def walk(loops: list[Loop], start: tuple[int, int]) -> Iterator[tuple[tuple[int, ...], int, int]]:
    """The specification's nest: indices and coordinates of each iteration."""
    row, col = start
    previous = None
    for place in itertools.product(*(range(loop.count) for loop in reversed(loops))):
        index = place[::-1]
        if previous is not None:
            level = max(i for i in range(LOOPS) if index[i] != previous[i])
            row, col = row + loops[level].row_step, col + loops[level].col_step
        previous = index
        yield index, row, col


def windows(loops: list[Loop], start: tuple[int, int], vector: bool) -> Iterator[Window]:
    """The windows of a MATRIX that is not depthwise, or of a VECTOR."""
    pixel, reduction = ((3, 4), (0, 1, 2)) if vector else ((0, 1), (2, 3, 4))
    counts = [loop.count for loop in loops]
    for index, row, col in walk(loops, start):
        last = [index[i] == counts[i] - 1 for i in range(LOOPS)]
        tag = {
            "start": int(not vector and index[0] == index[1] == 0),
            "first": int(all(index[i] == 0 for i in reduction)),
            "last": int(all(last[i] for i in reduction)),
            "advance": _advance(last[pixel[0]], last[pixel[1]], last[5]),
        }
        plain = {"depthwise": 0, "emit": 1}
        yield Window(row, col, tag, index[0] + counts[0] * index[1], all(last[2:]), last[5], plain)


def raster_windows(loops: list[Loop], start: tuple[int, int], raster: Raster) -> Iterator[Window]:
    """The windows of a depthwise MATRIX: the nest says where, the candidate what for."""
    nest = walk(loops, start)
    for number in range(raster.windows):
        _, row, col = next(nest, (None, None, 0))
        found = raster.candidate(number) or dict.fromkeys(("emit", "start", "last", "final"), 0)
        tag: dict[str, Any] = {"start": found["start"], "last": found["last"] & found["emit"]}
        feed = {"depthwise": 1, "emit": found["emit"]}
        if found["emit"]:
            tag |= {"first": found["first"], "advance": found["advance"]}
            feed |= {"mask_x": found["mask_x"], "mask_y": found["mask_y"]}
        final = bool(found["final"])
        yield Window(row, col, tag, MIN_PASS, bool(tag["last"] and final), final, feed)


class Bench:
    """Random permissions every cycle, and the decision that must follow from them."""

    def __init__(self, arch: Arch, rng: random.Random) -> None:
        self.arch, self.rng = arch, rng
        self.dut = Issue(arch=arch)
        self.kind = ""
        self.fields: dict[str, int] = {}
        self.apart = False
        self.lanes_free = self.cycle = self.bank = 0
        self.banks = self.free = 2
        """Free ones of buffered accumulators: after, and before this cycle."""

    @property
    def vector(self) -> bool:
        return self.kind == "vector"

    async def begin(self, ctx: Any) -> list[Window]:
        rng, dut, arch = self.rng, self.dut, self.arch
        kinds = ["matrix"] + ["vector"] * arch.pool + ["depthwise"] * arch.depthwise
        self.kind = rng.choice(kinds)
        loops = [Loop(rng.choice([1, 1, 2, 3]), rng.randint(-50, 50), rng.randint(-50, 50)) for _ in range(LOOPS)]
        await self.set_steps(ctx, loops)
        start = rng.randint(-90, 90), rng.randint(-90, 90)
        self.fields = {f"loop{level}_count": loop.count - 1 for level, loop in enumerate(loops)}
        self.fields |= {"row_start": start[0], "col_start": start[1]}
        self.fields["weights_next"] = rng.randrange(1 << layout(arch)["weights_next"].width)
        if arch.narrow_weights:
            self.fields["narrow_next"] = rng.randrange(3)
        if arch.pool:
            self.fields["maximum"] = rng.randrange(2)
        if layout(arch)["apart"].width:
            self.fields["apart"] = rng.randrange(2)
        # a VECTOR's windows are no raster, whatever the field says
        raster = self.raster(loops)
        self.fields |= raster.fields() if arch.depthwise and self.kind != "matrix" else {}
        await self.set_up(ctx, Setup.CLEAR)
        ctx.set(dut.fields, self.fields)
        ctx.set(dut.vector, self.vector)
        await self.set_up(ctx, Setup.ARM)
        if rng.randrange(2):
            ctx.set(dut.setup, Setup.FIRST)
        else:
            await self.set_up(ctx, Setup.FIRST)
        ctx.set(dut.start, 1)
        self.permit(ctx)
        assert (ctx.get(dut.busy), ctx.get(dut.issue.valid)) == (0, 0)
        assert ctx.get(dut.cause) == Counter.CONTROL
        await self.tick(ctx)
        ctx.set(dut.start, 0)
        ctx.set(dut.setup, Setup.NONE)
        if self.kind == "depthwise":
            return list(raster_windows(loops, start, raster))
        return list(windows(loops, start, self.vector))

    async def set_up(self, ctx: Any, setup: int) -> None:
        """A cycle before a descriptor."""
        ctx.set(self.dut.setup, setup)
        self.permit(ctx)
        await self.tick(ctx)
        ctx.set(self.dut.setup, Setup.NONE)

    def raster(self, loops: list[Loop]) -> Raster:
        counts = [loop.count for loop in loops]
        passes = counts[2] * counts[3] * counts[4]
        lag = self.rng.choice([0, 1, 4, 12])
        size = counts[0], counts[1]
        return Raster.draw(self.rng, self.arch, size=size, passes=passes, blocks=counts[5], lag=lag)

    async def set_steps(self, ctx: Any, loops: list[Loop]) -> None:
        dut, mask = self.dut, (1 << 32) - 1
        ctx.set(dut.step_write, 1)
        for level, loop in enumerate(loops):
            ctx.set(dut.step_loop, level)
            ctx.set(dut.step_data, (loop.row_step & mask) | (loop.col_step & mask) << 32)
            self.permit(ctx)
            await self.tick(ctx)
        ctx.set(dut.step_write, 0)
        self.bank ^= 1
        ctx.set(dut.bank, self.bank)

    async def tick(self, ctx: Any) -> None:
        await ctx.tick()
        self.cycle += 1

    def permit(self, ctx: Any) -> dict[str, bool]:
        """The inputs of a cycle."""
        ports = {name: self.rng.random() < 0.6 for name in ("weights_ready", "operand_next", "store_next")}
        ports["drained"] = self.banks < 2 and self.rng.random() < 0.3
        for name, value in ports.items():
            ctx.set(getattr(self.dut, name), value)
        self.free = self.banks
        self.banks += ports["drained"]
        return ports

    def decide(self, ctx: Any, window: Window) -> Counter:
        """Set the inputs of a cycle and say what must become of it."""
        arch, tag = self.arch, window.tag
        ports = self.permit(ctx)
        if tag["start"] and not ports["weights_ready"]:
            return Counter.WEIGHTS
        if arch.buffered and self.vector and tag["last"] and self.cycle < self.lanes_free:
            return Counter.LANES
        if arch.buffered and not self.vector and tag["start"] and tag["first"] and not self.free:
            return Counter.LANES
        operand = arch.residual and ports["operand_next"] and not self.fields.get("apart", 0)
        if operand or (ports["store_next"] and arch.act_single_port):
            return Counter.MEMORY
        return Counter.VECTOR if self.vector else Counter.ACTIVE

    def check(self, ctx: Any, window: Window, cause: Counter) -> bool:
        """The cycle's outputs; returns whether the window was issued."""
        dut, tag = self.dut, window.tag
        issued = cause in (Counter.VECTOR, Counter.ACTIVE)
        assert (ctx.get(dut.busy), ctx.get(dut.cause), ctx.get(dut.issue.valid)) == (1, cause, issued)
        matrix = issued and not self.vector
        assert ctx.get(dut.taken) == (matrix and tag["start"])
        assert ctx.get(dut.pixel) == (matrix and tag["last"] and window.final_block)
        assert ctx.get(dut.ended) == (issued and window.ends)
        assert ctx.get(dut.target) == self.fields["weights_next"]
        assert not self.arch.narrow_weights or ctx.get(dut.narrow) == self.fields.get("narrow_next", 0)
        late = MIN_PASS - 1 - min(window.place, MIN_PASS - 1)
        assert ctx.get(dut.hold) == (late if matrix and not tag["start"] else 0)
        if issued:
            self._check_payload(ctx, window)
            self._account(window)
        return issued

    def _account(self, window: Window) -> None:
        """What the window takes."""
        if window.tag["start"]:
            self.banks -= window.tag["first"]
        if self.vector and window.tag["last"]:
            self.lanes_free = self.cycle + self.arch.lane_cycles

    def _check_payload(self, ctx: Any, window: Window) -> None:
        payload = self.dut.issue.payload
        if window.row is not None:
            assert (ctx.get(payload.row), ctx.get(payload.col)) == (window.row, window.col)
        assert ctx.get(payload.vector) == self.vector
        if self.arch.pool:
            assert ctx.get(payload.maximum) == self.fields["maximum"]
        names = [name for name in window.tag if name != "advance" or window.tag["last"]]
        assert {name: ctx.get(payload.tag[name]) for name in names} == {name: window.tag[name] for name in names}
        if self.arch.depthwise:
            assert {name: ctx.get(payload.dw[name]) for name in window.depthwise} == window.depthwise
        if window.tag["start"]:
            assert ctx.get(self.dut.jump) == window.final_pass

    async def walk(self, ctx: Any) -> None:
        for window in await self.begin(ctx):
            issued = False
            while not issued:
                issued = self.check(ctx, window, self.decide(ctx, window))
                await self.tick(ctx)
        assert ctx.get(self.dut.busy) == 0


def test_attributes() -> None:
    dut = Issue(arch=ARCHES["4x4"])
    Fragment.get(dut, None)
    assert len(dut.issue.payload.row) == ARCHES["4x4"].coord_bits


@pytest.mark.parametrize("name", ARCHES)
@pytest.mark.parametrize("seed", [1, 2])
def test_every_cycle_issues_or_names_its_cause(name: str, seed: int) -> None:
    bench = Bench(ARCHES[name], random.Random(seed))

    async def run(ctx: Any) -> None:
        for _ in range(14):
            await bench.walk(ctx)

    simulate(bench.dut, run)
