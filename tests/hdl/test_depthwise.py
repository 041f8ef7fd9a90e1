# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from amaranth.hdl import Fragment

from systolith.hdl.depthwise import DepthwiseFeed, LineBuffers, TapColumn
from systolith.spec.arch import Arch
from systolith.spec.timing import LINE_LATENCY
from tests.support.simulate import simulate

ARCHES = {
    "1 x 2": Arch(name="2", rows=2, cols=4, psum_spacing=2),
    "1 x 3": Arch(name="3", rows=4, cols=2, psum_spacing=1, act_bits=5),
    "2 x 3": Arch(name="6", rows=8, cols=4, psum_spacing=4, line_depth=11),
    "3 x 3": Arch(name="9", rows=16, cols=2, psum_spacing=2, line_depth=8),
    "3 x 3, 1 group": Arch(name="9", rows=16, cols=4, psum_spacing=16, line_depth=4),
}
BUFFERED = {name: arch for name, arch in ARCHES.items() if arch.tap_rows > 1}


def element(rng: random.Random, arch: Arch) -> int:
    half = 1 << (arch.act_bits - 1)
    return rng.randrange(-half, half)


def line_lasts(rng: random.Random, arch: Arch) -> list[int]:
    """Of the descriptors of a test: long and short rows in turn, the shortest and the longest among them."""
    most = arch.line_depth - 1
    return [most, LINE_LATENCY, most, *(rng.randint(LINE_LATENCY, most) for _ in range(12)), LINE_LATENCY]


def test_an_array_of_one_tap_row_has_no_line_buffers() -> None:
    with pytest.raises(ValueError, match="line buffers need an array of 6 rows or more, got 4"):
        LineBuffers(arch=ARCHES["1 x 3"])


@pytest.mark.parametrize("name", BUFFERED)
@pytest.mark.parametrize("bubbles", [0.0, 0.4], ids=["dense", "bubbles"])
def test_line_buffers_hold_whole_rows(name: str, bubbles: float) -> None:
    """However many pixels there were before, and however long their rows: a descriptor's first pixel is not lost."""
    arch, rng = BUFFERED[name], random.Random(4)
    dut = LineBuffers(arch=arch)

    def anything() -> list[int]:
        return [element(rng, arch) for _ in range(arch.cols)]

    def check(ctx: Any, pixels: list[list[int]], line_last: int) -> None:
        for row in range(arch.tap_rows - 1):
            number = len(pixels) - 1 - (arch.tap_rows - 1 - row) * (line_last + 1)
            if number >= 0:
                assert [ctx.get(dut.above[row][index]) for index in range(arch.cols)] == pixels[number]

    async def bench(ctx: Any) -> None:
        for line_last in line_lasts(rng, arch):
            ctx.set(dut.line_last, line_last)
            ctx.set(dut.coming, 0)
            await ctx.tick().repeat(LINE_LATENCY)
            pixels: list[list[int]] = []
            come = [False] * LINE_LATENCY
            for _ in range(rng.randint(1, 5 * arch.line_depth)):
                ctx.set(dut.coming, coming := rng.random() >= bubbles)
                pixel = anything()
                ctx.set(dut.pixel, pixel)
                if come.pop(0):
                    pixels.append(pixel)
                    check(ctx, pixels, line_last)
                come.append(coming)
                await ctx.tick()
            ctx.set(dut.pixel, anything())

    simulate(dut, bench)


@dataclass
class Taps:
    """What the taps of one column must show, cycle by cycle; None is anything."""

    arch: Arch
    expected: dict[int, list[int | None]] = field(default_factory=dict)

    def expect(self, cycle: int, values: Sequence[int | None]) -> None:
        """The taps that a pixel of ``cycle`` completes, each as late as its row group."""
        for tap, value in enumerate(values):
            later = cycle + tap // self.arch.psum_spacing
            self.expected.setdefault(later, [None] * self.arch.taps)[tap] = value

    def check(self, ctx: Any, taps: Any, cycle: int) -> None:
        wanted = self.expected.pop(cycle, [None] * self.arch.taps)
        got = [ctx.get(taps[tap]) if value is not None else None for tap, value in enumerate(wanted)]
        assert got == wanted, f"cycle {cycle}"


def test_columns_of_an_arch_are_the_same_hardware() -> None:
    assert TapColumn(arch=ARCHES["2 x 3"]).identity == TapColumn(arch=ARCHES["2 x 3"]).identity
    assert TapColumn(arch=ARCHES["2 x 3"]).identity != TapColumn(arch=ARCHES["3 x 3"]).identity


@pytest.mark.parametrize("name", ARCHES)
def test_a_column_keeps_the_last_pixels_of_each_row(name: str) -> None:
    arch, rng = ARCHES[name], random.Random(2)
    dut, taps = TapColumn(arch=arch), Taps(arch)

    def operand(history: list[list[int]], row: int, column: int, control: dict[str, int]) -> int | None:
        if control["mask_x"] >> column & 1 or control["mask_y"] >> row & 1:
            return control["fill"]
        age = arch.tap_cols - 1 - column
        return history[-1 - age][row] if age < len(history) else None

    async def bench(ctx: Any) -> None:
        history: list[list[int]] = []
        for cycle in range(300):
            control = {
                "valid": int(rng.random() < 0.7),
                "mask_x": rng.getrandbits(arch.tap_cols) & rng.getrandbits(arch.tap_cols),
                "mask_y": rng.getrandbits(arch.tap_rows) & rng.getrandbits(arch.tap_rows),
                "fill": element(rng, arch),
            }
            pixels = [element(rng, arch) for _ in range(arch.tap_rows)]
            ctx.set(dut.control, control)
            ctx.set(dut.pixels, pixels)
            if control["valid"]:
                history.append(pixels)
                places = [(row, column) for row in range(arch.tap_rows) for column in range(arch.tap_cols)]
                taps.expect(cycle, [operand(history, *place, control) for place in places])
            taps.check(ctx, dut.taps, cycle)
            await ctx.tick()

    simulate(dut, bench)


class Bench:
    """Rasters among other windows and bubbles, and the taps of every column."""

    def __init__(self, arch: Arch, seed: int, bubbles: float) -> None:
        self.arch, self.rng, self.bubbles = arch, random.Random(seed), bubbles
        self.dut = DepthwiseFeed(arch=arch)
        self.columns = [Taps(arch) for _ in range(arch.cols)]
        self.cycle = 0

    def window(self, *, depthwise: int) -> dict[str, Any]:
        rng, arch = self.rng, self.arch
        masks = {
            "mask_x": rng.getrandbits(arch.tap_cols) & rng.getrandbits(arch.tap_cols),
            "mask_y": rng.getrandbits(arch.tap_rows) & rng.getrandbits(arch.tap_rows),
        }
        return {
            "data": [element(rng, arch) for _ in range(arch.window)],
            "fill": element(rng, arch),
            "dw": {"depthwise": depthwise, "emit": rng.randrange(2), **masks},
        }

    def expect(self, pixels: list[list[int]], window: dict[str, Any], line_last: int) -> None:
        """The specification's taps of the last pixel; what lies before the first one is anything."""
        arch, dw = self.arch, window["dw"]
        for column, taps in enumerate(self.columns):
            values: list[int | None] = []
            for row in range(arch.tap_rows):
                for place in range(arch.tap_cols):
                    back = (arch.tap_rows - 1 - row) * (line_last + 1) + arch.tap_cols - 1 - place
                    value = pixels[-1 - back][column] if back < len(pixels) else None
                    masked = dw["mask_x"] >> place & 1 or dw["mask_y"] >> row & 1
                    values.append(window["fill"] if masked else value)
            taps.expect(self.cycle + column, values)

    async def tick(self, ctx: Any, window: dict[str, Any] | None, coming: bool) -> None:
        """A cycle with a window or without; ``coming``: the one LINE_LATENCY cycles later has a pixel."""
        # what is not valid may look like a pixel
        shown = window or self.window(depthwise=1)
        ctx.set(self.dut.windows.valid, window is not None)
        ctx.set(self.dut.windows.payload, shown)
        ctx.set(self.dut.coming, coming)
        for column, taps in enumerate(self.columns):
            taps.check(ctx, self.dut.taps[column], self.cycle)
        await ctx.tick()
        self.cycle += 1

    def draw(self) -> dict[str, Any] | None:
        """A pixel, a window of another kind, or nothing."""
        if self.rng.random() >= self.bubbles:
            return self.window(depthwise=1)
        return self.window(depthwise=0) if self.rng.random() < 0.5 else None

    async def raster(self, ctx: Any, line_last: int) -> None:
        """A descriptor's windows; before its first, at least the cycles from front section to issue."""
        ctx.set(self.dut.line_last, line_last)
        for _ in range(self.rng.choice([0, 5])):
            await self.tick(ctx, self.window(depthwise=0), False)
        await self.tick(ctx, None, False)
        pixels: list[list[int]] = []
        windows = [self.draw() for _ in range(self.rng.randint(1, 6 * (line_last + 1) + 4))]
        kinds = [bool(window and window["dw"]["depthwise"]) for window in windows]
        ahead = [*kinds, *[False] * LINE_LATENCY]
        for coming in ahead[:LINE_LATENCY]:
            await self.tick(ctx, None, coming)
        for window, coming in zip(windows, ahead[LINE_LATENCY:], strict=True):
            if window and window["dw"]["depthwise"]:
                pixels.append(window["data"][: self.arch.cols])
                self.expect(pixels, window, line_last)
            await self.tick(ctx, window, coming)

    async def run(self, ctx: Any) -> None:
        for line_last in line_lasts(self.rng, self.arch.with_(line_depth=min(16, self.arch.line_depth))):
            await self.raster(ctx, line_last)
        for _ in range(self.arch.cols + self.arch.taps):
            await self.tick(ctx, None, False)


def test_attributes() -> None:
    dut = DepthwiseFeed(arch=ARCHES["2 x 3"])
    Fragment.get(dut, None)
    assert (dut.taps.shape().length, dut.taps[0].shape().length) == (4, 6)


@pytest.mark.parametrize("name", ARCHES)
@pytest.mark.parametrize("bubbles", [0.0, 0.4], ids=["dense", "bubbles"])
def test_each_column_sees_its_taps(name: str, bubbles: float) -> None:
    bench = Bench(ARCHES[name], 3, bubbles)
    simulate(bench.dut, bench.run)
