# SPDX-License-Identifier: Apache-2.0
from typing import Any

import pytest
from amaranth.hdl import Module, Signal, unsigned

from systolith.hdl.skew import Skew, delayed
from tests.support.simulate import simulate


def test_attributes() -> None:
    assert Skew(shape=unsigned(4), delays=range(3)).delays == (0, 1, 2)


def test_refuses_negative_delays() -> None:
    with pytest.raises(ValueError, match=r"must not be negative, got \[0, -1\]"):
        Skew(shape=unsigned(4), delays=[0, -1])


def test_each_item_has_its_delay() -> None:
    delays = (2, 0, 3, 1)
    dut = Skew(shape=unsigned(8), delays=delays)

    async def bench(ctx: Any) -> None:
        for cycle in range(20):
            ctx.set(dut.items, [(10 * index + cycle) % 256 for index in range(4)])
            for index, delay in enumerate(delays):
                expected = (10 * index + cycle - delay) % 256 if cycle >= delay else 0
                assert ctx.get(dut.skewed[index]) == expected
            await ctx.tick()

    simulate(dut, bench)


def test_delayed_by_nothing_is_the_value_itself() -> None:
    value = Signal(4)
    assert delayed(Module(), value, unsigned(4), 0, "value") is value
