# SPDX-License-Identifier: Apache-2.0
"""The drain of buffered accumulators: a finished bank, pixel by pixel, at the pace of the lanes."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.accumulator import BankSignature
from systolith.hdl.outline import outlined
from systolith.hdl.payload import SumPayload, flow
from systolith.spec.arch import Arch, clog2

__all__ = ["Drain"]


class Drain(wiring.Component):
    """Reads banks in the order in which they were filled, a sum every ``lane_cycles`` cycles.

    Members:
        filled: In; a bank's last sum is being written. last: In; its pixel's number. ends: In; so does its descriptor.
        begun: In; the stage behind is ready for the sums of the next descriptor. They wait for it.
        bank: Out; reads.
        sums: Out; valid-only stream, DRAIN_LATENCY cycles after the read.
        drained: Out; a bank's last sum is being read.
        draining: Out; the first sum of a descriptor's last block is being read. pixels: Out; then, how many follow.
    """

    def __init__(self, *, arch: Arch) -> None:
        """Build; raises ValueError for an engine without buffered accumulators."""
        if not arch.buffered:
            raise ValueError(f"a drain needs lane_cycles of 2 or more, got {arch.lane_cycles}")
        self._arch = arch
        pixel = clog2(arch.acc_depth)
        super().__init__(
            {
                "filled": In(1),
                "last": In(pixel),
                "ends": In(1),
                "begun": In(1),
                "bank": Out(BankSignature(arch)),
                "sums": Out(flow(SumPayload(arch))),
                "drained": Out(1),
                "draining": Out(1),
                "pixels": Out(pixel),
            }
        )

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        self._full, self._fresh = Signal(2, name="full"), Signal(name="fresh", init=1)
        read, final, ends = Signal(), self._look_ahead(m), Signal()
        self._know_banks(m, read & final, ends)
        waiting = self._pace(m, read, final, ends)
        came = Signal()
        m.d.sync += came.eq(read)  # DRAIN_LATENCY: the memory's
        m.d.comb += [
            read.eq((self._full != 0) & ~waiting),
            self.bank.en.eq(read),
            self.drained.eq(read & final),
            self.draining.eq(read & ends & self._fresh),
            self.sums.valid.eq(came),
            self.sums.payload.eq(self.bank.line),
        ]
        return m

    def _look_ahead(self, m: Module) -> Signal:
        """Whether the next read is its bank's last: in a register, since there is a cycle between two reads.

        A bank that is filled while none is full may be read in the cycle behind.
        """
        final = Signal(name="final")
        idle = self._full == 0
        m.d.sync += final.eq(Mux(idle, self.last == 0, self.bank.pixel == self.pixels))
        return final

    def _know_banks(self, m: Module, done: Value, ends: Signal) -> None:
        """How many banks are full, which comes next, its last pixel, and whether its descriptor ends with it."""
        filling = Signal()
        m.d.sync += [
            self._full.eq(self._full + self.filled - done),
            filling.eq(filling ^ self.filled),
            self.bank.number.eq(self.bank.number ^ done),
        ]
        for bank in range(2):
            last, final = Signal(len(self.last), name=f"last{bank}"), Signal(name=f"ends{bank}")
            with m.If(self.filled & (filling == bank)):
                m.d.sync += [last.eq(self.last), final.eq(self.ends)]
            with m.If(self.bank.number == bank):
                m.d.comb += [self.pixels.eq(last), ends.eq(final)]

    def _pace(self, m: Module, read: Signal, final: Signal, ends: Signal) -> Value:
        """A pixel every ``lane_cycles`` cycles. Returns whether the next one has to wait."""
        left, held = Signal(range(self._arch.lane_cycles)), Signal()
        with m.If(read):
            m.d.sync += left.eq(self._arch.lane_cycles - 1)
            m.d.sync += [self.bank.pixel.eq(Mux(final, 0, self.bank.pixel + 1)), self._fresh.eq(final)]
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        with m.If(read & final & ends):
            m.d.sync += held.eq(1)
        with m.Elif(self.begun):
            m.d.sync += held.eq(0)
        return held | (left != 0)
