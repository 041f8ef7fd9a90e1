# SPDX-License-Identifier: Apache-2.0
import random
from typing import Any

import pytest
from amaranth.hdl import Fragment

from systolith.hdl.payload import Advance
from systolith.hdl.walker import Walker
from tests.support.simulate import simulate

BITS = 9
STEPS = {Advance.PIXEL: "x", Advance.ROW: "y", Advance.BLOCK: "block"}


def test_attributes() -> None:
    dut = Walker(bits=BITS, single_step=False)
    Fragment.get(dut, None)
    assert len(dut.address) == BITS


@pytest.mark.parametrize("steps", [1, 3])
def test_walks_pixels_in_steps(steps: int) -> None:
    rng = random.Random(steps)
    dut = Walker(bits=BITS, single_step=steps == 1)

    async def walk(ctx: Any) -> None:
        config = {name: rng.randrange(1 << BITS) for name in ("base", "x", "y", "block")}
        ctx.set(dut.config, config)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        pixel = config["base"]
        for _ in range(20):
            advance = rng.choice(list(STEPS))
            for step in range(steps):
                assert ctx.get(dut.address) == (pixel + step) % (1 << BITS)
                await ctx.tick().repeat(rng.randint(1, 3))
                assert ctx.get(dut.address) == (pixel + step) % (1 << BITS)
                for port, value in ((dut.step, 1), (dut.final, step == steps - 1), (dut.advance, advance)):
                    ctx.set(port, value)
                await ctx.tick()
                ctx.set(dut.step, 0)
            pixel += config[STEPS[advance]]

    async def bench(ctx: Any) -> None:
        for _ in range(4):
            await walk(ctx)

    simulate(dut, bench)
