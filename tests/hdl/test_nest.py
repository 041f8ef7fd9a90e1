# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from amaranth.hdl import Fragment, ResetInserter, Signal

from systolith.hdl.nest import Nest, NestConfig
from systolith.hdl.payload import Setup
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.isa import LOOPS, Loop
from tests.support.simulate import simulate

ARCH = PRESETS["tiny"]
Step = tuple[int, int, int, int]


def walk(loops: list[Loop], row: int, col: int) -> Iterator[Step]:
    """The six loops written out with absolute strides folded back from the relative steps."""
    counts = [loop.count for loop in loops]
    index = [0] * LOOPS
    while True:
        first = sum(1 << i for i in range(LOOPS) if index[i] == 0)
        last = sum(1 << i for i in range(LOOPS) if index[i] == counts[i] - 1)
        yield row, col, first, last
        level = next((i for i in range(LOOPS) if index[i] < counts[i] - 1), None)
        if level is None:
            return
        index[level] += 1
        index[:level] = [0] * level
        row += loops[level].row_step
        col += loops[level].col_step


def config_of(loops: list[Loop], row: int, col: int) -> dict[str, object]:
    return {
        "counts": [loop.count - 1 for loop in loops],
        "row_start": row,
        "col_start": col,
    }


def random_loops(rng: random.Random) -> list[Loop]:
    return [Loop(rng.choice([1, 1, 2, 3, 4]), rng.randint(-40, 40), rng.randint(-40, 40)) for _ in range(LOOPS)]


def test_attributes() -> None:
    nest = Nest(arch=ARCH)
    Fragment.get(nest, None)
    assert nest.latency == 1
    assert nest.row.shape().width == ARCH.coord_bits
    assert NestConfig(ARCH)["counts"].shape.length == LOOPS


def test_coordinates_wider_than_a_word_are_refused() -> None:
    with pytest.raises(ValueError, match="coordinates must have at most 32 bits, got 33"):
        Nest(arch=Arch(name="huge", rows=256, cols=2, act_lines=1 << 24))


def wrapped(value: int) -> int:
    """A coordinate as the hardware holds it."""
    half = 1 << (ARCH.coord_bits - 1)
    return (value + half) % (2 * half) - half


@dataclass
class Walk:
    """A random walk: loops and first coordinates."""

    loops: list[Loop]
    row: int
    col: int

    @classmethod
    def draw(cls, rng: random.Random) -> Walk:
        return cls(random_loops(rng), rng.randint(-100, 100), rng.randint(-100, 100))


class Bench:
    """Walks one nest after another; the steps of the next are written while the present one is walked."""

    def __init__(self, dut: Nest, rng: random.Random, stall: float) -> None:
        self.dut, self.rng, self.stall = dut, rng, stall
        self.bank = 0
        self.writes: list[tuple[int, int]] = []

    def prepare(self, walk: Walk) -> None:
        """Begin to write the steps of a walk, one loop a cycle, in random order."""
        mask = (1 << 32) - 1
        words = [(loop.row_step & mask) | (loop.col_step & mask) << 32 for loop in walk.loops]
        self.writes = list(enumerate(words))
        self.rng.shuffle(self.writes)

    async def tick(self, ctx: Any) -> None:
        ctx.set(self.dut.step_write, bool(self.writes))
        loop, step = self.writes.pop() if self.writes else (self.rng.randrange(LOOPS), self.rng.getrandbits(64))
        ctx.set(self.dut.step_loop, loop)
        ctx.set(self.dut.step_data, step)
        await ctx.tick()

    async def begin(self, ctx: Any, following: Walk) -> None:
        """From the end of the walk before to the first iteration."""
        self.prepare(following)
        together = self.rng.randrange(2)
        for setup in (Setup.CLEAR, Setup.ARM, Setup.FIRST):
            while self.rng.random() < self.stall:
                await self.tick(ctx)
            ctx.set(self.dut.setup, setup)
            ctx.set(self.dut.start, setup == Setup.FIRST and together)
            await self.tick(ctx)
            ctx.set(self.dut.setup, Setup.NONE)
        if not together:
            await self.tick(ctx)
            assert ctx.get(self.dut.valid) == 0
            ctx.set(self.dut.start, 1)
            await self.tick(ctx)
        ctx.set(self.dut.start, 0)

    async def check(self, ctx: Any, present: Walk, following: Walk) -> None:
        """Compare every iteration of a walk that is prepared, taking each after random waits."""
        dut = self.dut
        while self.writes:
            await self.tick(ctx)
        self.bank ^= 1
        ctx.set(dut.bank, self.bank)
        ctx.set(dut.config, config_of(present.loops, present.row, present.col))
        ctx.set(dut.vector, vector := self.rng.randrange(2))
        ctx.set(dut.raster, raster := self.rng.randrange(2))
        await self.begin(ctx, following)
        for y, x, first, last in walk(present.loops, present.row, present.col):
            while self.rng.random() < self.stall:
                await self.tick(ctx)
            assert ctx.get(dut.valid) == 1
            got = tuple(map(ctx.get, (dut.row, dut.col, dut.first, dut.last)))
            assert got == (wrapped(y), wrapped(x), first, last)
            assert tuple(map(ctx.get, (dut.pass_begins, dut.sum_begins, dut.sum_ends))) == (
                begins := not vector and not raster and first & 0b11 == 0b11,
                first & (inner := 0b111 if vector else 0b11100) == inner,
                last & inner == inner,
            )
            assert ctx.get(dut.block_begins) == (begins and first & inner == inner)
            assert ctx.get(dut.vector_ends) == (vector and last & inner == inner)
            ctx.set(dut.advance, 1)
            await self.tick(ctx)
            ctx.set(dut.advance, 0)
        assert ctx.get(dut.valid) == 0

    async def walk(self, ctx: Any, count: int) -> None:
        walks = [Walk.draw(self.rng) for _ in range(count + 1)]
        self.prepare(walks[0])
        for present, following in zip(walks, walks[1:], strict=False):
            await self.check(ctx, present, following)


@pytest.mark.parametrize(("seed", "stall"), [(1, 0.0), (2, 0.3)])
def test_walks_like_nested_loops(seed: int, stall: float) -> None:
    dut = Nest(arch=ARCH)
    bench = Bench(dut, random.Random(seed), stall)

    async def run(ctx: Any) -> None:
        await bench.walk(ctx, 12)

    simulate(dut, run)


def test_a_reset_in_mid_walk_starts_afresh() -> None:
    dut = Nest(arch=ARCH)
    bench = Bench(dut, random.Random(3), 0.0)
    reset = Signal()

    async def run(ctx: Any) -> None:
        ctx.set(dut.config, config_of([Loop(3, 1, 2)] * LOOPS, 5, 6))
        await bench.begin(ctx, Walk.draw(bench.rng))
        ctx.set(dut.advance, 1)
        await ctx.tick().repeat(20)
        assert ctx.get(dut.valid) == 1
        ctx.set(dut.advance, 0)
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        assert ctx.get(dut.valid) == 0
        await bench.walk(ctx, 1)

    simulate(ResetInserter(reset)(dut), run)
