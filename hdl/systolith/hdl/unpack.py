# SPDX-License-Identifier: Apache-2.0
"""Narrow weights out of a line of the weight memory: a part of each of its places, of full width again.

The parts lie such that a weight's bits never leave its place in the line: a selection and a sign are all it takes.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.outline import outlined
from systolith.spec.arch import NARROWABLE_BITS

__all__ = ["QUARTERS", "Part", "Unpack"]

QUARTERS = 4
"""What a place of the line is divided into at most."""

_QUARTER, _HALF = NARROWABLE_BITS // QUARTERS, NARROWABLE_BITS // 2

Part = data.StructLayout({"whole": 1, "half": 1, "quarter": range(QUARTERS)})
"""Which part: of what width, and the first of its quarters (0 of a whole place, 0 or 2 of a half, else any)."""


class Unpack(wiring.Component):
    """The weights of one part of a line, in the same cycle.

    Members: ``line`` (In, ``weights`` places), ``part`` (In), ``weights`` (Out, an array of ``weights`` signed values).
    """

    def __init__(self, *, weights: int) -> None:
        """Build for lines of ``weights`` places."""
        places = data.ArrayLayout(NARROWABLE_BITS, weights)
        values = data.ArrayLayout(signed(NARROWABLE_BITS), weights)
        super().__init__({"line": In(places), "part": In(Part), "weights": Out(values)})

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        for place, weight in zip(self.line, self.weights, strict=True):
            m.d.comb += weight.eq(_weight(place, self.part))
        return m


def _weight(place: Value, part: Any) -> Value:
    """Each quarter of a weight is one of its place's quarters or the sign."""
    low = place.word_select(part.quarter, _QUARTER)
    upper = Mux(part.quarter[1], place[-_QUARTER:], place[_QUARTER:_HALF])
    sign = Mux(part.half, upper[-1], low[-1])
    second = Mux(part.whole | part.half, upper, low[-1].replicate(_QUARTER))
    return Cat(low, second, Mux(part.whole, place[_HALF:], sign.replicate(_HALF))).as_signed()
