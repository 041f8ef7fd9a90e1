# SPDX-License-Identifier: Apache-2.0
"""Serial line, 8 data bits, no parity, one stop bit: a receiver and a transmitter of bytes."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["MIN_DIVISOR", "UartReceiver", "UartTransmitter"]

MIN_DIVISOR = 4
"""Fewest clock cycles per bit: the receiver must find the middle of a bit, two cycles late by its synchroniser."""

_DATA_BITS = 8
_FRAME_BITS = _DATA_BITS + 2


def _check_divisor(divisor: int) -> int:
    if not isinstance(divisor, int):
        raise TypeError(f"divisor must be an int, got {divisor!r}")
    if divisor < MIN_DIVISOR:
        raise ValueError(f"divisor must be at least {MIN_DIVISOR} cycles per bit, got {divisor}")
    return divisor


class UartReceiver(wiring.Component):
    """Bytes from a serial line, each bit sampled once, in its middle.

    Parameters:
        divisor: clock cycles per bit, :data:`MIN_DIVISOR` or more.

    Members:
        line: the raw pin (asynchronous), high when idle.
        level: the pin, synchronised; for watching the line's silence.
        data: received bytes; no back-pressure. A byte whose stop bit is low is dropped; the next begins with
            the next fall of the line.

    Latency: a byte appears in the middle of its stop bit, plus two cycles of synchronisation.
    """

    def __init__(self, *, divisor: int) -> None:
        """Raises TypeError or ValueError for an unusable divisor."""
        self._divisor = _check_divisor(divisor)
        super().__init__(
            {
                "line": In(1, init=1),
                "level": Out(1, init=1),
                "data": Out(stream.Signature(_DATA_BITS, always_ready=True)),
            }
        )

    @property
    def divisor(self) -> int:
        """Clock cycles per bit."""
        return self._divisor

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.synchroniser = FFSynchronizer(self.line, self.level, init=1)
        timer = Signal(range(self._divisor))
        samples_left = Signal(range(_FRAME_BITS + 1))
        before = Signal(init=1)
        m.d.sync += [self.data.valid.eq(0), timer.eq(timer - 1), before.eq(self.level)]
        with m.If(samples_left == 0):
            # Half a bit from the start edge to the middle of the start bit.
            m.d.sync += timer.eq(self._divisor // 2 - 1)
            with m.If(before & ~self.level):
                m.d.sync += samples_left.eq(_FRAME_BITS)
        with m.Elif(timer == 0):
            m.d.sync += [timer.eq(self._divisor - 1), samples_left.eq(samples_left - 1)]
            with m.If((samples_left == _FRAME_BITS) & self.level):  # a glitch, not a start bit
                m.d.sync += samples_left.eq(0)
            with m.If(samples_left == 1):
                m.d.sync += self.data.valid.eq(self.level)
            with m.Else():  # the start bit is shifted out again by the last data bit
                m.d.sync += self.data.payload.eq(Cat(self.data.payload[1:], self.level))
        return m


class UartTransmitter(wiring.Component):
    """Bytes to a serial line.

    Parameters:
        divisor: clock cycles per bit, :data:`MIN_DIVISOR` or more.

    Members:
        data: bytes to send; ready when the line is free.
        line: the pin, high when idle.

    Latency: the start bit begins in the cycle after the handshake; a byte takes ten bits.
    """

    def __init__(self, *, divisor: int) -> None:
        """Raises TypeError or ValueError for an unusable divisor."""
        self._divisor = _check_divisor(divisor)
        super().__init__(
            {
                "data": In(stream.Signature(_DATA_BITS)),
                "line": Out(1, init=1),
            }
        )

    @property
    def divisor(self) -> int:
        """Clock cycles per bit."""
        return self._divisor

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        timer = Signal(range(self._divisor))
        bits_left = Signal(range(_FRAME_BITS + 1))
        # One flip-flop more than the bits left to send, so that the line is a flip-flop and idles high.
        shifter = Signal(_DATA_BITS + 1, init=-1)
        m.d.comb += [self.line.eq(shifter[0]), self.data.ready.eq(bits_left == 0)]
        with m.If(self.data.ready):
            m.d.sync += timer.eq(self._divisor - 1)
            with m.If(self.data.valid):
                m.d.sync += [shifter.eq(Cat(Const(0, 1), self.data.payload)), bits_left.eq(_FRAME_BITS)]
        with m.Elif(timer == 0):
            m.d.sync += [timer.eq(self._divisor - 1), bits_left.eq(bits_left - 1)]
            m.d.sync += shifter.eq(Cat(shifter[1:], Const(1, 1)))
        with m.Else():
            m.d.sync += timer.eq(timer - 1)
        return m
