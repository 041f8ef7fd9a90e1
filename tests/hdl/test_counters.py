# SPDX-License-Identifier: Apache-2.0
import random
from typing import Any

import pytest
from amaranth.hdl import Fragment

from systolith.hdl.counters import Counters
from systolith.spec.arch import PRESETS
from systolith.spec.isa import WORD_BITS
from systolith.spec.link import Counter
from tests.support.simulate import simulate

ARCH = PRESETS["tiny"].with_(counter_bits=16)
CAUSES = [counter for counter in Counter if counter not in (Counter.CYCLES, Counter.WORK)]


async def clear(ctx: Any, dut: Counters) -> None:
    ctx.set(dut.clear, 1)
    await ctx.tick()
    ctx.set(dut.clear, 0)


async def count(ctx: Any, dut: Counters, rng: random.Random, cycles: int) -> dict[Counter, int]:
    """A run of random causes, in bursts and alternating."""
    expected = dict.fromkeys(Counter, 0)
    cause = rng.choice(CAUSES)
    ctx.set(dut.running, 1)
    before = 0
    for _ in range(cycles):
        cause = rng.choice([cause, cause, *CAUSES[:3]])
        pixel, work = rng.random() < 0.2, rng.randrange(50)
        for port, value in ((dut.cause, cause), (dut.pixel, pixel), (dut.work, before)):
            ctx.set(port, value)
        before = work
        expected[cause] += 1
        expected[Counter.CYCLES] += 1
        expected[Counter.WORK] += work * pixel
        await ctx.tick()
    ctx.set(dut.running, 0)
    ctx.set(dut.work, before)
    await ctx.tick().repeat(3)
    return expected


async def read(ctx: Any, dut: Counters) -> dict[Counter, int]:
    values = {}
    for counter in Counter:
        ctx.set(dut.select, counter)
        await ctx.tick()
        values[counter] = ctx.get(dut.value)
    return values


def test_attributes() -> None:
    dut = Counters(arch=ARCH)
    Fragment.get(dut, None)
    assert len(dut.value) == WORD_BITS
    assert len(dut.work) == ARCH.counter_bits


@pytest.mark.parametrize("seed", [1, 2])
def test_counts_each_cycle_once(seed: int) -> None:
    rng = random.Random(seed)
    dut = Counters(arch=ARCH)

    async def bench(ctx: Any) -> None:
        for cycles in (1, 2, 150):
            await clear(ctx, dut)
            expected = await count(ctx, dut, rng, cycles)
            assert await read(ctx, dut) == expected
            assert await read(ctx, dut) == expected

    simulate(dut, bench)


def test_all_are_zero_after_clear() -> None:
    dut = Counters(arch=ARCH)

    async def bench(ctx: Any) -> None:
        await count(ctx, dut, random.Random(3), 40)
        await clear(ctx, dut)
        assert set((await read(ctx, dut)).values()) == {0}

    simulate(dut, bench)


def test_wraps_at_its_width() -> None:
    dut = Counters(arch=ARCH)

    async def bench(ctx: Any) -> None:
        await clear(ctx, dut)
        for port, value in ((dut.running, 1), (dut.pixel, 1), (dut.work, 0xFFFF), (dut.cause, Counter.ACTIVE)):
            ctx.set(port, value)
        await ctx.tick().repeat(3)
        ctx.set(dut.running, 0)
        await ctx.tick().repeat(2)
        assert (await read(ctx, dut))[Counter.WORK] == 3 * 0xFFFF % (1 << 16)

    simulate(dut, bench)
