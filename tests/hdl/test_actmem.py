# SPDX-License-Identifier: Apache-2.0
import random
from typing import Any, NamedTuple

import pytest
from amaranth.hdl import Fragment

from systolith.hdl.actmem import ActivationMemory
from systolith.spec.arch import Arch
from tests.support.simulate import simulate


def make_arch(**changes: Any) -> Arch:
    sizes = {"rows": 4, "cols": 4, "act_lines": 16, "lane_cycles": 2, "weight_lines": 16}
    return Arch(name="memory", **(sizes | changes))


ARCHES = {
    "plain": make_arch(),
    "segments": make_arch(act_segments=2),
    "granule": make_arch(rows=8, act_granule=2, act_segments=2, lane_cycles=4),
    "one bank": make_arch(act_granule=4),
    "wide": make_arch(cols=8, act_segments=2, lane_cycles=1, act_bits=5),
    "single port": make_arch(act_granule=2, act_single_port=True, residual=False),
    "no residual": make_arch(residual=False),
}


class Answer(NamedTuple):
    """What a cycle's requests must give: the window at an address, an operand; None where nothing is promised."""

    window: int
    elements: list[int] | None
    operand: list[int] | None


class Traffic:
    """Random requests of a cycle, and the answers a list of elements gives."""

    def __init__(self, arch: Arch, rng: random.Random) -> None:
        self.arch, self.rng = arch, rng
        self.size = arch.act_depth
        self.elements = [0] * self.size
        self.segment = self.size // arch.act_segments

    def value(self) -> int:
        half = 1 << (self.arch.act_bits - 1)
        return self.rng.randrange(-half, half)

    def address(self, unit: int) -> int:
        return self.rng.randrange(0, self.size, unit)

    def segments_of(self, address: int, *, window: bool) -> set[int]:
        """The segments a read touches; a window takes part of the following line unless it starts a line."""
        last = address + self.arch.line - 1 if window else address
        return {place % self.size // self.segment for place in (address, last)}

    def window(self, address: int) -> list[int]:
        return [self.elements[(address + index) % self.size] for index in range(self.arch.line)]


async def host_fill(ctx: Any, dut: ActivationMemory, traffic: Traffic) -> None:
    """Write every line through the host's port."""
    arch, mask = traffic.arch, (1 << traffic.arch.act_bits) - 1
    for line in range(arch.act_lines):
        values = [traffic.value() for _ in range(arch.line)]
        traffic.elements[line * arch.line : (line + 1) * arch.line] = values
        whole = sum((value & mask) << (index * arch.act_bits) for index, value in enumerate(values))
        ctx.set(dut.host_write, 1)
        ctx.set(dut.host_line, line)
        ctx.set(dut.host_data, whole)
        await ctx.tick()
    ctx.set(dut.host_write, 0)


async def host_check(ctx: Any, dut: ActivationMemory, traffic: Traffic) -> None:
    """Read every line through the host's port; it must stay until the next read."""
    arch, mask = traffic.arch, (1 << traffic.arch.act_bits) - 1
    for line in range(arch.act_lines):
        ctx.set(dut.host_read, 1)
        ctx.set(dut.host_line, line)
        await ctx.tick()
        ctx.set(dut.host_read, 0)
        ctx.set(dut.window_addr, traffic.address(arch.act_granule))
        await ctx.tick().repeat(dut.latency + 1)
        values = traffic.elements[line * arch.line : (line + 1) * arch.line]
        whole = sum((value & mask) << (index * arch.act_bits) for index, value in enumerate(values))
        assert ctx.get(dut.window_data.as_value()) == whole


async def one_cycle(ctx: Any, dut: ActivationMemory, traffic: Traffic) -> Answer:
    """A window, an operand and a store at random places; what the engine excludes does not happen."""
    arch, rng = traffic.arch, traffic.rng
    window, operand, store = traffic.address(arch.act_granule), traffic.address(arch.cols), traffic.address(arch.cols)
    wants_operand = arch.residual and rng.random() < 0.6
    wants_store = rng.random() < 0.6
    served = not (wants_store and arch.act_single_port)
    if wants_operand:
        meets = traffic.segments_of(window, window=True) & traffic.segments_of(operand, window=False)
        served = served and not meets
    data = [traffic.value() for _ in range(arch.cols)]
    for port, value in ((dut.window_en, 1), (dut.window_addr, window), (dut.store_en, wants_store)):
        ctx.set(port, value)
    for port, value in ((dut.operand_en, wants_operand), (dut.operand_addr, operand), (dut.store_addr, store)):
        ctx.set(port, value)
    ctx.set(dut.store_data, data)
    expected, wanted = traffic.window(window), traffic.elements[operand : operand + arch.cols]
    if wants_store:
        traffic.elements[store : store + arch.cols] = data
    await ctx.tick()
    return Answer(window, expected if served else None, wanted if wants_operand else None)


def check(ctx: Any, dut: ActivationMemory, arch: Arch, answer: Answer) -> None:
    if answer.elements is not None:
        got = [ctx.get(dut.window_data[(answer.window + index) % arch.line]) for index in range(arch.line)]
        assert got == answer.elements
    if answer.operand is not None:
        assert [ctx.get(dut.operand_data[index]) for index in range(arch.cols)] == answer.operand


@pytest.mark.parametrize("name", ARCHES)
def test_serves_all_at_once(name: str) -> None:
    dut = ActivationMemory(arch=ARCHES[name])
    traffic = Traffic(ARCHES[name], random.Random(11))

    async def bench(ctx: Any) -> None:
        await host_fill(ctx, dut, traffic)
        answers: list[Answer] = []
        for _ in range(250):
            answers.append(await one_cycle(ctx, dut, traffic))
            if len(answers) >= dut.latency:
                check(ctx, dut, ARCHES[name], answers[-dut.latency])
        for port in (dut.window_en, dut.store_en, dut.operand_en):
            ctx.set(port, 0)
        await host_check(ctx, dut, traffic)

    simulate(dut, bench)


def test_attributes() -> None:
    arch = ARCHES["granule"]
    dut = ActivationMemory(arch=arch)
    Fragment.get(dut, None)
    assert len(dut.window_data.as_value()) == arch.act_line_bits
    assert len(dut.operand_data.as_value()) == arch.cols * arch.act_bits
