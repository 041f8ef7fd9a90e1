# SPDX-License-Identifier: Apache-2.0
"""The vector unit: sums or maxima over the windows of an output pixel, one adder a channel."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.outline import outlined
from systolith.hdl.payload import SumPayload, WindowPayload, flow
from systolith.spec.arch import Arch

__all__ = ["VectorUnit"]


class VectorUnit(wiring.Component):
    """Reduces the first C elements of windows, from the one tagged ``first`` to the one tagged ``last``.

    The result leaves at ``sums`` :data:`systolith.spec.timing.VECTOR_LATENCY` cycles after the last window.

    Members: ``windows`` (In), ``sums`` (Out), valid-only streams.
    """

    def __init__(self, *, arch: Arch) -> None:
        """Build for the sizes of ``arch``."""
        self._arch = arch
        super().__init__({"windows": In(flow(WindowPayload(arch))), "sums": Out(flow(SumPayload(arch)))})

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        result, valid = self.sums.payload, Signal()
        # windows come from far and go to many places; a comparison and an addition are enough for a cycle. What is
        # not for this unit is cleared, or synthesis would share the register with the array's and place it there
        window = Signal(WindowPayload(self._arch), name="window", reset_less=True)
        m.d.sync += [window.eq(self.windows.payload), valid.eq(self.windows.valid)]
        with m.If(~self.windows.valid):
            m.d.sync += window.data.as_value().eq(0)
        m.d.sync += self.sums.valid.eq(valid & window.tag.last)
        m.d.sync += result.advance.eq(window.tag.advance)
        for lane in range(self._arch.cols):
            running = Signal(signed(self._arch.acc_bits), name=f"running{lane}", reset_less=True)
            element = window.data[lane]
            # a running maximum is an element: the bits above repeat its sign
            larger = element > running[: self._arch.act_bits].as_signed()
            with m.If(valid & (window.tag.first | ~window.maximum | larger)):
                m.d.sync += running.eq(Mux(window.tag.first | window.maximum, element, running + element))
            m.d.comb += result.data[lane].eq(running)
        return m
