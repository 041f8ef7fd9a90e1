# SPDX-License-Identifier: Apache-2.0
import random
from typing import Any

import pytest

from systolith.hdl.multiplier import Multiplier
from systolith.hdl.target import Target
from tests.support.simulate import simulate


def test_latency_is_that_of_every_target() -> None:
    assert {Multiplier(a_bits=5, b_bits=4, target=target).latency for target in Target} == {3}


@pytest.mark.parametrize(("a_bits", "b_bits"), [(0, 4), (4, 0)])
def test_refuses_operands_without_bits(a_bits: int, b_bits: int) -> None:
    with pytest.raises(ValueError, match=f"at least 1 bit, got {a_bits} x {b_bits}"):
        Multiplier(a_bits=a_bits, b_bits=b_bits)


def check(dut: Multiplier, pairs: list[tuple[int, int]]) -> None:
    """A pair a cycle."""
    expected: list[int] = []

    async def bench(ctx: Any) -> None:
        for a, b in [*pairs, *pairs[: dut.latency]]:
            ctx.set(dut.a, a)
            ctx.set(dut.b, b)
            expected.append(a * b)
            await ctx.tick()
            if len(expected) >= dut.latency:
                assert ctx.get(dut.product) == expected[-dut.latency], (a, b)

    simulate(dut, bench)


@pytest.mark.parametrize("target", [Target.GENERIC, Target.ICE40])
@pytest.mark.parametrize("b_signed", [False, True])
@pytest.mark.parametrize(("a_bits", "b_bits"), [(1, 1), (3, 5), (5, 3), (4, 4)])
def test_every_product_of_small_operands(a_bits: int, b_bits: int, b_signed: bool, target: Target) -> None:
    values = range(-(1 << (a_bits - 1)), 1 << (a_bits - 1))
    low = -(1 << (b_bits - 1)) if b_signed else 0
    pairs = [(a, b) for a in values for b in range(low, low + (1 << b_bits))]
    check(Multiplier(a_bits=a_bits, b_bits=b_bits, b_signed=b_signed, target=target), pairs)


@pytest.mark.parametrize("target", [Target.GENERIC, Target.ICE40])
@pytest.mark.parametrize(("a_bits", "b_bits"), [(10, 8), (18, 16), (9, 17), (34, 32)])
def test_lane_operands(a_bits: int, b_bits: int, target: Target) -> None:
    rng = random.Random(a_bits)
    top, full = 1 << (a_bits - 1), (1 << b_bits) - 1
    pairs = [(a, b) for a in (-top, -top + 1, -1, 0, 1, top - 1) for b in (0, 1, full >> 1, full - 1, full)]
    pairs += [(rng.randrange(-top, top), rng.randrange(full + 1)) for _ in range(200)]
    check(Multiplier(a_bits=a_bits, b_bits=b_bits, target=target), pairs)
