# SPDX-License-Identifier: Apache-2.0
"""The performance counters: every cycle of a run under exactly one cause."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith.spec.arch import Arch, clog2
from systolith.spec.isa import WORD_BITS
from systolith.spec.link import Counter

__all__ = ["Counters"]


class Counters(wiring.Component):
    """Counts as :class:`systolith.spec.link.Counter` says, from ``clear`` on.

    Members:
        clear: In; all to zero.
        running: In; count this cycle, under ``cause``.
        cause: In; a cause's number.
        pixel: In; an output pixel's last window of the last block is issued: count its ``work``.
        work: In; useful MACs of such a pixel.
        read, select: In; read a counter.
        value: Out; one cycle later and until the next read: its value, zero-extended to a word.
    """

    def __init__(self, *, arch: Arch) -> None:
        """Build for the widths of ``arch``."""
        self._arch = arch
        super().__init__(
            {
                "clear": In(1),
                "running": In(1),
                "cause": In(clog2(len(Counter))),
                "pixel": In(1),
                "work": In(arch.counter_bits),
                "read": In(1),
                "select": In(clog2(len(Counter))),
                "value": Out(WORD_BITS),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        values = [Signal(self._arch.counter_bits, name=counter.name.lower()) for counter in Counter]
        for counter in Counter:
            value = values[counter]
            if counter == Counter.WORK:
                enable, amount = self.running & self.pixel, self.work
            elif counter == Counter.CYCLES:
                enable, amount = self.running, 1
            else:
                enable, amount = self.running & (self.cause == counter), 1
            with m.If(self.clear):
                m.d.sync += value.eq(0)
            with m.Elif(enable):
                m.d.sync += value.eq(value + amount)
        with m.If(self.read):
            m.d.sync += self.value.eq(Array(values)[self.select])
        return m
