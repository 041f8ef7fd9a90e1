# SPDX-License-Identifier: Apache-2.0
import random
from typing import Any

import pytest

from systolith.hdl.matrix import TAG_LEAD, Matrix
from systolith.spec.arch import Arch
from systolith.spec.timing import matrix_latency
from tests.support.passes import Pass, draw_blocks, plan
from tests.support.simulate import simulate


def arch_of(rows: int, cols: int, psum_spacing: int, weight_rows: int, **widths: Any) -> Arch:
    return Arch(
        name=f"{rows}x{cols} P{psum_spacing} WL{weight_rows} {widths}",
        rows=rows,
        cols=cols,
        psum_spacing=psum_spacing,
        weight_rows=weight_rows,
        acc_depth=64,
        **({"acc_bits": 48} | widths),
    )


ARCHS = [
    arch_of(2, 2, 2, 1),
    arch_of(4, 4, 4, 1),
    arch_of(4, 2, 1, 1),
    arch_of(8, 4, 4, 4),
    arch_of(8, 2, 2, 2),
    arch_of(4, 8, 2, 1),
    arch_of(4, 4, 2, 2, weight_bits=4),
    arch_of(2, 4, 2, 1, act_bits=16),
    arch_of(4, 2, 4, 2, act_bits=4, weight_bits=2),
]


def passes_of(arch: Arch, seed: int) -> list[Pass]:
    """Passes of all lengths around the limits of the weights and the accumulators."""
    sizes = [(pixels, 1) for pixels in (1, 3, 4, arch.pass_lines, arch.pass_lines + 1, 5, 2)]
    return [block[0] for block in draw_blocks(arch, seed, sizes)]


@pytest.mark.parametrize("relaxed", [False, True], ids=["dense", "relaxed"])
@pytest.mark.parametrize("arch", ARCHS, ids=lambda arch: arch.name)
def test_every_window_meets_its_pass_s_weights(arch: Arch, relaxed: bool) -> None:
    passes = passes_of(arch, seed=arch.rows)
    schedule = plan(arch, passes, random.Random(arch.cols), relaxed=relaxed)
    expected = [(item.windows @ item.weights).tolist() for item in passes]
    rows = dict(zip(sorted(schedule.windows), [row for block in expected for row in block], strict=True))
    latency = matrix_latency(arch)
    dut = Matrix(arch=arch)

    async def bench(ctx: Any) -> None:
        for cycle in range(schedule.cycles + latency):
            for port, payloads in ((dut.windows, schedule.windows), (dut.weights, schedule.weights)):
                ctx.set(port.valid, cycle in payloads)
                if cycle in payloads:
                    ctx.set(port.payload, payloads[cycle])
            entered = cycle - latency + TAG_LEAD
            assert ctx.get(dut.tags.valid) == (entered in rows)
            if entered in rows:
                tag = schedule.windows[entered]["tag"]
                assert {name: int(getattr(ctx.get(dut.tags.payload), name)) for name in ("start", "first", "last")} == {
                    name: tag[name] for name in ("start", "first", "last")
                }
            if cycle - latency in rows:
                assert [ctx.get(dut.psums[index]) for index in range(arch.cols)] == rows[cycle - latency]
            await ctx.tick()

    simulate(dut, bench)
