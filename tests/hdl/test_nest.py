# SPDX-License-Identifier: Apache-2.0
import random
from collections.abc import Iterator
from typing import Any

import pytest
from amaranth.hdl import Fragment, ResetInserter, Signal

from systolith.hdl.nest import Nest, NestConfig
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


async def set_steps(ctx: Any, dut: Nest, loops: list[Loop]) -> None:
    ctx.set(dut.step_write, 1)
    for number, step in enumerate(step for loop in loops for step in (loop.row_step, loop.col_step)):
        ctx.set(dut.step_number, number)
        ctx.set(dut.step_data, step % (1 << 32))
        await ctx.tick()
    ctx.set(dut.step_write, 0)


async def check_walk(ctx: Any, dut: Nest, rng: random.Random, stall: float) -> None:
    """Start a random walk and compare every iteration, taking each after random waits."""
    loops, row, col = random_loops(rng), rng.randint(-100, 100), rng.randint(-100, 100)
    await set_steps(ctx, dut, loops)
    ctx.set(dut.config, config_of(loops, row, col))
    ctx.set(dut.start, 1)
    await ctx.tick()
    ctx.set(dut.start, 0)
    for y, x, first, last in walk(loops, row, col):
        while rng.random() < stall:
            await ctx.tick()
        assert ctx.get(dut.valid) == 1
        got = tuple(map(ctx.get, (dut.row, dut.col, dut.first, dut.last)))
        assert got == (wrapped(y), wrapped(x), first, last)
        ctx.set(dut.advance, 1)
        await ctx.tick()
        ctx.set(dut.advance, 0)
    assert ctx.get(dut.valid) == 0


@pytest.mark.parametrize(("seed", "stall"), [(1, 0.0), (2, 0.3)])
def test_walks_like_nested_loops(seed: int, stall: float) -> None:
    rng = random.Random(seed)
    dut = Nest(arch=ARCH)

    async def bench(ctx: Any) -> None:
        for _ in range(12):
            await check_walk(ctx, dut, rng, stall)

    simulate(dut, bench)


def test_a_reset_in_mid_walk_starts_afresh() -> None:
    dut = Nest(arch=ARCH)
    reset = Signal()

    async def bench(ctx: Any) -> None:
        ctx.set(dut.config, config_of([Loop(3, 1, 2)] * LOOPS, 5, 6))
        ctx.set(dut.advance, 1)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        await ctx.tick().repeat(20)
        assert ctx.get(dut.valid) == 1
        ctx.set(dut.advance, 0)
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        assert ctx.get(dut.valid) == 0
        await check_walk(ctx, dut, random.Random(3), 0.0)

    simulate(ResetInserter(reset)(dut), bench)
