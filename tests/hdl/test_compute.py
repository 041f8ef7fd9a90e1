# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
from typing import Any

import pytest

from systolith.hdl.compute import Compute
from systolith.hdl.payload import Advance
from systolith.spec.arch import Arch
from systolith.spec.timing import ACCUMULATOR_LATENCY, DRAIN_LATENCY, MIN_PASS, VECTOR_LATENCY, matrix_latency
from tests.support.passes import Pass, Schedule, draw_blocks, no_raster, plan
from tests.support.simulate import simulate

ARCHS = [
    Arch(name="4x4 WL2", rows=4, cols=4, psum_spacing=4, weight_rows=2, acc_depth=16),
    Arch(name="8x2", rows=8, cols=2, psum_spacing=2, weight_rows=1, acc_depth=16, pool=False),
    Arch(name="2x4 16 bits", rows=2, cols=4, psum_spacing=2, act_bits=16, weight_bits=4, acc_bits=40, acc_depth=16),
]
BUFFERED = [
    Arch(name="2x2", rows=2, cols=2, psum_spacing=2, lane_cycles=2, acc_depth=16),
    Arch(name="4x4 WL4", rows=4, cols=4, psum_spacing=2, weight_rows=2, lane_cycles=4, acc_depth=16),
    Arch(name="8x4", rows=8, cols=4, psum_spacing=8, weight_rows=1, lane_cycles=2, acc_depth=16, depthwise=False),
]
Seen = dict[int, tuple[int, list[int]]]
"""Way and sums by cycle."""


class Bench:
    """Plays a schedule; where accumulators are buffered, it stands still while a block has no bank to fill."""

    def __init__(self, arch: Arch, schedule: Schedule, rng: random.Random) -> None:
        self.arch, self.schedule, self.rng = arch, schedule, rng
        self.dut = Compute(arch=arch)
        self.seen: Seen = {}
        self.entered: dict[int, int] = {}
        """When the window of a cycle of the schedule came."""
        self.draining: dict[int, int] = {}
        self.begun: list[int] = []
        self.banks = 2

    def begins_block(self, cycle: int) -> bool:
        window = self.schedule.windows.get(cycle)
        return bool(window and not window["vector"] and window["tag"]["start"] and window["tag"]["first"])

    def drive(self, ctx: Any, planned: int, now: int) -> int:
        """Give what the schedule has for a cycle; returns the schedule's next one."""
        dut = self.dut
        held = self.arch.buffered and self.begins_block(planned) and not self.banks
        for port, payloads in ((dut.windows, self.schedule.windows), (dut.weights, self.schedule.weights)):
            ctx.set(port.valid, planned in payloads and not held)
            if planned in payloads:
                ctx.set(port.payload, payloads[planned])
        ctx.set(dut.begun, now in self.begun)
        if held:
            return planned
        self.banks -= self.begins_block(planned)
        self.entered[planned] = now
        return planned + 1

    def look(self, ctx: Any, now: int) -> None:
        dut = self.dut
        if ctx.get(dut.sums.valid):
            result = ctx.get(dut.sums.payload)
            self.seen[now] = result.advance.value, [result.data[index] for index in range(self.arch.cols)]
            if result.advance is Advance.END:
                self.begun.append(now + self.rng.randint(1, 9))
        if ctx.get(dut.draining):
            self.draining[now] = ctx.get(dut.pixels)
        self.banks += ctx.get(dut.drained)

    async def run(self, ctx: Any) -> None:
        planned = now = quiet = 0
        while planned < self.schedule.cycles or quiet < 60:
            planned = self.drive(ctx, planned, now)
            self.look(ctx, now)
            await ctx.tick()
            quiet = 0 if now in self.seen else quiet + 1
            now += 1


def blocks_of(arch: Arch) -> list[list[Pass]]:
    sizes = [(1, 1), (1, 3), (MIN_PASS, 2), (MIN_PASS - 1, 3), (7, 3), (arch.acc_depth, 2), (2, 1), (5, 2)]
    return draw_blocks(arch, 5, sizes)


def sums_of(block: list[Pass]) -> list[list[int]]:
    return [list(map(int, row)) for row in sum(item.sums for item in block)]  # type: ignore[union-attr] # not empty


def last_windows(schedule: Schedule) -> list[int]:
    """The cycles of the schedule's windows that complete a sum."""
    return [cycle for cycle in sorted(schedule.windows) if schedule.windows[cycle]["tag"]["last"]]


@pytest.mark.parametrize("relaxed", [False, True], ids=["dense", "relaxed"])
@pytest.mark.parametrize("arch", ARCHS, ids=lambda arch: arch.name)
def test_blocks_of_passes(arch: Arch, relaxed: bool) -> None:
    """Sums of all passes of a block, each when the timing says; blocks follow each other without a pause."""
    blocks = blocks_of(arch)
    schedule = plan(arch, [item for block in blocks for item in block], random.Random(9), relaxed=relaxed)
    bench = Bench(arch, schedule, random.Random(1))
    simulate(bench.dut, bench.run)
    latency = matrix_latency(arch) + ACCUMULATOR_LATENCY
    rows = [row for block in blocks for row in sums_of(block)]
    assert bench.seen == {
        cycle + latency: (schedule.windows[cycle]["tag"]["advance"], row)
        for cycle, row in zip(last_windows(schedule), rows, strict=True)
    }
    assert not bench.draining


@pytest.mark.parametrize("relaxed", [False, True], ids=["dense", "relaxed"])
@pytest.mark.parametrize("arch", BUFFERED, ids=lambda arch: arch.name)
def test_blocks_are_drained_at_the_lanes_pace(arch: Arch, relaxed: bool) -> None:
    """Each block when it is full, the one before is drained and, behind a descriptor's last, the next has begun."""
    blocks = blocks_of(arch) + blocks_of(arch)
    schedule = plan(arch, [item for block in blocks for item in block], random.Random(9), relaxed=relaxed)
    bench = Bench(arch, schedule, random.Random(2))
    simulate(bench.dut, bench.run)
    expected: Seen = {}
    draining: dict[int, int] = {}
    last, begun, free = iter(last_windows(schedule)), iter(bench.begun), 0
    for block in blocks:
        windows = [next(last) for _ in block[0].windows]
        full = bench.entered[windows[-1]] + matrix_latency(arch) + ACCUMULATOR_LATENCY
        first = max(full + 1, free)
        tags = [schedule.windows[cycle]["tag"]["advance"] for cycle in windows]
        for pixel, row in enumerate(sums_of(block)):
            expected[first + pixel * arch.lane_cycles + DRAIN_LATENCY] = tags[pixel], row
        free = first + len(tags) * arch.lane_cycles
        if Advance(tags[-1]) == Advance.END:
            draining[first] = len(tags) - 1
            free = max(free, next(begun) + 1)
    assert bench.seen == expected
    assert bench.draining == draining


@pytest.mark.parametrize("maximum", [0, 1])
@pytest.mark.parametrize("arch", [ARCHS[0], BUFFERED[1]], ids=lambda arch: arch.name)
def test_vector_windows_pass_beside_the_array(arch: Arch, maximum: int) -> None:
    rng = random.Random(1)
    schedule, expected = Schedule(), {}
    cycle = 0
    for pixel in range(12):
        taps = [[rng.randrange(-128, 128) for _ in range(arch.window)] for _ in range(rng.randrange(1, 5))]
        for index, data in enumerate(taps):
            tag = {"start": 0, "first": int(index == 0), "last": int(index == len(taps) - 1), "advance": pixel % 4}
            schedule.windows[cycle] = {"vector": 1, "maximum": maximum, "tag": tag, "data": data} | no_raster(arch)
            cycle += 1 + rng.randrange(2)
        reduce = max if maximum else sum
        values = [reduce(tap[column] for tap in taps) for column in range(arch.cols)]
        expected[max(schedule.windows) + VECTOR_LATENCY] = (pixel % 4, values)
    bench = Bench(arch, schedule, rng)
    simulate(bench.dut, bench.run)
    assert bench.seen == expected
