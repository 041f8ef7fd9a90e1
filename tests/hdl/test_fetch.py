# SPDX-License-Identifier: Apache-2.0
import random
from typing import Any

import pytest
from amaranth.hdl import Fragment

from systolith.hdl.fetch import Fetch
from systolith.hdl.payload import Advance
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.timing import FETCH_LATENCY
from tests.support.simulate import simulate

ARCHES = {
    "tiny": PRESETS["tiny"].with_(act_lines=64),
    "granule": Arch(name="granule", rows=8, cols=4, act_granule=4, act_lines=16),
    "lines wider than windows": Arch(name="wide", rows=2, cols=8, psum_spacing=2, lane_cycles=4, act_lines=16),
    "one bank": Arch(name="one", rows=4, cols=4, act_granule=4, act_lines=32, act_bits=5),
}


class Memory:
    """Random elements, a tensor among them, and the windows of it that the specification asks for."""

    def __init__(self, arch: Arch, rng: random.Random) -> None:
        self.arch, self.rng = arch, rng
        half = 1 << (arch.act_bits - 1)
        self.elements = [rng.randrange(-half, half) for _ in range(arch.act_depth)]
        pitch = rng.randrange(arch.act_granule, arch.act_depth // 4, arch.act_granule)
        self.config = {
            "base": rng.randrange(0, arch.act_depth, arch.act_granule),
            "plane": rng.randint(1, 4) * pitch,
            "row_len": rng.randint(1, pitch),
            "fill": rng.randrange(-half, half),
        }

    def line(self, address: int) -> list[int]:
        """What the banks answer: every bank its part of the line or, before the start, of the following one."""
        line, size = self.arch.line, self.arch.act_depth
        return [self.elements[(address + (index - address) % line) % size] for index in range(line)]

    def place(self) -> tuple[int, int]:
        """Coordinates in and around the tensor; sometimes far off."""
        granule, reach = self.arch.act_granule, self.arch.act_depth // 2
        row = self.rng.randrange(-2 * granule, self.config["plane"] + 2 * granule, granule)
        col = self.rng.randrange(-3 * self.arch.window, self.config["row_len"] + 2 * self.arch.window)
        if self.rng.random() < 0.1:
            row, col = self.rng.randrange(-reach, reach), self.rng.randrange(-reach, reach)
        return row // granule * granule, col // granule * granule

    def window(self, row: int, col: int) -> list[int]:
        config, values = self.config, []
        for lane in range(self.arch.window):
            inside = 0 <= row < config["plane"] and 0 <= col + lane < config["row_len"]
            address = (config["base"] + row + col + lane) % self.arch.act_depth
            values.append(self.elements[address] if inside else config["fill"])
        return values


async def issue(ctx: Any, dut: Fetch, memory: Memory, rng: random.Random) -> dict[str, Any] | None:
    """Issue a window, or none; returns what must come out."""
    ctx.set(dut.issue.valid, valid := rng.random() < 0.7)
    row, col = memory.place()
    tag = {name: rng.randrange(2) for name in ("start", "first", "last")} | {"advance": rng.choice(list(Advance))}
    payload = {"row": row, "col": col, "vector": rng.randrange(2), "maximum": rng.randrange(2), "tag": tag}
    ctx.set(dut.issue.payload, payload)
    expected = {"data": memory.window(row, col), "tag": tag}
    return expected | {name: payload[name] for name in ("vector", "maximum")} if valid else None


def check(ctx: Any, dut: Fetch, expected: dict[str, Any] | None) -> None:
    window = dut.windows.payload
    assert ctx.get(dut.windows.valid) == (expected is not None)
    if expected is None:
        return
    assert [ctx.get(window.data[lane]) for lane in range(len(expected["data"]))] == expected["data"]
    assert {name: ctx.get(window[name]) for name in ("vector", "maximum")}.items() <= expected.items()
    assert {name: ctx.get(window.tag[name]) for name in expected["tag"]} == expected["tag"]


def test_attributes() -> None:
    arch = ARCHES["granule"]
    dut = Fetch(arch=arch)
    Fragment.get(dut, None)
    assert len(dut.memory_addr) == arch.act_addr_bits
    assert dut.windows.payload.data.shape().length == arch.window


@pytest.mark.parametrize("name", ARCHES)
def test_windows_come_after_the_latency_with_their_tags(name: str) -> None:
    arch, rng = ARCHES[name], random.Random(8)
    dut = Fetch(arch=arch)

    async def bench(ctx: Any) -> None:
        memory = Memory(arch, rng)
        ctx.set(dut.config, memory.config)
        pending: list[dict[str, Any] | None] = [None] * FETCH_LATENCY
        answers = [memory.line(0)] * 2
        for _ in range(300):
            pending.append(await issue(ctx, dut, memory, rng))
            reads = memory.line(ctx.get(dut.memory_addr)) if ctx.get(dut.memory_en) else None
            assert ctx.get(dut.busy) == any(one is not None for one in pending[1:-1])
            ctx.set(dut.memory_data, answers.pop(0))
            check(ctx, dut, pending.pop(0))
            await ctx.tick()
            # without a request the memory shows anything
            answers.append(reads or memory.line(rng.randrange(arch.act_depth)))

    simulate(dut, bench)
