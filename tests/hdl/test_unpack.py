# SPDX-License-Identifier: Apache-2.0
import random
from typing import Any

import pytest
from amaranth.sim import Simulator

from systolith.hdl.unpack import QUARTERS, Unpack

PLACES = 3


def _part(place: int, narrow: int, part: int) -> int:
    """Part ``part`` of the 8 bits of a place, as a signed integer."""
    bits = 8 >> narrow
    field = place >> (part * bits) & ((1 << bits) - 1)
    return field - (1 << bits) if field >> (bits - 1) else field


@pytest.mark.parametrize(("narrow", "part"), [(0, 0), (1, 0), (1, 1), *((2, part) for part in range(4))])
def test_every_part_of_every_place(narrow: int, part: int) -> None:
    dut, rng = Unpack(weights=PLACES), random.Random(narrow)

    async def run(ctx: Any) -> None:
        ctx.set(dut.part, {"whole": narrow == 0, "half": narrow == 1, "quarter": part * (QUARTERS >> narrow)})
        for place in range(256):
            line = [place, *(rng.randrange(256) for _ in range(PLACES - 1))]
            ctx.set(dut.line, line)
            await ctx.delay(1e-9)
            got = [ctx.get(dut.weights[index]) for index in range(PLACES)]
            assert got == [_part(value, narrow, part) for value in line]

    simulator = Simulator(dut)
    simulator.add_testbench(run)
    simulator.run()
