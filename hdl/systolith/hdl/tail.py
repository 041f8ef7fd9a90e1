# SPDX-License-Identifier: Apache-2.0
"""How far off the last store is of all that has been issued, and whether the next descriptor may begin before it."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.outline import outlined
from systolith.spec.arch import Arch, clog2
from systolith.spec.isa import layout, lead_free
from systolith.spec.timing import DRAIN_LATENCY, drain_cycles, store_cycles

__all__ = ["Tail"]


class Tail(wiring.Component):
    """Counts down to the last store.

    Where sums go straight to the lanes, its time is known with the issue of a descriptor's last output pixel; where
    accumulators are drained, only when the drain of the last block begins, until when no time is known.

    Members:
        ended: In; the last window of a descriptor's last output pixel is issued; it counts a cycle later, before the
            next descriptor can ask. vector: In; it is a VECTOR.
        draining: In; the drain of a descriptor's last block begins, of ``pixels`` + 1 pixels (buffered accumulators).
        lead: In; the cycles that may be left. allowed: Out; no more than that are, or any number may.
    """

    def __init__(self, *, arch: Arch) -> None:
        """Build for the latencies of ``arch``."""
        self._arch = arch
        self._bits = layout(arch)["lead"].width
        super().__init__(
            {
                "ended": In(1),
                "vector": In(1),
                "draining": In(1),
                "pixels": In(clog2(arch.acc_depth)),
                "lead": In(self._bits),
                "allowed": Out(1),
            }
        )

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        arch = self._arch
        left, unknown = Signal(self._bits), Signal(2)
        # the decision to issue comes late
        ended, vector = Signal(name="ended_before"), Signal(name="vector_before")
        m.d.sync += [ended.eq(self.ended), vector.eq(self.vector)]
        straight = ended & vector if arch.buffered else ended
        # counts down without an enable, which would wait for the decision to issue
        m.d.sync += left.eq(left - (left != 0))
        with m.If(straight):
            cycles = [Const(drain_cycles(arch, vector=which) - 2, self._bits) for which in (False, True)]
            m.d.sync += left.eq(Mux(vector, cycles[1], cycles[0]))
        with m.Elif(self.draining):
            m.d.sync += left.eq(self.pixels * arch.lane_cycles + (DRAIN_LATENCY + store_cycles(arch) - 1))
        if arch.buffered:
            m.d.sync += unknown.eq(unknown + (ended & ~vector) - self.draining)
        m.d.comb += self.allowed.eq((self.lead == lead_free(arch)) | ((unknown == 0) & (left <= self.lead)))
        return m
