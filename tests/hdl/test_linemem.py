# SPDX-License-Identifier: Apache-2.0
import random
from typing import Any

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Fragment

from systolith.hdl.linemem import LineMemory
from systolith.hdl.target import Target
from tests.support.simulate import simulate

DEEP = 1 << 14


def make(**changes: Any) -> LineMemory:
    return LineMemory(**({"bits": 20, "depth": 11, "unit": 8} | changes))


def elaborated(**changes: Any) -> LineMemory:
    memory = make(**changes)
    Fragment.get(memory, None)
    return memory


def test_attributes() -> None:
    memory = elaborated()
    assert memory.latency == 1
    assert elaborated(early=True).latency == 2
    assert memory.units == 3
    assert not memory.uses_spram


def test_large_single_port_memories_become_primitives_on_ice40_only() -> None:
    sizes = {"bits": 32, "unit": 8, "depth": DEEP, "single_port": True}
    assert elaborated(**sizes, target=Target.ICE40).uses_spram
    assert not elaborated(**sizes, target=Target.ECP5).uses_spram
    assert not elaborated(**(sizes | {"single_port": False}), target=Target.ICE40).uses_spram
    assert not elaborated(**(sizes | {"depth": 64}), target=Target.ICE40).uses_spram
    assert not elaborated(**(sizes | {"unit": 6}), target=Target.ICE40).uses_spram


@pytest.mark.parametrize(("bits", "primitives"), [(8, 1), (16, 1), (20, 2), (32, 2)])
def test_primitives_lie_side_by_side(bits: int, primitives: int) -> None:
    memory = make(bits=bits, unit=4, depth=DEEP, single_port=True, target=Target.ICE40)
    text = rtlil.convert(memory)
    assert text.count("cell \\SB_SPRAM256KA ") == primitives


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depth": 1}, "got 20 bits and 1 lines"),
        ({"bits": 0}, "got 0 bits and 11 lines"),
        ({"unit": 21}, r"the write unit must be in 1..20 bits, got 21"),
        (
            {"unit": 4, "depth": 2 * DEEP, "single_port": True, "target": Target.ICE40},
            r"a single-port RAM has 16384 lines, got 32768",
        ),
    ],
)
def test_refusals(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**changes)


@pytest.mark.parametrize("single_port", [False, True])
@pytest.mark.parametrize("early", [False, True])
def test_reads_and_writes_units(single_port: bool, early: bool) -> None:
    rng = random.Random(7)
    dut = make(single_port=single_port, early=early)
    model = [0] * 11

    async def bench(ctx: Any) -> None:
        expected: int | None = None
        answers: list[int | None] = []
        for _ in range(500):
            enable, mask = rng.random() < 0.7, rng.choice([0, rng.randrange(8)])
            read, write, value = rng.randrange(11), rng.randrange(11), rng.getrandbits(20)
            ctx.set(dut.read_en, enable)
            ctx.set(dut.read_addr, read)
            ctx.set(dut.write_en, mask)
            ctx.set(dut.write_addr, write)
            ctx.set(dut.write_data, value)
            if single_port and mask:
                expected = None
            elif enable:
                expected = model[read]
            for index in range(3):
                if mask >> index & 1:
                    kept = ~(0xFF << 8 * index)
                    model[write] = (model[write] & kept | value & ~kept) & 0xFFFFF
            answers.append(expected)
            await ctx.tick()
            due = answers[-dut.latency] if len(answers) >= dut.latency else None
            assert due is None or ctx.get(dut.read_data) == due

    simulate(dut, bench)
