# SPDX-License-Identifier: Apache-2.0
"""One multiplier of a requantiser lane: signed by unsigned or signed, with registers for the operands, in the middle
and for the product.

On an ECP5 it is a multiplier block with its own registers, which synthesis would not use; wider operands than the block
takes are left to synthesis. On an iCE40 UltraPlus the array takes all blocks, and what synthesis makes of a product in
logic is twice as large as need be; there the multiplier is written out: one conditional addition a bit of the second
operand, which is one logic cell a bit; that of a sign is a subtraction.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.mult18 import MULT18_BITS, add_mult18
from systolith.hdl.outline import outlined
from systolith.hdl.target import Target

__all__ = ["Multiplier"]

CHAIN = 4
"""Conditional additions one after the other; more take less logic and more time."""


class Multiplier(wiring.Component):
    """``product = a * b``, :attr:`latency` cycles later.

    Members: ``a`` (In, signed ``a_bits``), ``b`` (In, ``b_bits``, unsigned unless ``b_signed``), ``product`` (Out,
    signed, as many bits as both).
    """

    def __init__(self, *, a_bits: int, b_bits: int, b_signed: bool = False, target: Target = Target.GENERIC) -> None:
        """Build; raises ValueError for operands without bits."""
        if a_bits < 1 or b_bits < 1:
            raise ValueError(f"operands must have at least 1 bit, got {a_bits} x {b_bits}")
        self._target, self._b_signed = target, b_signed
        b = signed(b_bits) if b_signed else unsigned(b_bits)
        super().__init__({"a": In(signed(a_bits)), "b": In(b), "product": Out(signed(a_bits + b_bits))})

    @property
    def latency(self) -> int:
        """Cycles from the operands to the product, on every target."""
        return 3

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        if self._target is Target.ECP5 and len(self.a) <= MULT18_BITS and len(self.b) < MULT18_BITS + self._b_signed:
            m.d.comb += self.product.eq(add_mult18(m, "block", self.a, self.b, pipeline=True))
            return m
        a, b, product = (
            Signal.like(port, name=f"{name}_register", reset_less=True)
            for name, port in (("a", self.a), ("b", self.b), ("product", self.product))
        )
        m.d.sync += [a.eq(self.a), b.eq(self.b), product.eq(self._multiply(m, a, b))]
        m.d.comb += self.product.eq(product)
        return m

    def _multiply(self, m: Module, a: Signal, b: Signal) -> Value:
        """The product a cycle later, but for its own register."""
        if self._target is not Target.ICE40:
            middle = Signal.like(self.product, name="middle", reset_less=True)
            m.d.sync += middle.eq(a * b)
            return middle
        level = [self._chain(m, self._begin(m, first), a, b, first) for first in range(0, len(b), CHAIN)]
        shift = CHAIN
        while len(level) > 1:
            pairs = [_add_shifted(level[index], level[index + 1], shift) for index in range(0, len(level) - 1, 2)]
            level, shift = pairs + level[2 * len(pairs) :], 2 * shift
        return level[0]

    def _begin(self, m: Module, first: int) -> Signal:
        """``a`` times one bit of ``b``, in a register beside theirs: the choice before the first addition.

        It is no multiplexer, of which synthesis would make a reset: a register without its logic takes a cell more.
        """
        a = -self.a if self._is_sign(first) else self.a
        chosen = Signal(signed(len(a)), name=f"chosen{first}", reset_less=True)
        m.d.sync += chosen.eq(a & self.b[first].replicate(len(a)))
        return chosen

    def _is_sign(self, index: int) -> bool:
        return self._b_signed and index == len(self.b) - 1

    def _chain(self, m: Module, high: Value, a: Signal, b: Signal, first: int) -> Value:
        """``a`` times the bits of ``b`` from ``first`` on, as far as one chain goes, in a register; ``high`` is ``a``
        times the first of them.

        Sum and choice share a logic cell: where the bit is clear the old value is taken and the carry does not matter.
        """
        done: list[Value] = []
        for index in range(first + 1, min(first + CHAIN, len(b))):
            done, high = [*done, high[0]], high[1:].as_signed()
            step = Signal(signed(len(a) + 1), name=f"chain{first}_{len(done)}")
            m.d.comb += step.eq(Mux(b[index], high - a if self._is_sign(index) else high + a, high))
            high = step
        total = Cat(*done, high)
        register = Signal(signed(len(total)), name=f"sum_of_chain{first}", reset_less=True)
        m.d.sync += register.eq(total)
        return register


def _add_shifted(low: Value, high: Value, shift: int) -> Value:
    """``low + (high << shift)``. The low bits pass by the adder, which keeps synthesis from regrouping the tree."""
    return Cat(low[:shift], low[shift:].as_signed() + high).as_signed()
