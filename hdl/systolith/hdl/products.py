# SPDX-License-Identifier: Apache-2.0
"""Registered signed multipliers side by side: the one place where the array's multiplications are made.

The behavioural form leaves the choice to the synthesis tool. No tool puts two 8 x 8 products into one SB_MAC16 of an
iCE40 UltraPlus, and none moves registers into a MULT18X18D of an ECP5; so both primitives are instantiated, with their
own registers for the operands and the product. Where an ECP5 has fewer multipliers than the array has products, the
others are made of logic (:mod:`~systolith.hdl.lutmult`), which has the same registers.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.lutmult import logic_product
from systolith.hdl.mult18 import MULT18_BITS, add_mult18
from systolith.hdl.outline import outlined
from systolith.hdl.target import Target

__all__ = ["Products"]

MAC16_BITS = 8
"""Operand bits of SB_MAC16 in its dual multiplier mode."""

_MAC16_MODE = {
    "p_A_SIGNED": Const(1, 1),
    "p_B_SIGNED": Const(1, 1),
    "p_A_REG": Const(1, 1),
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
        take: In; hold the present ``b`` from now on: it meets the ``a`` of this cycle.
        a: In, signed ``a_bits``.
        b: In, signed ``b_bits``.
        products: Out, signed ``a_bits + b_bits``, :attr:`latency` cycles after ``a``.

    All but ``take`` are arrays of ``count``.
    """

    def __init__(
        self, *, count: int, a_bits: int, b_bits: int, target: Target = Target.GENERIC, blocks: int | None = None
    ) -> None:
        """Build; raises ValueError for operands that the target's primitive cannot take.

        ``blocks``: how many of the products get a multiplier block on an ECP5, the others are made of logic; all by
        default.
        """
        widest = {Target.ICE40: MAC16_BITS, Target.ECP5: MULT18_BITS}.get(target)
        if widest and max(a_bits, b_bits) > widest:
            raise ValueError(f"on {target.value} operands must be at most {widest} bits, got {a_bits} x {b_bits}")
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
        self._blocks = count if blocks is None else blocks

    @property
    def latency(self) -> int:
        """Cycles from ``a`` to the products, on every target."""
        return 2

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        if self._target is Target.ICE40:
            for first in range(0, self._count, 2):
                self._make_mac16(m, first)
            return m
        for index in range(self._count):
            if self._target is Target.ECP5 and index < self._blocks:
                product = add_mult18(m, f"block{index}", self.a[index], self.b[index], take_b=self.take)
                m.d.comb += self.products[index].eq(product)
            else:
                self._make_of_logic(m, index)
        return m

    def _make_of_logic(self, m: Module, index: int) -> None:
        flowing = Signal.like(self.a[index], name=f"flowing{index}", reset_less=True)
        held = Signal.like(self.b[index], name=f"held{index}", reset_less=True)
        product = Signal.like(self.products[index], name=f"product{index}", reset_less=True)
        with m.If(self.take):
            m.d.sync += held.eq(self.b[index])
        structural = self._target is Target.ECP5
        m.d.sync += flowing.eq(self.a[index])
        m.d.sync += product.eq(logic_product(m, f"rows{index}", flowing, held) if structural else flowing * held)
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
