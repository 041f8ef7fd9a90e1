# SPDX-License-Identifier: Apache-2.0
import random
from typing import Any

import pytest
from amaranth.hdl import Fragment

from systolith.hdl.loader import WeightLoader
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.link import pack_line, unpack_line
from systolith.spec.timing import FETCH_LATENCY, MIN_PASS
from tests.support.simulate import simulate

ARCHES = {
    "tiny": PRESETS["tiny"].with_(weight_lines=64),
    "long": Arch(name="long", rows=8, cols=2, psum_spacing=4, weight_bits=5, weight_lines=64),
    "rows": Arch(name="rows", rows=8, cols=4, psum_spacing=4, weight_rows=4, weight_lines=64),
    "single": Arch(name="single", rows=4, cols=4, act_single_port=True, residual=False, weight_lines=64),
    "narrow": Arch(name="narrow", rows=8, cols=4, weight_rows=2, weight_lines=64, narrow_weights=True),
    "narrow, short": PRESETS["tiny"].with_(weight_rows=2, weight_lines=64),
}
TARGET_STAYS = 2
"""Cycles in which a pass's jump has its target, behind that in which the pass is taken."""


class Bench:
    """Fills the memory, takes passes, and keeps account of the lines that must come."""

    def __init__(self, arch: Arch, seed: int) -> None:
        self.arch, self.rng = arch, random.Random(seed)
        self.dut = WeightLoader(arch=arch)
        self.lines = [self.rng.getrandbits(arch.weight_line_bits) for _ in range(arch.weight_lines)]
        self.expected: dict[int, tuple[int, int]] = {}
        self.targets: dict[int, tuple[int, int]] = {}
        self.cycle = self.line = self.narrow = 0

    async def fill(self, ctx: Any) -> None:
        ctx.set(self.dut.host_write, 1)
        for line, value in enumerate(self.lines):
            ctx.set(self.dut.host_line, line)
            ctx.set(self.dut.host_data, value)
            await ctx.tick()
        ctx.set(self.dut.host_write, 0)

    def expect_pass(self) -> None:
        """A pass's rows, the first as the window issued now reaches the array.

        ``line`` counts parts of lines.
        """
        for row in range(self.arch.pass_lines):
            line, part = divmod(self.line, 1 << self.narrow)
            whole = self.lines[line % self.arch.weight_lines]
            self.expected[self.cycle + FETCH_LATENCY + row] = row, self.part(whole, part)
            self.line += 1

    def part(self, line: int, part: int) -> int:
        """A part of each of a line's weights, its sign extended."""
        bits, parts = self.arch.weight_bits >> self.narrow, 1 << self.narrow
        fields = unpack_line(
            [line >> word & 0xFFFF_FFFF for word in range(0, self.arch.weight_line_bits, 32)],
            bits,
            parts * self.arch.weight_rows * self.arch.cols,
        )
        words = pack_line(fields[part::parts], self.arch.weight_bits)
        return sum(word << (32 * index) for index, word in enumerate(words))

    def any_target(self) -> tuple[int, int]:
        return self.rng.randrange(self.arch.weight_lines), self.rng.randrange(len(self.arch.stored_weight_bits))

    async def tick(self, ctx: Any) -> None:
        # in all other cycles the target is anything
        target, narrow = self.targets.pop(self.cycle, self.any_target())
        ctx.set(self.dut.target, target)
        if self.arch.narrow_weights:
            ctx.set(self.dut.narrow, narrow)
        valid = ctx.get(self.dut.weights.valid)
        payload = self.dut.weights.payload
        got = (ctx.get(payload.row), ctx.get(payload.data.as_value())) if valid else None
        assert got == self.expected.pop(self.cycle, None), f"cycle {self.cycle}"
        await ctx.tick()
        self.cycle += 1

    async def restart(self, ctx: Any) -> None:
        self.line, self.narrow = 0, self.any_target()[1]
        self.expected = {cycle: row for cycle, row in self.expected.items() if cycle < self.cycle + FETCH_LATENCY}
        ctx.set(self.dut.restart, 1)
        self.expect_pass()
        if self.arch.narrow_weights:
            ctx.set(self.dut.first, self.narrow)
        await self.tick(ctx)
        ctx.set(self.dut.restart, 0)
        if self.arch.narrow_weights:
            for _ in range(TARGET_STAYS):
                await self.tick(ctx)
            ctx.set(self.dut.first, self.any_target()[1])

    async def take(self, ctx: Any, jump: tuple[int, int] | None = None) -> None:
        """Wait until a pass may begin, and take it."""
        while not ctx.get(self.dut.ready):
            await self.tick(ctx)
        if jump is not None:
            self.narrow = jump[1]
            self.line = jump[0] << self.narrow
        ctx.set(self.dut.taken, 1)
        ctx.set(self.dut.jump, jump is not None)
        if jump is not None:
            self.targets |= dict.fromkeys(range(self.cycle + 1, self.cycle + TARGET_STAYS + 1), jump)
        self.expect_pass()
        await self.tick(ctx)
        ctx.set(self.dut.taken, 0)
        ctx.set(self.dut.jump, self.rng.randrange(2))


def test_attributes() -> None:
    dut = WeightLoader(arch=ARCHES["long"])
    Fragment.get(dut, None)
    assert len(dut.host_data) == ARCHES["long"].weight_line_bits


@pytest.mark.parametrize("name", ARCHES)
def test_streams_passes_in_order_and_jumps(name: str) -> None:
    bench = Bench(ARCHES[name], 3)

    async def run(ctx: Any) -> None:
        await bench.fill(ctx)
        for _ in range(3):
            await bench.restart(ctx)
            for _ in range(12):
                await bench.take(ctx, bench.rng.choice([None, None, bench.any_target()]))
                for _ in range(bench.rng.choice([0, 0, 5])):
                    await bench.tick(ctx)

    simulate(bench.dut, run)


@pytest.mark.parametrize("name", ARCHES)
def test_passes_are_as_short_as_their_weights_allow(name: str) -> None:
    bench = Bench(ARCHES[name], 4)

    async def run(ctx: Any) -> None:
        await bench.restart(ctx)
        begins = []
        for _ in range(5):
            await bench.take(ctx)
            begins.append(bench.cycle)
        length = max(bench.arch.pass_lines, MIN_PASS)
        assert [later - sooner for sooner, later in zip(begins, begins[1:], strict=False)] == [length] * 4

    bench.lines = [0] * bench.arch.weight_lines
    simulate(bench.dut, run)


@pytest.mark.parametrize("hold", range(MIN_PASS - 1))
def test_a_late_pixel_holds_the_next_pass_back(hold: int) -> None:
    bench = Bench(ARCHES["tiny"], 5)
    bench.lines = [0] * bench.arch.weight_lines

    async def run(ctx: Any) -> None:
        await bench.restart(ctx)
        await bench.take(ctx)
        for _ in range(10):
            await bench.tick(ctx)
        ctx.set(bench.dut.hold, hold)
        await bench.tick(ctx)
        ctx.set(bench.dut.hold, 0)
        for _ in range(hold):
            assert not ctx.get(bench.dut.ready)
            await bench.tick(ctx)
        assert ctx.get(bench.dut.ready)

    simulate(bench.dut, run)
