# SPDX-License-Identifier: Apache-2.0
"""Registered signed multipliers side by side: the one place where the array's multiplications are made.

The behavioural form leaves the choice to the synthesis tool, which finds the multiplier blocks of an ECP5. On an iCE40
UltraPlus no tool puts two 8 x 8 products into one SB_MAC16, so that primitive is instantiated, with its own registers
for the held operand and the product.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.outline import outlined
from systolith.hdl.target import Target

__all__ = ["Products"]

MAC16_BITS = 8
"""Operand bits of SB_MAC16 in its dual multiplier mode."""

_MAC16_MODE = {
    "p_A_SIGNED": Const(1, 1),
    "p_B_SIGNED": Const(1, 1),
    "p_B_REG": Const(1, 1),
    "p_MODE_8x8": Const(1, 1),
    "p_TOPOUTPUT_SELECT": Const(2, 2),  # the registered 8 x 8 product
    "p_BOTOUTPUT_SELECT": Const(2, 2),
    "p_TOP_8x8_MULT_REG": Const(1, 1),
    "p_BOT_8x8_MULT_REG": Const(1, 1),
}

_MAC16_IDLE = (
    *("IRSTTOP", "IRSTBOT", "ORSTTOP", "ORSTBOT", "AHOLD", "CHOLD", "DHOLD", "OHOLDTOP", "OHOLDBOT"),
    *("OLOADTOP", "OLOADBOT", "ADDSUBTOP", "ADDSUBBOT", "CI", "ACCUMCI", "SIGNEXTIN"),
)
"""Inputs of the primitive that stay low."""


class Products(wiring.Component):
    """``count`` products of a flowing operand ``a`` and a held operand ``b``.

    Members:
        take: In; hold the present ``b`` from the next cycle on.
        a: In, signed ``a_bits``; meets the operand held.
        b: In, signed ``b_bits``.
        products: Out, signed ``a_bits + b_bits``, :attr:`latency` cycles after ``a``.

    All but ``take`` are arrays of ``count``.
    """

    def __init__(self, *, count: int, a_bits: int, b_bits: int, target: Target = Target.GENERIC) -> None:
        """Build; raises ValueError for operands that the target's primitive cannot take."""
        if target is Target.ICE40 and max(a_bits, b_bits) > MAC16_BITS:
            raise ValueError(f"on iCE40 operands must be at most {MAC16_BITS} bits, got {a_bits} x {b_bits}")
        super().__init__(
            {
                "take": In(1),
                "a": In(data.ArrayLayout(signed(a_bits), count)),
                "b": In(data.ArrayLayout(signed(b_bits), count)),
                "products": Out(data.ArrayLayout(signed(a_bits + b_bits), count)),
            }
        )
        self._count = count
        self._target = target

    @property
    def latency(self) -> int:
        """Cycles from ``a`` to the products, on every target."""
        return 1

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        if self._target is Target.ICE40:
            for first in range(0, self._count, 2):
                self._make_mac16(m, first)
        else:
            for index in range(self._count):
                self._make_behavioural(m, index)
        return m

    def _make_behavioural(self, m: Module, index: int) -> None:
        held = Signal.like(self.b[index], name=f"held{index}", reset_less=True)
        product = Signal.like(self.products[index], name=f"product{index}", reset_less=True)
        with m.If(self.take):
            m.d.sync += held.eq(self.b[index])
        m.d.sync += product.eq(self.a[index] * held)
        m.d.comb += self.products[index].eq(product)

    def _make_mac16(self, m: Module, first: int) -> None:
        """Products ``first`` and, if there is one, ``first + 1`` in one primitive."""
        output = Signal(4 * MAC16_BITS, name=f"mac16_output{first}")
        pair = range(first, min(first + 2, self._count))
        m.submodules[f"mac16_{first}"] = Instance(
            "SB_MAC16",
            **_MAC16_MODE,
            i_CLK=ClockSignal(),
            i_CE=Const(1),
            i_A=_operands(self.a, pair),
            i_B=_operands(self.b, pair),
            i_BHOLD=~self.take,
            i_C=Const(0, 16),
            i_D=Const(0, 16),
            **{f"i_{name}": Const(0) for name in _MAC16_IDLE},
            o_O=output,
        )
        for half, index in enumerate(pair):
            m.d.comb += self.products[index].eq(output[half * 2 * MAC16_BITS : (half + 1) * 2 * MAC16_BITS])


def _operands(values: Any, pair: range) -> Value:
    """Two operands, sign-extended, the first in the low half."""
    wide = [Cat(values[index], values[index][-1].replicate(MAC16_BITS - len(values[index]))) for index in pair]
    return Cat(*wide, Const(0, 2 * MAC16_BITS - MAC16_BITS * len(wide)))
