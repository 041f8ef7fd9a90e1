# SPDX-License-Identifier: Apache-2.0
import random
from typing import Any

import pytest

from systolith.hdl.cell import Cell
from systolith.spec.arch import Arch
from systolith.spec.timing import CELL_LATENCY
from tests.support.simulate import simulate

ARCHS = [
    Arch(name="one row", rows=4, cols=2, psum_spacing=1),
    Arch(name="two rows", rows=4, cols=2, psum_spacing=2, weight_rows=2),
    Arch(name="four rows", rows=8, cols=2, psum_spacing=4, weight_rows=2),
    Arch(name="eight rows", rows=8, cols=2, psum_spacing=8, act_bits=16, weight_bits=4, acc_bits=48),
]


def test_cells_of_an_arch_are_the_same_hardware() -> None:
    assert Cell(arch=ARCHS[0]).identity == Cell(arch=ARCHS[0]).identity
    assert Cell(arch=ARCHS[0]).identity != Cell(arch=ARCHS[1]).identity
    assert Cell(arch=ARCHS[0], taps=1).identity != Cell(arch=ARCHS[0]).identity


def taps_of(arch: Arch) -> list[int]:
    """No row, some rows, all rows that can take a tap."""
    return sorted({0, (arch.psum_spacing + 1) // 2, arch.psum_spacing})


@pytest.mark.parametrize(
    ("arch", "taps"),
    [(arch, taps) for arch in ARCHS for taps in taps_of(arch)],
    ids=[f"{arch.name}, {taps} taps" for arch in ARCHS for taps in taps_of(arch)],
)
def test_sums_products_and_passes_on(arch: Arch, taps: int) -> None:
    """Random traffic on all inputs, extremes often, against the registers of the docstring."""
    rng = random.Random(arch.psum_spacing)
    rows, groups = arch.psum_spacing, arch.psum_spacing // arch.weight_rows
    dut = Cell(arch=arch, taps=taps)

    def draw(bits: int) -> int:
        top = 1 << (bits - 1)
        return rng.choice([-top, top - 1, rng.randrange(-top, top)])

    async def bench(ctx: Any) -> None:
        shadow, active = [0] * rows, [0] * rows
        products: list[int] = []
        earlier: list[int] = []
        operands = [0] * rows
        sums: dict[int, int] = {}
        before: dict[str, Any] = {"acts": [0] * rows, "swap": 0, "load": 0, "depthwise": 0}
        for cycle in range(300):
            west: dict[str, Any] = {"acts": [draw(arch.act_bits) for _ in range(rows)], "swap": int(rng.random() < 0.2)}
            west["load"], west["depthwise"] = rng.randrange(1 << groups), rng.randrange(2)
            own = [draw(arch.act_bits) for _ in range(taps)]
            weights = [draw(arch.weight_bits) for _ in range(arch.weight_rows)]
            above = rng.randrange(-1000, 1000)
            ctx.set(dut.west, west)
            if taps:
                ctx.set(dut.taps, own)
            ctx.set(dut.weights, weights)
            ctx.set(dut.psum_in, above)
            assert [ctx.get(dut.east.acts[row]) for row in range(rows)] == before["acts"]
            assert (ctx.get(dut.east.swap), ctx.get(dut.east.load)) == (before["swap"], before["load"])
            # a cell without taps has nothing to pass on: the rows of its columns have none either
            assert ctx.get(dut.east.depthwise) == (before["depthwise"] if taps else 0)
            if cycle in sums:
                assert ctx.get(dut.psum_out) == sums[cycle]
            # the operands of the cycle before meet the active weights now; their sum meets psum_in two cycles later
            if cycle > 2:
                sums[cycle + 1] = sum(earlier) + above
            earlier = products
            products = [act * weight for act, weight in zip(operands, active, strict=True)]
            active = list(shadow) if west["swap"] else active
            for row in range(rows):
                if west["load"] >> (row // arch.weight_rows) & 1:
                    shadow[row] = weights[row % arch.weight_rows]
            before, operands = west, own + west["acts"][taps:] if west["depthwise"] else west["acts"]
            await ctx.tick()

    simulate(dut, bench)


def test_latency() -> None:
    """One activation among zeros comes out when the timing says."""
    arch = ARCHS[0]
    dut = Cell(arch=arch)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.west, {"acts": [0], "swap": 0, "load": 1})
        ctx.set(dut.weights, [3])
        await ctx.tick()
        ctx.set(dut.west, {"acts": [5], "swap": 1, "load": 0})
        for cycle in range(CELL_LATENCY + 2):
            assert ctx.get(dut.psum_out) == (15 if cycle == CELL_LATENCY else 0)
            await ctx.tick()
            ctx.set(dut.west, {"acts": [0], "swap": 0, "load": 0})

    simulate(dut, bench)
