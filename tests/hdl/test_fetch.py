# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.hdl import Fragment

from systolith.hdl.fetch import Fetch
from systolith.hdl.payload import Advance
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.timing import FETCH_LATENCY, LINE_LATENCY, READ_LATENCY
from tests.support.simulate import simulate

ARCHES = {
    "tiny": PRESETS["tiny"].with_(act_lines=64),
    "granule": Arch(name="granule", rows=8, cols=4, act_granule=4, act_lines=16),
    "lines wider than windows": Arch(name="wide", rows=2, cols=8, psum_spacing=2, lane_cycles=4, act_lines=16),
    "no rasters": Arch(name="plain", rows=4, cols=2, act_lines=16, depthwise=False),
    "no pool": Arch(name="bare", rows=4, cols=4, act_lines=16, pool=False),
    "one bank": Arch(name="one", rows=4, cols=4, act_granule=4, act_lines=32, act_bits=5),
}


class Memory:
    """Random elements, and the windows of tensors among them that the specification asks for."""

    def __init__(self, arch: Arch, rng: random.Random) -> None:
        self.arch, self.rng = arch, rng
        self.elements = [self.element() for _ in range(arch.act_depth)]

    def element(self) -> int:
        half = 1 << (self.arch.act_bits - 1)
        return self.rng.randrange(-half, half)

    def tensor(self) -> dict[str, int]:
        """A descriptor's view of the memory."""
        arch, rng = self.arch, self.rng
        pitch = rng.randrange(arch.act_granule, arch.act_depth // 4, arch.act_granule)
        return {
            "base": rng.randrange(0, arch.act_depth, arch.act_granule),
            "plane": rng.randint(1, 4) * pitch,
            "row_len": rng.randint(1, pitch),
            "fill": self.element(),
            "line_last": rng.randrange(arch.line_depth),
        }

    def line(self, address: int) -> list[int]:
        """What the banks answer: every bank its part of the line or, before the start, of the following one."""
        line, size = self.arch.line, self.arch.act_depth
        return [self.elements[(address + (index - address) % line) % size] for index in range(line)]

    def place(self, tensor: dict[str, int]) -> tuple[int, int]:
        """Coordinates in and around a tensor; sometimes far off."""
        granule, reach = self.arch.act_granule, self.arch.act_depth // 2
        row = self.rng.randrange(-2 * granule, tensor["plane"] + 2 * granule, granule)
        col = self.rng.randrange(-3 * self.arch.window, tensor["row_len"] + 2 * self.arch.window)
        if self.rng.random() < 0.1:
            row, col = self.rng.randrange(-reach, reach), self.rng.randrange(-reach, reach)
        return row // granule * granule, col // granule * granule

    def window(self, tensor: dict[str, int], row: int, col: int) -> list[int]:
        values = []
        for lane in range(self.arch.window):
            inside = 0 <= row < tensor["plane"] and 0 <= col + lane < tensor["row_len"]
            address = (tensor["base"] + row + col + lane) % self.arch.act_depth
            values.append(self.elements[address] if inside else tensor["fill"])
        return values


class Bench:
    """Issues random windows of tensors that change between them, and compares what comes."""

    def __init__(self, arch: Arch, seed: int) -> None:
        self.arch, self.rng, self.dut = arch, random.Random(seed), Fetch(arch=arch)
        self.memory = Memory(arch, self.rng)
        self.tensor = self.memory.tensor()

    def issue(self, ctx: Any) -> dict[str, Any] | None:
        """Issue a window, or none; returns what must come out."""
        rng, dut, arch = self.rng, self.dut, self.arch
        ctx.set(dut.issue.valid, valid := rng.random() < 0.7)
        # between two windows lie the last one of a descriptor and the first of the next
        if rng.random() < 0.3:
            self.tensor = self.memory.tensor()
        ctx.set(dut.config, self.tensor)
        row, col = self.memory.place(self.tensor)
        tag = {name: rng.randrange(2) for name in ("start", "first", "last")} | {"advance": rng.choice(list(Advance))}
        travels: dict[str, Any] = {"vector": rng.randrange(2), "tag": tag}
        if arch.pool:
            travels["maximum"] = rng.randrange(2)
        if arch.depthwise:
            masks = {"mask_x": rng.getrandbits(arch.tap_cols), "mask_y": rng.getrandbits(arch.tap_rows)}
            travels["dw"] = {"depthwise": rng.randrange(2), "emit": rng.randrange(2), **masks}
        ctx.set(dut.issue.payload, {"row": row, "col": col} | travels)
        expected = travels | {"data": self.memory.window(self.tensor, row, col), "tensor": self.tensor}
        return expected if valid else None

    def check(self, ctx: Any, now: dict[str, Any] | None, following: dict[str, Any] | None) -> None:
        """What comes now, and what is said of the window LINE_LATENCY cycles later."""
        window = self.dut.windows.payload
        assert ctx.get(self.dut.windows.valid) == (now is not None)
        coming = self.arch.depthwise and following is not None and following["dw"]["depthwise"]
        assert ctx.get(self.dut.coming) == coming
        if coming and following is not None:
            assert ctx.get(self.dut.line_last) == following["tensor"]["line_last"]
        if now is None:
            return
        assert [ctx.get(window.data[lane]) for lane in range(self.arch.window)] == now["data"]
        names = ["vector", "maximum"] if self.arch.pool else ["vector"]
        assert {name: ctx.get(window[name]) for name in names}.items() <= now.items()
        assert {name: ctx.get(window.tag[name]) for name in now["tag"]} == now["tag"]
        if self.arch.depthwise:
            assert {name: ctx.get(window.dw[name]) for name in now["dw"]} == now["dw"]
            assert ctx.get(window.fill) == now["tensor"]["fill"]

    async def run(self, ctx: Any) -> None:
        dut, memory = self.dut, self.memory
        pending: list[dict[str, Any] | None] = [None] * FETCH_LATENCY
        answers = [memory.line(0)] * 3
        for _ in range(400):
            pending.append(self.issue(ctx))
            # the one request of a window, READ_LATENCY cycles behind its issue
            assert ctx.get(dut.memory_en) == (pending[-1 - READ_LATENCY] is not None)
            reads = memory.line(ctx.get(dut.memory_addr)) if ctx.get(dut.memory_en) else None
            ctx.set(dut.memory_data, answers.pop(0))
            self.check(ctx, pending.pop(0), pending[LINE_LATENCY - 1])
            await ctx.tick()
            # without a request the memory shows anything
            answers.append(reads or memory.line(self.rng.randrange(self.arch.act_depth)))


def test_attributes() -> None:
    arch = ARCHES["granule"]
    dut = Fetch(arch=arch)
    Fragment.get(dut, None)
    assert len(dut.memory_addr) == arch.act_addr_bits
    assert dut.windows.payload.data.shape().length == arch.window


@pytest.mark.parametrize("name", ARCHES)
def test_windows_come_after_the_latency_with_their_tags(name: str) -> None:
    bench = Bench(ARCHES[name], 8)
    simulate(bench.dut, bench.run)
