# SPDX-License-Identifier: Apache-2.0
import random
from typing import Any

import pytest

from systolith.hdl.accumulator import Accumulator
from systolith.hdl.matrix import TAG_LEAD
from systolith.spec.arch import Arch
from systolith.spec.timing import ACCUMULATOR_LATENCY, MIN_PASS
from tests.support.simulate import simulate

ARCH = Arch(name="narrow", rows=2, cols=2, psum_spacing=2, act_bits=4, weight_bits=4, acc_bits=16, acc_depth=8)


@pytest.mark.parametrize("gap", [0.0, 0.5])
@pytest.mark.parametrize("pixels", [1, MIN_PASS, ARCH.acc_depth])
def test_adds_up_passes(pixels: int, gap: float) -> None:
    """Passes exactly MIN_PASS apart where they are short, with and without gaps; sums wrap at their width."""
    rng = random.Random(pixels)
    tags: dict[int, dict[str, int]] = {}
    psums: dict[int, list[int]] = {}
    expected: dict[int, list[int]] = {}
    cycle = 0
    for count in (1, 2, 5, 3):
        totals = [[0] * ARCH.cols for _ in range(pixels)]
        for step in range(count):
            begin = cycle
            for pixel in range(pixels):
                values = [rng.randrange(-256, 256) for _ in range(ARCH.cols)]
                totals[pixel] = [total + value for total, value in zip(totals[pixel], values, strict=True)]
                last = step == count - 1
                tags[cycle] = {"start": int(pixel == 0), "first": int(step == 0), "last": int(last), "advance": 0}
                psums[cycle + TAG_LEAD] = values
                if last:
                    expected[cycle + TAG_LEAD + ACCUMULATOR_LATENCY] = totals[pixel]
                cycle += 1 + (rng.randrange(1, 3) if rng.random() < gap else 0)
            cycle = max(cycle, begin + MIN_PASS)
    dut = Accumulator(arch=ARCH)
    seen: dict[int, list[int]] = {}

    async def bench(ctx: Any) -> None:
        for now in range(cycle + 8):
            ctx.set(dut.tags.valid, now in tags)
            ctx.set(dut.tags.payload, tags.get(now, {"start": 1, "first": 1, "last": 1, "advance": 3}))
            ctx.set(dut.psums, psums.get(now, [rng.randrange(-256, 256) for _ in range(ARCH.cols)]))
            if ctx.get(dut.sums.valid):
                seen[now] = [ctx.get(dut.sums.payload.data[index]) for index in range(ARCH.cols)]
            await ctx.tick()

    simulate(dut, bench)
    assert seen == expected
