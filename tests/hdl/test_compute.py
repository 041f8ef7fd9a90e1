# SPDX-License-Identifier: Apache-2.0
import random
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from systolith.hdl.compute import Compute
from systolith.spec.arch import Arch
from systolith.spec.timing import ACCUMULATOR_LATENCY, MIN_PASS, VECTOR_LATENCY, matrix_latency
from tests.support.passes import Pass, Schedule, draw_blocks, plan
from tests.support.simulate import simulate

ARCHS = [
    Arch(name="2x2", rows=2, cols=2, psum_spacing=2, lane_cycles=2, acc_depth=16),
    Arch(name="4x4 WL2", rows=4, cols=4, psum_spacing=4, weight_rows=2, acc_depth=16),
    Arch(name="8x2", rows=8, cols=2, psum_spacing=2, weight_rows=1, acc_depth=16, pool=False),
    Arch(name="2x4 16 bits", rows=2, cols=4, psum_spacing=2, act_bits=16, weight_bits=4, acc_bits=40, acc_depth=16),
]


def run(dut: Compute, schedule: Schedule, cycles: int, seen: dict[int, Any], width: int) -> None:
    """Play the schedule; ``seen`` becomes (vector, advance, first ``width`` sums) by cycle."""

    async def bench(ctx: Any) -> None:
        for cycle in range(cycles):
            for port, payloads in ((dut.windows, schedule.windows), (dut.weights, schedule.weights)):
                ctx.set(port.valid, cycle in payloads)
                if cycle in payloads:
                    ctx.set(port.payload, payloads[cycle])
            if ctx.get(dut.sums.valid):
                result = ctx.get(dut.sums.payload)
                seen[cycle] = (result.vector, result.advance.value, [result.data[index] for index in range(width)])
            await ctx.tick()

    simulate(dut, bench)


def sum_of(block: list[Pass]) -> NDArray[np.int64]:
    return np.asarray(sum(item.windows @ item.weights for item in block))


@pytest.mark.parametrize("relaxed", [False, True], ids=["dense", "relaxed"])
@pytest.mark.parametrize("arch", ARCHS, ids=lambda arch: arch.name)
def test_blocks_of_passes(arch: Arch, relaxed: bool) -> None:
    """Sums of all passes of a block, each when the timing says; blocks follow each other without a pause."""
    sizes = [(1, 1), (1, 3), (MIN_PASS, 2), (MIN_PASS - 1, 3), (7, 3), (arch.acc_depth, 2), (2, 1), (5, 2)]
    blocks = draw_blocks(arch, 5, sizes)
    schedule = plan(arch, [item for block in blocks for item in block], random.Random(9), relaxed=relaxed)
    expected = [row for block in blocks for row in sum_of(block).tolist()]
    last = [cycle for cycle in sorted(schedule.windows) if schedule.windows[cycle]["tag"]["last"]]
    latency = matrix_latency(arch) + ACCUMULATOR_LATENCY
    seen: dict[int, Any] = {}
    run(Compute(arch=arch), schedule, schedule.cycles + latency + 1, seen, arch.cols)
    assert seen == {
        cycle + latency: (0, schedule.windows[cycle]["tag"]["advance"], row)
        for cycle, row in zip(last, expected, strict=True)
    }


@pytest.mark.parametrize("maximum", [0, 1])
def test_vector_windows_pass_beside_the_array(maximum: int) -> None:
    arch, rng = ARCHS[1], random.Random(1)
    schedule, expected = Schedule(), {}
    cycle = 0
    for pixel in range(12):
        taps = [[rng.randrange(-128, 128) for _ in range(arch.window)] for _ in range(rng.randrange(1, 5))]
        for index, data in enumerate(taps):
            tag = {"start": 0, "first": int(index == 0), "last": int(index == len(taps) - 1), "advance": pixel % 4}
            schedule.windows[cycle] = {"vector": 1, "maximum": maximum, "tag": tag, "data": data}
            cycle += 1 + rng.randrange(2)
        reduce = max if maximum else sum
        values = [reduce(tap[lane] for tap in taps) for lane in range(arch.lanes)]
        expected[max(schedule.windows) + VECTOR_LATENCY] = (1, pixel % 4, values)
    seen: dict[int, Any] = {}
    run(Compute(arch=arch), schedule, cycle + VECTOR_LATENCY + matrix_latency(arch), seen, arch.lanes)
    assert seen == expected
