# SPDX-License-Identifier: Apache-2.0
import random
from typing import Any

import pytest
from amaranth.hdl import Fragment

from systolith.hdl.loader import WeightLoader
from systolith.hdl.target import Target
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
DYNAMIC = {
    name: ARCHES[name].with_(dynamic_weights=True) for name in ("tiny", "rows", "single", "narrow", "narrow, short")
}
FIRST_STAYS = 2
"""Cycles behind a restart in which the width of the first weights stays."""


class Bench:
    """Fills the memory, takes passes, and keeps account of the lines that must come."""

    def __init__(self, arch: Arch, seed: int, target: Target = Target.GENERIC) -> None:
        self.arch, self.rng = arch, random.Random(seed)
        self.dut = WeightLoader(arch=arch, target=target)
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

    async def restart(self, ctx: Any, narrow: int | None = None) -> None:
        self.line, self.narrow = 0, self.any_target()[1] if narrow is None else narrow
        self.expected = {cycle: row for cycle, row in self.expected.items() if cycle < self.cycle + FETCH_LATENCY}
        ctx.set(self.dut.restart, 1)
        self.expect_pass()
        if self.arch.narrow_weights:
            ctx.set(self.dut.first, self.narrow)
        await self.tick(ctx)
        ctx.set(self.dut.restart, 0)
        if self.arch.narrow_weights:
            for _ in range(FIRST_STAYS):
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
            self.targets[self.cycle] = jump
        self.expect_pass()
        await self.tick(ctx)
        ctx.set(self.dut.taken, 0)
        ctx.set(self.dut.jump, self.rng.randrange(2))

    def offer(self, ctx: Any, row: int) -> None:
        """A row of weights, in the cycle to come."""
        bits = self.arch.cols * self.arch.weight_bits
        value = self.rng.getrandbits(bits)
        line, place = divmod(row, self.arch.weight_rows)
        self.lines[line] = self.lines[line] & ((1 << place * bits) - 1) | value << place * bits
        for port, driven in ((self.dut.store_en, 1), (self.dut.store_row, row), (self.dut.store_data, value)):
            ctx.set(port, driven)

    async def again(self, ctx: Any, line: int) -> None:
        """The pass that begins at ``line`` and is in place comes anew, its rows stored up to this very cycle."""
        rows = range(line * self.arch.weight_rows, line * self.arch.weight_rows + self.arch.rows)
        for row in rows:
            self.offer(ctx, row)
            if row != rows[-1]:
                await self.tick(ctx)
        self.line, self.narrow = line, 0
        ctx.set(self.dut.again, 1)
        self.expect_pass()
        await self.tick(ctx)
        ctx.set(self.dut.again, 0)
        ctx.set(self.dut.store_en, 0)


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


@pytest.mark.parametrize("target", [Target.GENERIC, Target.ECP5])
@pytest.mark.parametrize("name", DYNAMIC)
def test_rows_that_are_stored_come_when_a_pass_is_loaded_anew(name: str, target: Target) -> None:
    """Of the first pass, behind a jump and behind a pass; what was in place before counts for nothing."""
    bench = Bench(DYNAMIC[name], 6, target)
    arch, rng = bench.arch, bench.rng

    async def run(ctx: Any) -> None:
        await bench.fill(ctx)
        await bench.restart(ctx, narrow=0)
        line = 0
        for _ in range(10):
            while bench.expected:
                await bench.tick(ctx)
            await bench.again(ctx, line)
            last = arch.weight_lines - 2 * arch.pass_lines
            jump = None if line <= last and rng.random() < 0.5 else (rng.randrange(last), 0)
            line = line + arch.pass_lines if jump is None else jump[0]
            await bench.take(ctx, jump)

    simulate(bench.dut, run)


@pytest.mark.parametrize("name", DYNAMIC)
def test_a_pass_loaded_anew_is_ready_as_late_as_any(name: str) -> None:
    bench = Bench(DYNAMIC[name], 7)
    bench.lines = [0] * bench.arch.weight_lines

    async def run(ctx: Any) -> None:
        await bench.restart(ctx, narrow=0)
        for _ in range(20):
            await bench.tick(ctx)
        bench.expect_pass()
        begun = bench.cycle
        ctx.set(bench.dut.again, 1)
        await bench.tick(ctx)
        ctx.set(bench.dut.again, 0)
        while not ctx.get(bench.dut.ready):
            await bench.tick(ctx)
        assert bench.cycle - begun == max(bench.arch.pass_lines, MIN_PASS)

    simulate(bench.dut, run)
