# SPDX-License-Identifier: Apache-2.0
"""Watches the serial line's level: long silence ends a broken frame, a long low level resets the board."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith.spec.arch import clog2

__all__ = ["SilenceWatch"]


class SilenceWatch(wiring.Component):
    """Counts the cycles in which the line does not change.

    Parameters:
        cycles: silence that counts as a gap; rounded up to a power of two (one bit of a counter tells).

    Members:
        level: the synchronised line.
        gap: the line has been high for ``cycles`` or longer.
        reset: the line has been low for ``cycles`` or longer (a *break* of the serial line).
    """

    def __init__(self, *, cycles: int) -> None:
        """Raises TypeError or ValueError for an unusable length."""
        if not isinstance(cycles, int):
            raise TypeError(f"cycles must be an int, got {cycles!r}")
        if cycles < 2:
            raise ValueError(f"cycles must be at least 2, got {cycles}")
        self._cycles = 1 << clog2(cycles)
        super().__init__(
            {
                "level": In(1),
                "gap": Out(1),
                "reset": Out(1),
            }
        )

    @property
    def cycles(self) -> int:
        """Cycles without change after which ``gap`` or ``reset`` rises."""
        return self._cycles

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        before = Signal(init=1)
        counter = Signal(range(self._cycles + 1))
        long = counter[-1]
        m.d.sync += before.eq(self.level)
        m.d.comb += [self.gap.eq(long & before), self.reset.eq(long & ~before)]
        with m.If(self.level != before):
            m.d.sync += counter.eq(0)
        with m.Elif(~long):
            m.d.sync += counter.eq(counter + 1)
        return m
