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
from systolith.hdl.payload import Advance
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.isa import LOOPS, Loop, Op
from systolith.spec.link import Counter
from systolith.spec.timing import MIN_PASS
from tests.support.simulate import simulate

ARCHES = {
    "4x4": PRESETS["4x4"],
    "8x8": PRESETS["8x8"],
    "single port": PRESETS["icebreaker"].with_(cols=4, lane_cycles=4),
    "bare": PRESETS["tiny"].with_(residual=False, pool=False),
}


@dataclass(frozen=True)
class Window:
    """What one iteration of the nest must bring."""

    row: int
    col: int
    tag: dict[str, Any]
    place: int
    """Its number in the pass."""
    final_pass: bool
    final_block: bool


def _advance(row_ends: bool, plane_ends: bool, ends: bool) -> int:
    if not row_ends:
        return Advance.PIXEL
    if not plane_ends:
        return Advance.ROW
    return Advance.END if ends else Advance.BLOCK


def windows(loops: list[Loop], vector: bool) -> Iterator[Window]:
    """The specification's nest, with absolute strides."""
    pixel, reduction = ((3, 4), (0, 1, 2)) if vector else ((0, 1), (2, 3, 4))
    counts = [loop.count for loop in loops]
    row = col = 0
    previous = None
    for place in itertools.product(*(range(count) for count in reversed(counts))):
        index = place[::-1]
        if previous is not None:
            level = max(i for i in range(LOOPS) if index[i] != previous[i])
            row, col = row + loops[level].row_step, col + loops[level].col_step
        previous = index
        last = [index[i] == counts[i] - 1 for i in range(LOOPS)]
        tag = {
            "start": int(not vector and index[0] == index[1] == 0),
            "first": int(all(index[i] == 0 for i in reduction)),
            "last": int(all(last[i] for i in reduction)),
            "advance": _advance(last[pixel[0]], last[pixel[1]], last[5]),
        }
        yield Window(row, col, tag, index[0] + counts[0] * index[1], all(last[2:]), last[5])


class Bench:
    """Random permissions every cycle, and the decision that must follow from them."""

    def __init__(self, arch: Arch, rng: random.Random) -> None:
        self.arch, self.rng = arch, rng
        self.dut = Issue(arch=arch)
        self.vector = False
        self.lanes_free = self.cycle = 0

    async def begin(self, ctx: Any) -> list[Window]:
        rng, dut = self.rng, self.dut
        self.vector = self.arch.pool and rng.random() < 0.4
        loops = [Loop(rng.choice([1, 1, 2, 3]), rng.randint(-50, 50), rng.randint(-50, 50)) for _ in range(LOOPS)]
        ctx.set(dut.step_write, 1)
        for number, step in enumerate(step for loop in loops for step in (loop.row_step, loop.col_step)):
            ctx.set(dut.step_number, number)
            ctx.set(dut.step_data, step % (1 << 32))
            await self.tick(ctx)
        ctx.set(dut.step_write, 0)
        fields = {f"loop{level}_count": loop.count - 1 for level, loop in enumerate(loops)}
        ctx.set(dut.fields, fields | {"op": Op.VECTOR if self.vector else Op.MATRIX})
        ctx.set(dut.start, 1)
        await self.tick(ctx)
        ctx.set(dut.start, 0)
        return list(windows(loops, self.vector))

    async def tick(self, ctx: Any) -> None:
        await ctx.tick()
        self.cycle += 1

    def decide(self, ctx: Any, window: Window) -> Counter:
        """Set the inputs of a cycle and say what must become of it."""
        dut, tag = self.dut, window.tag
        ports = {name: self.rng.random() < 0.6 for name in ("weights_ready", "operand_next", "store_next", "conflict")}
        for name, value in ports.items():
            ctx.set(getattr(dut, name), value)
        if tag["start"] and not ports["weights_ready"]:
            return Counter.WEIGHTS
        if tag["last"] and not self.vector and self.cycle < self.lanes_free:
            return Counter.LANES
        if (ports["operand_next"] and ports["conflict"]) or (ports["store_next"] and self.arch.act_single_port):
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
        late = MIN_PASS - 1 - min(window.place, MIN_PASS - 1)
        assert ctx.get(dut.hold) == (late if issued and not tag["start"] and not self.vector else 0)
        if issued:
            self._check_payload(ctx, window)
        if matrix and tag["last"]:
            self.lanes_free = self.cycle + self.arch.lane_cycles
        return issued

    def _check_payload(self, ctx: Any, window: Window) -> None:
        payload = self.dut.issue.payload
        assert (ctx.get(payload.row), ctx.get(payload.col)) == (window.row, window.col)
        assert ctx.get(payload.vector) == self.vector
        names = [name for name in window.tag if name != "advance" or window.tag["last"]]
        assert {name: ctx.get(payload.tag[name]) for name in names} == {name: window.tag[name] for name in names}
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
        for _ in range(6):
            await bench.walk(ctx)

    simulate(bench.dut, run)
