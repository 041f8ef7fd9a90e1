# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest
from amaranth.hdl import Module, Signal, signed

from systolith.hdl.emit import component_verilog
from systolith.hdl.mult18 import MULT18_BITS, add_mult18
from systolith.hdl.multiplier import Multiplier
from systolith.hdl.target import Target
from tests.support.icarus import run_bench, twin_bench
from tests.support.primitives import NEEDS_PYOSYS, ecp5_models
from tests.support.simulators import needs


def test_product_is_as_wide_as_its_operands() -> None:
    product = add_mult18(Module(), "block", Signal(signed(MULT18_BITS)), Signal(3))
    assert product.shape() == signed(MULT18_BITS + 3)


def test_wider_operands_are_left_to_synthesis() -> None:
    made = [Multiplier(a_bits=bits, b_bits=17, target=Target.ECP5) for bits in (18, 19)]
    made += [Multiplier(a_bits=11, b_bits=bits, b_signed=True, target=Target.ECP5) for bits in (18, 19)]
    made += [Multiplier(a_bits=11, b_bits=18, target=Target.ECP5)]
    texts = [component_verilog(one, name="lane") for one in made]
    assert [text.count("MULT18X18D #(") for text in texts] == [1, 0, 1, 0, 0]


@pytest.mark.sim
@needs("icarus")
@NEEDS_PYOSYS
@pytest.mark.parametrize(
    ("a_bits", "b_bits", "b_signed"), [(18, 16, False), (9, 17, False), (18, 17, False), (11, 18, True)]
)
def test_the_lanes_block_is_the_behavioural_form(a_bits: int, b_bits: int, b_signed: bool, tmp_path: Path) -> None:
    """Signed by unsigned or signed, with the pipeline register, cycle by cycle; often at the ends of the ranges."""
    texts = [
        component_verilog(Multiplier(a_bits=a_bits, b_bits=b_bits, b_signed=b_signed, target=target), name=target.value)
        for target in (Target.ECP5, Target.GENERIC)
    ]
    end = 1 << (b_bits - 1) if b_signed else (1 << b_bits) - 1
    drive = f"a = cycle % 5 < 2 ? {a_bits}'d{1 << (a_bits - 1)} : $random;"
    drive += f" b = cycle % 7 < 3 ? {b_bits}'d{end} : $random;"
    inputs, outputs = {"a": a_bits, "b": b_bits}, {"product": a_bits + b_bits}
    bench = twin_bench(("ecp5", "generic"), inputs, outputs, cycles=2000, settle=4, drive=drive)
    assert run_bench(tmp_path, bench, ecp5_models(), *texts).splitlines()[-1] == "2000 cycles, 0 different"
