# SPDX-License-Identifier: Apache-2.0
import random
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from systolith.hdl.emit import component_verilog
from systolith.hdl.products import Products
from systolith.hdl.target import Target
from tests.support.icarus import run_bench, twin_bench
from tests.support.simulate import simulate
from tests.support.simulators import needs

PYOSYS = find_spec("pyosys")


def extremes(bits: int) -> list[int]:
    return [-(1 << (bits - 1)), -1, 0, 1, (1 << (bits - 1)) - 1]


def test_latency() -> None:
    assert Products(count=2, a_bits=8, b_bits=8).latency == 1


@pytest.mark.parametrize(("a_bits", "b_bits"), [(9, 8), (8, 9), (16, 8)])
def test_ice40_refuses_wide_operands(a_bits: int, b_bits: int) -> None:
    with pytest.raises(ValueError, match=f"at most 8 bits, got {a_bits} x {b_bits}"):
        Products(count=2, a_bits=a_bits, b_bits=b_bits, target=Target.ICE40)


@pytest.mark.parametrize(("a_bits", "b_bits"), [(8, 8), (16, 4), (4, 2)])
def test_multiplies_by_what_it_took_last(a_bits: int, b_bits: int) -> None:
    rng, count = random.Random(3), 3
    dut = Products(count=count, a_bits=a_bits, b_bits=b_bits)

    async def bench(ctx: Any) -> None:
        held = [0] * count
        for cycle in range(200):
            a = [rng.choice(extremes(a_bits)) if cycle % 2 else rng.randrange(1 << (a_bits - 1)) for _ in held]
            b = [rng.choice(extremes(b_bits)) for _ in held]
            take = rng.random() < 0.3
            ctx.set(dut.a, a)
            ctx.set(dut.b, b)
            ctx.set(dut.take, take)
            await ctx.tick()
            assert [ctx.get(dut.products[index]) for index in range(count)] == [
                x * y for x, y in zip(a, held, strict=True)
            ]
            held = b if take else held

    simulate(dut, bench)


@pytest.mark.sim
@needs("icarus")
@pytest.mark.skipif(PYOSYS is None, reason="needs the primitive's model of Yosys (get it by: pip install pyosys)")
@pytest.mark.parametrize(("count", "a_bits", "b_bits"), [(4, 8, 8), (3, 8, 4), (1, 5, 8)])
def test_the_ice40_primitive_is_the_behavioural_form(count: int, a_bits: int, b_bits: int, tmp_path: Path) -> None:
    """Random operands, cycle by cycle, on Yosys's model of SB_MAC16, which powers up undefined."""
    assert PYOSYS is not None
    assert PYOSYS.origin is not None
    cells = Path(PYOSYS.origin).parent / "share" / "ice40" / "cells_sim.v"
    # default values of ports are SystemVerilog, which Icarus refuses; the primitive's inputs are all connected
    models = "`define NO_ICE40_DEFAULT_ASSIGNMENTS\n" + cells.read_text()
    texts = [
        component_verilog(Products(count=count, a_bits=a_bits, b_bits=b_bits, target=target), name=target.value)
        for target in (Target.ICE40, Target.GENERIC)
    ]
    inputs = {"take": 1, "a": count * a_bits, "b": count * b_bits}
    # now and then all operands at the lower end of their range, whose product is the largest
    ends = f"{{{count}{{{a_bits}'d{1 << (a_bits - 1)}}}}}", f"{{{count}{{{b_bits}'d{1 << (b_bits - 1)}}}}}"
    drive = f"a = cycle % 7 < 2 ? {ends[0]} : $random; b = cycle % 7 < 2 ? {ends[1]} : $random;"
    drive += " take = cycle < 5 || $random;"
    outputs = {"products": count * (a_bits + b_bits)}
    bench = twin_bench(("ice40", "generic"), inputs, outputs, cycles=2000, settle=3, drive=drive)
    assert run_bench(tmp_path, bench, models, *texts).splitlines()[-1] == "2000 cycles, 0 different"
