# SPDX-License-Identifier: Apache-2.0
import random
from pathlib import Path
from typing import Any

import pytest

from systolith.hdl.emit import component_verilog
from systolith.hdl.products import Products
from systolith.hdl.target import Target
from tests.support.icarus import run_bench, twin_bench
from tests.support.primitives import NEEDS_PYOSYS, ecp5_models, yosys_models
from tests.support.simulate import simulate
from tests.support.simulators import needs


def extremes(bits: int) -> list[int]:
    return [-(1 << (bits - 1)), -1, 0, 1, (1 << (bits - 1)) - 1]


def test_latency() -> None:
    assert Products(count=2, a_bits=8, b_bits=8).latency == 2


@pytest.mark.parametrize(("a_bits", "b_bits"), [(9, 8), (8, 9), (16, 8)])
def test_ice40_refuses_wide_operands(a_bits: int, b_bits: int) -> None:
    with pytest.raises(ValueError, match=f"at most 8 bits, got {a_bits} x {b_bits}"):
        Products(count=2, a_bits=a_bits, b_bits=b_bits, target=Target.ICE40)


def test_ecp5_refuses_wider_operands_than_a_block_takes() -> None:
    with pytest.raises(ValueError, match="on ecp5 operands must be at most 18 bits, got 8 x 19"):
        Products(count=2, a_bits=8, b_bits=19, target=Target.ECP5)


def test_blocks_are_as_many_as_given() -> None:
    dut = Products(count=4, a_bits=8, b_bits=8, target=Target.ECP5, blocks=3)
    assert component_verilog(dut, name="products").count("MULT18X18D #(") == 3


@pytest.mark.parametrize(("a_bits", "b_bits"), [(8, 8), (16, 4), (4, 2)])
def test_multiplies_by_what_it_took_last(a_bits: int, b_bits: int) -> None:
    rng, count = random.Random(3), 3
    dut = Products(count=count, a_bits=a_bits, b_bits=b_bits)

    async def bench(ctx: Any) -> None:
        held, before = [0] * count, [0] * count
        for cycle in range(200):
            a = [rng.choice(extremes(a_bits)) if cycle % 2 else rng.randrange(1 << (a_bits - 1)) for _ in held]
            b = [rng.choice(extremes(b_bits)) for _ in held]
            take = rng.random() < 0.3
            ctx.set(dut.a, a)
            ctx.set(dut.b, b)
            ctx.set(dut.take, take)
            await ctx.tick()
            held = b if take else held
            assert [ctx.get(dut.products[index]) for index in range(count)] == before
            before = [x * y for x, y in zip(a, held, strict=True)]

    simulate(dut, bench)


@pytest.mark.sim
@needs("icarus")
@NEEDS_PYOSYS
@pytest.mark.parametrize(("count", "a_bits", "b_bits"), [(4, 8, 8), (3, 8, 4), (1, 5, 8)])
def test_the_ice40_primitive_is_the_behavioural_form(count: int, a_bits: int, b_bits: int, tmp_path: Path) -> None:
    """Random operands, cycle by cycle, on Yosys's model of SB_MAC16, which powers up undefined."""
    # default values of ports are SystemVerilog, which Icarus refuses; the primitive's inputs are all connected
    models = "`define NO_ICE40_DEFAULT_ASSIGNMENTS\n" + yosys_models("ice40/cells_sim.v")
    dut = Products(count=count, a_bits=a_bits, b_bits=b_bits, target=Target.ICE40)
    check_twin(dut, count, a_bits, b_bits, tmp_path, models)


@pytest.mark.sim
@needs("icarus")
@NEEDS_PYOSYS
@pytest.mark.parametrize("blocks", [0, 1, None])
@pytest.mark.parametrize(("count", "a_bits", "b_bits"), [(3, 8, 8), (1, 5, 8), (2, 16, 3), (2, 4, 2), (1, 9, 16)])
def test_the_ecp5_forms_are_the_behavioural_form(
    count: int, a_bits: int, b_bits: int, blocks: int | None, tmp_path: Path
) -> None:
    """Blocks and logic; the carry chain's cell is Yosys's model, the block's our own."""
    models = ecp5_models()
    dut = Products(count=count, a_bits=a_bits, b_bits=b_bits, target=Target.ECP5, blocks=blocks)
    check_twin(dut, count, a_bits, b_bits, tmp_path, models)


def check_twin(dut: Products, count: int, a_bits: int, b_bits: int, folder: Path, models: str) -> None:
    """In step with the behavioural form."""
    generic = Products(count=count, a_bits=a_bits, b_bits=b_bits)
    texts = [component_verilog(dut, name="primitives"), component_verilog(generic, name="behavioural")]
    inputs = {"take": 1, "a": count * a_bits, "b": count * b_bits}
    # now and then all operands at the lower end of their range, whose product is the largest
    ends = f"{{{count}{{{a_bits}'d{1 << (a_bits - 1)}}}}}", f"{{{count}{{{b_bits}'d{1 << (b_bits - 1)}}}}}"
    drive = f"a = cycle % 7 < 2 ? {ends[0]} : $random; b = cycle % 7 < 2 ? {ends[1]} : $random;"
    drive += " take = cycle < 5 || $random;"
    outputs = {"products": count * (a_bits + b_bits)}
    bench = twin_bench(("primitives", "behavioural"), inputs, outputs, cycles=2000, settle=4, drive=drive)
    assert run_bench(folder, bench, models, *texts).splitlines()[-1] == "2000 cycles, 0 different"
