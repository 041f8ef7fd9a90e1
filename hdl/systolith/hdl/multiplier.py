# SPDX-License-Identifier: Apache-2.0
"""One multiplier of a requantiser lane: signed by unsigned, with a register.

The behavioural form becomes a multiplier block where a device has some to spare. On an iCE40 UltraPlus the array takes
them all, and what synthesis makes of a product in logic is twice as large as need be; there the multiplier is written
out: one partial product for every two bits of the unsigned operand, summed by a tree of ripple-carry adders.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.outline import outlined
from systolith.hdl.target import Target

__all__ = ["Multiplier"]

DIGIT = 2
"""Bits of the unsigned operand behind one partial product."""


class Multiplier(wiring.Component):
    """``product = a * b``, :attr:`latency` cycles later.

    Members: ``a`` (In, signed ``a_bits``), ``b`` (In, unsigned ``b_bits``), ``product`` (Out, signed, as many bits as
    both).
    """

    def __init__(self, *, a_bits: int, b_bits: int, target: Target = Target.GENERIC) -> None:
        """Build; raises ValueError for operands without bits."""
        if a_bits < 1 or b_bits < 1:
            raise ValueError(f"operands must have at least 1 bit, got {a_bits} x {b_bits}")
        self._target = target
        super().__init__({"a": In(signed(a_bits)), "b": In(unsigned(b_bits)), "product": Out(signed(a_bits + b_bits))})

    @property
    def latency(self) -> int:
        """Cycles from the operands to the product, on every target."""
        return 1

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        product = Signal.like(self.product, name="registered", reset_less=True)
        m.d.sync += product.eq(self._sum_of_rows(m) if self._target is Target.ICE40 else self.a * self.b)
        m.d.comb += self.product.eq(product)
        return m

    def _sum_of_rows(self, m: Module) -> Value:
        triple = Signal(signed(len(self.a) + DIGIT))
        m.d.comb += triple.eq(self.a + (self.a << 1))
        rows = [self._row(triple, first) for first in range(0, len(self.b), DIGIT)]
        shift = DIGIT
        while len(rows) > 1:
            pairs = [_add_shifted(rows[index], rows[index + 1], shift) for index in range(0, len(rows) - 1, 2)]
            rows = pairs + rows[len(pairs) * 2 :]
            shift *= 2
        return rows[0]

    def _row(self, triple: Value, first: int) -> Value:
        """``a`` times the digit of ``b`` that begins at bit ``first``."""
        digit = Cat(self.b[first : first + DIGIT], Const(0, 1))
        even, odd = Mux(digit[1], self.a << 1, 0), Mux(digit[1], triple, self.a)
        return Mux(digit[0], odd, even)


def _add_shifted(low: Value, high: Value, shift: int) -> Value:
    """``low + (high << shift)``. The low bits pass by the adder, which keeps synthesis from regrouping the tree."""
    return Cat(low[:shift], low[shift:].as_signed() + high).as_signed()
