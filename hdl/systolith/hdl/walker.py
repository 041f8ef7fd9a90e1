# SPDX-License-Identifier: Apache-2.0
"""Addresses in the order of the stores: pixel by pixel, and within a pixel step by step."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.outline import outlined
from systolith.hdl.payload import Advance

__all__ = ["WalkConfig", "Walker"]


class WalkConfig(data.StructLayout):
    """First address and relative steps of ``bits`` bits, as :class:`systolith.spec.isa.Walk`."""

    def __init__(self, bits: int) -> None:
        """Take the width of an address."""
        super().__init__(dict.fromkeys(("base", "x", "y", "block"), bits))


class Walker(wiring.Component):
    """Walks: within a pixel 1 a step, between pixels by the relative step that ``advance`` names, modulo
    ``2**bits``.

    Members:
        config: In; stable from ``start`` on.
        start: In; go to the base.
        step: In; leave the present address. With ``final``, the pixel's last step, ``advance`` says where to.
        address: Out; valid from one cycle after ``start``.
    """

    def __init__(self, *, bits: int, single_step: bool) -> None:
        """Build. ``single_step``: every step is its pixel's last, as ``final`` must then say."""
        super().__init__(
            {
                "config": In(WalkConfig(bits)),
                "start": In(1),
                "step": In(1),
                "final": In(1),
                "advance": In(Advance),
                "address": Out(bits),
            }
        )
        self._bits = bits
        self._single_step = single_step

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        pixel = Signal(self._bits)
        relative = Signal(self._bits)
        with m.Switch(self.advance):
            for advance, name in ((Advance.PIXEL, "x"), (Advance.ROW, "y"), (Advance.BLOCK, "block")):
                with m.Case(advance):
                    m.d.comb += relative.eq(self.config[name])
        following = Signal(self._bits)
        m.d.comb += following.eq(Mux(self.start, self.config.base, pixel + relative))
        with m.If(self.start | (self.step & self.final)):
            m.d.sync += pixel.eq(following)
        if self._single_step:
            m.d.comb += self.address.eq(pixel)
        else:
            self._walk_steps(m, following)
        return m

    def _walk_steps(self, m: Module, following: Signal) -> None:
        """The address runs ahead of its pixel. The step comes late and only enables."""
        with m.If(self.start | self.step):
            m.d.sync += self.address.eq(Mux(self.start | self.final, following, self.address + 1))
