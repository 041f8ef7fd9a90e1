# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import pytest

from systolith.hdl.accumulator import Accumulator
from systolith.hdl.matrix import TAG_LEAD
from systolith.hdl.payload import Advance
from systolith.spec.arch import Arch
from systolith.spec.timing import ACCUMULATOR_LATENCY, MIN_PASS
from tests.support.simulate import simulate

ARCH = Arch(name="narrow", rows=2, cols=2, psum_spacing=2, act_bits=4, weight_bits=4, acc_bits=16, acc_depth=8)
BUFFERED = ARCH.with_(lane_cycles=2)
ANYTHING = {"start": 1, "first": 1, "last": 1, "advance": 3}
"""The tag of a cycle without one."""
Sums = list[list[int]]


@dataclass
class Block:
    """A block's sums, the cycle after which they are all there, and the ways behind its pixels."""

    totals: Sums
    filled: int
    advances: list[int]


class Traffic:
    """Passes of blocks by cycle: tags, and partial sums TAG_LEAD cycles behind."""

    def __init__(self, rng: random.Random, gap: float) -> None:
        self.rng, self.gap = rng, gap
        self.tags: dict[int, dict[str, int]] = {}
        self.psums: dict[int, list[int]] = {}
        self.cycle = 0

    def block(self, pixels: int, passes: int, *, ends: bool = False) -> Block:
        """Exactly MIN_PASS from pass to pass where they are short, with and without gaps."""
        rng = self.rng
        totals = [[0] * ARCH.cols for _ in range(pixels)]
        advances = [rng.choice([Advance.PIXEL, Advance.ROW]) for _ in range(pixels)]
        advances[-1] = Advance.END if ends else Advance.BLOCK
        for step in range(passes):
            begin, last = self.cycle, step == passes - 1
            for pixel in range(pixels):
                values = [rng.randrange(-256, 256) for _ in range(ARCH.cols)]
                totals[pixel] = [total + value for total, value in zip(totals[pixel], values, strict=True)]
                # who does not complete a pixel may say anything of the way behind it
                advance = advances[pixel] if last else rng.choice(list(Advance))
                tag = {"start": int(pixel == 0), "first": int(step == 0), "last": int(last), "advance": advance}
                self.tags[self.cycle] = tag
                self.psums[self.cycle + TAG_LEAD] = values
                final = self.cycle + TAG_LEAD + ACCUMULATOR_LATENCY
                self.cycle += 1 + (rng.randrange(1, 3) if rng.random() < self.gap else 0)
            self.cycle = max(self.cycle, begin + MIN_PASS)
        return Block(totals, final, advances)

    def drive(self, ctx: Any, dut: Accumulator, now: int) -> None:
        ctx.set(dut.tags.valid, now in self.tags)
        ctx.set(dut.tags.payload, self.tags.get(now, ANYTHING))
        ctx.set(dut.psums, self.psums.get(now, [self.rng.randrange(-256, 256) for _ in range(ARCH.cols)]))


@pytest.mark.parametrize("gap", [0.0, 0.5])
@pytest.mark.parametrize("pixels", [1, MIN_PASS, ARCH.acc_depth])
def test_adds_up_passes(pixels: int, gap: float) -> None:
    """Each sum leaves as its last pass is added; sums wrap at their width."""
    traffic = Traffic(random.Random(pixels), gap)
    blocks = [traffic.block(pixels, passes) for passes in (1, 2, 5, 3)]
    latency = TAG_LEAD + ACCUMULATOR_LATENCY
    leaving = [cycle + latency for cycle, tag in traffic.tags.items() if tag["last"]]
    sums = [one for block in blocks for one in zip(block.totals, block.advances, strict=True)]
    dut = Accumulator(arch=ARCH)
    seen: dict[int, tuple[list[int], int]] = {}

    async def bench(ctx: Any) -> None:
        for now in range(traffic.cycle + 8):
            traffic.drive(ctx, dut, now)
            if ctx.get(dut.sums.valid):
                payload = dut.sums.payload
                data = [ctx.get(payload.data[index]) for index in range(ARCH.cols)]
                seen[now] = data, ctx.get(payload.advance)
            await ctx.tick()

    simulate(dut, bench)
    assert seen == dict(zip(leaving, sums, strict=True))


class Reader:
    """Reads finished banks, each pixel once, in any order; who is not asked may be shown anything."""

    def __init__(self, rng: random.Random, slow: int) -> None:
        self.rng, self.slow = rng, slow
        self.reads: dict[int, tuple[int, int]] = {}
        self.expected: dict[int, tuple[list[int], int]] = {}

    def read(self, number: int, block: Block, free: int) -> int:
        """Plan the reads of the block in a bank, none before cycle ``free``; returns the cycle of the last."""
        cycle = max(free, block.filled + 1)
        for pixel in self.rng.sample(range(len(block.totals)), len(block.totals)):
            self.reads[cycle] = number, pixel
            self.expected[cycle + 1] = block.totals[pixel], block.advances[pixel]
            last = cycle
            cycle += self.rng.randint(1, self.slow)
        return last

    def drive(self, ctx: Any, dut: Accumulator, now: int) -> None:
        asked = self.reads.get(now)
        number, pixel = asked or (self.rng.randrange(2), self.rng.randrange(BUFFERED.acc_depth))
        ctx.set(dut.bank.en, asked is not None)
        ctx.set(dut.bank.number, number)
        ctx.set(dut.bank.pixel, pixel)
        if now in self.expected:
            line = dut.bank.line
            data = [ctx.get(line.data[index]) for index in range(BUFFERED.cols)]
            assert (data, ctx.get(line.advance)) == self.expected[now]


@pytest.mark.parametrize("gap", [0.0, 0.5])
@pytest.mark.parametrize("slow", [1, 4])
def test_fills_one_bank_while_the_other_is_read(gap: float, slow: int) -> None:
    """Blocks of all sizes in the two banks in turn, each bank filled again as soon as its last sum is read."""
    rng = random.Random(slow)
    traffic, reader = Traffic(rng, gap), Reader(rng, slow)
    filled: dict[int, tuple[int, int]] = {}
    sizes = [(1, 1), (1, 1), (1, 3), (8, 1), (8, 2), (2, 4), (5, 1), (3, 2), (1, 1), (8, 3)] * 2
    free = [0, 0]
    for index, (pixels, passes) in enumerate(sizes):
        traffic.cycle = max(traffic.cycle, free[index % 2])
        ends = rng.random() < 0.3
        block = traffic.block(pixels, passes, ends=ends)
        filled[block.filled] = pixels - 1, int(ends)
        free[index % 2] = 1 + reader.read(index % 2, block, max(free))
    dut = Accumulator(arch=BUFFERED)

    async def bench(ctx: Any) -> None:
        for now in range(max(*free, traffic.cycle) + 8):
            traffic.drive(ctx, dut, now)
            reader.drive(ctx, dut, now)
            assert ctx.get(dut.filled) == (now in filled)
            if now in filled:
                assert (ctx.get(dut.last), ctx.get(dut.ends)) == filled[now]
            await ctx.tick()

    simulate(dut, bench)
