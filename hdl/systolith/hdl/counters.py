# SPDX-License-Identifier: Apache-2.0
"""The performance counters: every cycle of a run under exactly one cause.

Since a cycle has one cause, the causes' counters share one adder: they lie in a small memory, and the present cause's
is read, incremented and written back in two cycles.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.linemem import LineMemory
from systolith.hdl.outline import outlined
from systolith.spec.arch import Arch, clog2
from systolith.spec.isa import WORD_BITS
from systolith.spec.link import Counter

__all__ = ["Counters"]


class Counters(wiring.Component):
    """Counts as :class:`systolith.spec.link.Counter` says, from ``clear`` on.

    Members:
        clear: In; all to zero. Only when not ``running``.
        running: In; count this cycle, under ``cause``.
        cause: In; a cause's number.
        pixel: In; an output pixel's last window of the last block is issued: count its ``work``.
        work: In; useful MACs of such a pixel, in the cycle after ``pixel``.
        select: In; the counter to read, when ``running`` has been low for three cycles.
        value: Out; one cycle later its value, zero-extended to a word. ``select`` must stay.
    """

    def __init__(self, *, arch: Arch) -> None:
        """Build for the widths of ``arch``."""
        self._arch = arch
        number = clog2(len(Counter))
        super().__init__(
            {
                "clear": In(1),
                "running": In(1),
                "cause": In(number),
                "pixel": In(1),
                "work": In(arch.counter_bits),
                "select": In(number),
                "value": Out(WORD_BITS),
            }
        )

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        cycles = self._total(m, "cycles", self.running, 1)
        # what is issued comes late
        pixel = Signal(name="pixel_before")
        m.d.sync += pixel.eq(self.running & self.pixel)
        work = self._total(m, "work_done", pixel, self.work)
        cause = self._count_causes(m)
        with m.Switch(self.select):
            with m.Case(Counter.CYCLES):
                m.d.comb += self.value.eq(cycles)
            with m.Case(Counter.WORK):
                m.d.comb += self.value.eq(work)
            with m.Default():
                m.d.comb += self.value.eq(cause)
        return m

    def _total(self, m: Module, name: str, enable: Any, amount: Any) -> Signal:
        total = Signal(self._arch.counter_bits, name=name)
        with m.If(self.clear):
            m.d.sync += total.eq(0)
        with m.Elif(enable):
            m.d.sync += total.eq(total + amount)
        return total

    def _count_causes(self, m: Module) -> Signal:
        """The memory and its adder; returns the counter read last. One not written since ``clear`` counts as zero."""
        m.submodules.causes = memory = LineMemory(
            bits=self._arch.counter_bits, depth=len(Counter), unit=self._arch.counter_bits
        )
        # the cause is the result of all that decides about an issue, and comes late
        running, cause = Signal(name="ran"), Signal.like(self.cause, name="past_cause", reset_less=True)
        m.d.sync += [running.eq(self.running), cause.eq(self.cause)]
        counting = Signal()
        repeated, known = (Signal(name=name, reset_less=True) for name in ("repeated", "known"))
        number = Signal.like(self.cause, name="number", reset_less=True)
        written = Signal(len(Counter))
        stored, following, previous = (
            Signal(self._arch.counter_bits, name=name, reset_less=True) for name in ("stored", "following", "previous")
        )
        m.d.comb += [
            memory.read_en.eq(1),
            memory.read_addr.eq(Mux(running, cause, self.select)),
            stored.eq(Mux(known, memory.read_data, 0)),
            following.eq(Mux(repeated, previous, stored) + 1),
            memory.write_en.eq(counting),
            memory.write_addr.eq(number),
            memory.write_data.eq(following),
        ]
        m.d.sync += [
            number.eq(memory.read_addr),
            counting.eq(running),
            # the memory's answer does not yet contain what is written now
            repeated.eq(counting & (number == memory.read_addr)),
            # nor does ``written``, where it would matter
            known.eq(written.bit_select(memory.read_addr, 1)),
            previous.eq(following),
        ]
        with m.If(self.clear):
            m.d.sync += written.eq(0)
        with m.Elif(counting):
            m.d.sync += written.eq(written | Cat(number == index for index in range(len(Counter))))
        return stored
