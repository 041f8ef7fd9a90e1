# SPDX-License-Identifier: Apache-2.0
from typing import Any

import pytest

from systolith.boards.shell.silence import SilenceWatch
from tests.support.simulate import simulate


def test_attributes_and_refusals() -> None:
    assert SilenceWatch(cycles=100).cycles == 128
    with pytest.raises(TypeError, match="cycles must be an int, got '3'"):
        SilenceWatch(cycles="3")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="cycles must be at least 2, got 1"):
        SilenceWatch(cycles=1)


def test_gap_and_reset_follow_the_level() -> None:
    dut = SilenceWatch(cycles=16)
    seen = []

    async def bench(ctx: Any) -> None:
        for level, cycles in [(1, 30), (0, 10), (1, 10), (0, 30), (1, 5)]:
            ctx.set(dut.level, level)
            gaps = resets = 0
            for _ in range(cycles):
                await ctx.tick()
                gaps += ctx.get(dut.gap)
                resets += ctx.get(dut.reset)
            seen.append((gaps, resets))

    simulate(dut, bench)
    assert seen == [(15, 0), (0, 0), (0, 0), (0, 14), (0, 0)]
