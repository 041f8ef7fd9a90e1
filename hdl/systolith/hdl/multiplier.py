# SPDX-License-Identifier: Apache-2.0
"""One multiplier of a requantiser lane: signed by unsigned, with a register.

The behavioural form becomes a multiplier block where a device has some to spare. On an iCE40 UltraPlus the array takes
them all, and what synthesis makes of a product in logic is twice as large as need be; there the multiplier is written
out: one conditional addition a bit of the unsigned operand, which is one logic cell a bit.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.outline import outlined
from systolith.hdl.target import Target

__all__ = ["Multiplier"]

CHAIN = 8
"""Conditional additions one after the other; more take less logic and more time."""


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
        """Conditional additions of ``a``, one a bit of ``b``, in chains that a tree adds up."""
        level = [self._chain(m, first) for first in range(0, len(self.b), CHAIN)]
        shift = CHAIN
        while len(level) > 1:
            pairs = [_add_shifted(level[index], level[index + 1], shift) for index in range(0, len(level) - 1, 2)]
            level, shift = pairs + level[2 * len(pairs) :], 2 * shift
        return level[0]

    def _chain(self, m: Module, first: int) -> Value:
        """``a`` times the bits of ``b`` from ``first`` on, as far as one chain goes.

        Sum and choice share a logic cell: where the bit is clear the old value is taken and the carry does not matter.
        """
        bits = [self.b[index] for index in range(first, min(first + CHAIN, len(self.b)))]
        done: list[Value] = []
        high = Mux(bits[0], self.a, 0).as_signed()
        for bit in bits[1:]:
            done, high = [*done, high[0]], high[1:].as_signed()
            step = Signal(signed(len(self.a) + 1), name=f"chain{first}_{len(done)}")
            m.d.comb += step.eq(Mux(bit, high + self.a, high))
            high = step
        return Cat(*done, high).as_signed()


def _add_shifted(low: Value, high: Value, shift: int) -> Value:
    """``low + (high << shift)``. The low bits pass by the adder, which keeps synthesis from regrouping the tree."""
    return Cat(low[:shift], low[shift:].as_signed() + high).as_signed()
