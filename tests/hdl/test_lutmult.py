# SPDX-License-Identifier: Apache-2.0
from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.emit import component_verilog
from systolith.hdl.lutmult import logic_product
from systolith.hdl.outline import outlined
from tests.support.icarus import run_bench, twin_bench
from tests.support.primitives import NEEDS_PYOSYS, ecp5_models
from tests.support.simulators import needs


class Product(wiring.Component):
    """A product, structural or not."""

    def __init__(self, a_bits: int, b_bits: int, structural: bool) -> None:
        ports = {"a": In(signed(a_bits)), "b": In(signed(b_bits)), "p": Out(signed(a_bits + b_bits)), "even": Out(1)}
        super().__init__(ports)
        self._structural = structural

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.d.comb += self.p.eq(logic_product(m, "rows", self.a, self.b) if self._structural else self.a * self.b)
        m.d.sync += self.even.eq(~self.even)
        return m


def test_a_chain_holds_two_bits_a_cell() -> None:
    text = component_verilog(Product(8, 8, True), name="product")
    assert text.count("CCU2C #(") == 4 * (8 + 2) // 2


@pytest.mark.sim
@needs("icarus")
@NEEDS_PYOSYS
@pytest.mark.parametrize(("a_bits", "b_bits"), [(8, 8), (5, 4), (4, 5), (3, 7), (4, 2), (6, 3)])
def test_every_product(a_bits: int, b_bits: int, tmp_path: Path) -> None:
    """All pairs of operands."""
    texts = [component_verilog(Product(a_bits, b_bits, kind), name=f"kind{int(kind)}") for kind in (False, True)]
    cycles = 1 << (a_bits + b_bits)
    inputs, outputs = {"a": a_bits, "b": b_bits}, {"p": a_bits + b_bits}
    bench = twin_bench(("kind0", "kind1"), inputs, outputs, cycles=cycles, drive="{a, b} = cycle;")
    assert run_bench(tmp_path, bench, ecp5_models(), *texts).splitlines()[-1] == f"{cycles} cycles, 0 different"
