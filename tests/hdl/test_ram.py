# SPDX-License-Identifier: Apache-2.0
import random
from typing import Any

import pytest

from systolith.hdl.ram import Ram
from tests.support.simulate import simulate


def test_latency() -> None:
    assert Ram(bits=8, depth=4).latency == 1


@pytest.mark.parametrize(("bits", "depth"), [(0, 4), (8, 1)])
def test_refusals(bits: int, depth: int) -> None:
    with pytest.raises(ValueError, match=f"got {bits} bits and {depth} lines"):
        Ram(bits=bits, depth=depth)


def test_reads_what_was_written_and_holds_it() -> None:
    rng, depth = random.Random(11), 5
    dut = Ram(bits=12, depth=depth)

    async def bench(ctx: Any) -> None:
        model, held = [0] * depth, 0
        for _ in range(300):
            reading, writing = rng.random() < 0.6, rng.random() < 0.5
            source, target, value = rng.randrange(depth), rng.randrange(depth), rng.randrange(1 << 12)
            ctx.set(dut.read_en, reading)
            ctx.set(dut.read_addr, source)
            ctx.set(dut.write_en, writing)
            ctx.set(dut.write_addr, target)
            ctx.set(dut.write_data, value)
            await ctx.tick()
            held = model[source] if reading else held
            assert ctx.get(dut.read_data) == held
            if writing:
                model[target] = value

    simulate(dut, bench)
