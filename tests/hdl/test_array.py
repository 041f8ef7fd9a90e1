# SPDX-License-Identifier: Apache-2.0
import random
from typing import Any

import pytest

from systolith.hdl.array import Array
from systolith.spec.arch import Arch
from systolith.spec.timing import CELL_LATENCY
from tests.support.simulate import simulate

ARCHS = [
    Arch(name="2 groups", rows=4, cols=4, psum_spacing=2, weight_rows=1),
    Arch(name="1 group", rows=4, cols=2, psum_spacing=4, weight_rows=4),
    Arch(name="4 groups", rows=4, cols=8, psum_spacing=1, weight_rows=1),
    Arch(name="9 taps", rows=16, cols=2, psum_spacing=4, weight_rows=2),
    Arch(name="no taps", rows=8, cols=4, psum_spacing=2, weight_rows=2, depthwise=False),
]


@pytest.mark.parametrize("arch", ARCHS, ids=lambda arch: arch.name)
def test_skewed_inputs_give_skewed_sums(arch: Arch) -> None:
    """Weights loaded first; then a window a cycle, each group and column at its own time, some with taps."""
    rng = random.Random(arch.cols)
    groups, spacing = arch.rows // arch.psum_spacing, arch.psum_spacing
    weights = [[rng.randrange(-128, 128) for _ in range(arch.cols)] for _ in range(arch.rows)]
    reached = arch.taps if arch.depthwise else 0
    windows = [[rng.randrange(-128, 128) for _ in range(arch.rows)] for _ in range(20)]
    depthwise = [rng.randrange(2) if reached else 0 for _ in windows]
    own = [[[rng.randrange(-128, 128) for _ in range(reached)] for _ in range(arch.cols)] for _ in windows]
    begin = arch.pass_lines + arch.cols
    dut = Array(arch=arch)

    def west(cycle: int, group: int) -> dict[str, Any]:
        index, first = cycle - begin - group, group * spacing
        acts = windows[index][first : first + spacing] if 0 <= index < len(windows) else [0] * spacing
        flags = spacing // arch.weight_rows
        line = cycle - group * flags
        taken = depthwise[index] if 0 <= index < len(windows) else rng.randrange(2)
        return {
            "acts": acts,
            "swap": int(index == 0),
            "load": 1 << line if 0 <= line < flags else 0,
            "depthwise": taken,
        }

    def taps(cycle: int, column: int) -> list[int]:
        """Each row's when its group's activations are there; anything before and behind the windows."""
        indices = [cycle - begin - row // spacing - column for row in range(reached)]
        return [
            own[index][column][row] if 0 <= index < len(windows) else rng.randrange(-128, 128)
            for row, index in enumerate(indices)
        ]

    def operands(window: int, column: int) -> list[int]:
        return (own[window][column] if depthwise[window] else windows[window][:reached]) + windows[window][reached:]

    def column(cycle: int, index: int) -> list[int]:
        line = cycle - index
        rows = range(line * arch.weight_rows, (line + 1) * arch.weight_rows)
        return [weights[row][index] if 0 <= row < arch.rows else 99 for row in rows]

    async def bench(ctx: Any) -> None:
        for cycle in range(begin + len(windows) + groups + arch.cols + CELL_LATENCY):
            ctx.set(dut.west, [west(cycle, group) for group in range(groups)])
            if reached:
                ctx.set(dut.taps, [taps(cycle, index) for index in range(arch.cols)])
            ctx.set(dut.weights, [column(cycle, index) for index in range(arch.cols)])
            for index in range(arch.cols):
                window = cycle - begin - (groups - 1 + index) - CELL_LATENCY
                if 0 <= window < len(windows):
                    products = (act * weights[row][index] for row, act in enumerate(operands(window, index)))
                    assert ctx.get(dut.psums[index]) == sum(products)
            await ctx.tick()

    simulate(dut, bench)
