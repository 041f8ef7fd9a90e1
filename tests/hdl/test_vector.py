# SPDX-License-Identifier: Apache-2.0
import random
from typing import Any

import pytest

from systolith.hdl.vector import VectorUnit
from systolith.spec.arch import Arch
from systolith.spec.timing import VECTOR_LATENCY
from tests.support.simulate import simulate

ARCHS = [
    Arch(name="8 bits", rows=4, cols=4, lane_cycles=2),
    Arch(name="4 bits", rows=2, cols=4, psum_spacing=2, act_bits=4, weight_bits=4, acc_bits=16),
    Arch(name="16 bits", rows=4, cols=2, act_bits=16, weight_bits=8, acc_bits=40),
]


@pytest.mark.parametrize("maximum", [0, 1], ids=["sum", "maximum"])
@pytest.mark.parametrize("arch", ARCHS, ids=lambda arch: arch.name)
def test_reduces_each_pixel(arch: Arch, maximum: int) -> None:
    rng, top = random.Random(arch.act_bits), 1 << (arch.act_bits - 1)
    dut = VectorUnit(arch=arch)
    expected: dict[int, tuple[list[int], int]] = {}
    cycle = 0

    async def tick(ctx: Any) -> None:
        """A cycle, whose results are those expected of it."""
        nonlocal cycle
        assert ctx.get(dut.sums.valid) == (cycle in expected)
        if cycle in expected:
            got = [ctx.get(dut.sums.payload.data[lane]) for lane in range(arch.cols)]
            assert (got, ctx.get(dut.sums.payload.advance).value) == expected[cycle]
        await ctx.tick()
        cycle += 1

    async def bench(ctx: Any) -> None:
        for _ in range(40):
            taps = rng.randrange(1, 7)
            columns: list[list[int]] = [[] for _ in range(arch.cols)]
            for tap in range(taps):
                window = [rng.choice([-top, top - 1, rng.randrange(-top, top)]) for _ in range(arch.window)]
                for lane, column in enumerate(columns):
                    column.append(window[lane])
                tag = {"start": 0, "first": int(tap == 0), "last": int(tap == taps - 1), "advance": taps % 4}
                ctx.set(dut.windows.payload, {"vector": 1, "maximum": maximum, "tag": tag, "data": window})
                ctx.set(dut.windows.valid, 1)
                if tap == taps - 1:
                    results = [max(column) if maximum else sum(column) for column in columns]
                    expected[cycle + VECTOR_LATENCY] = (results, taps % 4)
                await tick(ctx)
                ctx.set(dut.windows.valid, 0)
                ctx.set(dut.windows.payload.data, [top - 1] * arch.window)
                for _ in range(rng.choice([0, 0, 1, 3])):
                    await tick(ctx)
        for _ in range(VECTOR_LATENCY + 1):
            await tick(ctx)
        assert len(expected) == 40

    simulate(dut, bench)
