# SPDX-License-Identifier: Apache-2.0
"""The far end of a board's serial line: bytes to and from two pins, and the transport that the real client takes.

Bytes cost Python a wake-up for each change of the line, not for each clock cycle.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import cocotb
from cocotb.task import resume
from cocotb.triggers import Event, FallingEdge, First, Timer

__all__ = ["FramingError", "PinTransport", "SerialLine", "line_levels"]

_BITS = 8
_PAUSE_MARGIN = 3
"""A board may round its gap up to a power of two, which is less than twice as long."""


class FramingError(RuntimeError):
    """The board sent something that is no byte."""


def line_levels(data: bytes) -> Iterator[tuple[int, int]]:
    """The line's levels for ``data`` (start bit, least significant bit first, stop bit): level and bit times."""
    bits = [bit for byte in data for bit in (0, *((byte >> index) & 1 for index in range(_BITS)), 1)]
    for level, run in groupby(bits):
        yield level, len(list(run))


class SerialLine:
    """Drives the board's ``rx`` and watches its ``tx``."""

    def __init__(self, *, rx: Any, tx: Any, bit_ps: int) -> None:
        """Idle; ``bit_ps`` is the length of a bit in picoseconds."""
        self._rx, self._tx, self._bit_ps = rx, tx, bit_ps
        self._arrived = Event()
        self.received = bytearray()
        """Bytes from the board that nobody has taken yet."""
        rx.value = 1
        cocotb.start_soon(self._watch())

    async def send(self, data: bytes) -> None:
        """Drive all bytes, without a gap."""
        for level, bits in line_levels(data):
            self._rx.value = level
            await Timer(bits * self._bit_ps, "ps")

    async def hold(self, level: int, bits: int) -> None:
        """Keep the line at a level for so many bit times, then leave it idle."""
        self._rx.value = level
        await Timer(bits * self._bit_ps, "ps")
        self._rx.value = 1

    async def receive(self, count: int, timeout_ps: int) -> bytes:
        """``count`` bytes, or those there are when none has come for the timeout."""
        while len(self.received) < count:
            self._arrived.clear()
            late = Timer(timeout_ps, "ps")
            if await First(self._arrived.wait(), late) is late:
                break
        taken = bytes(self.received[:count])
        del self.received[:count]
        return taken

    async def _watch(self) -> None:
        while True:
            await FallingEdge(self._tx)
            await Timer(self._bit_ps + self._bit_ps // 2, "ps")
            byte = 0
            for index in range(_BITS):
                byte |= int(self._tx.value) << index
                await Timer(self._bit_ps, "ps")
            if int(self._tx.value) != 1:
                raise FramingError(f"byte {len(self.received)} ({byte:#04x}): the stop bit is low")
            self.received.append(byte)
            self._arrived.set()


class PinTransport:
    """A :class:`~systolith.boards.host.transport.Transport` over simulated pins, for use in a bridged thread.

    Seconds of the client are counted in bit times, ``bits_per_second`` of them, whatever the simulated bit lasts.
    """

    def __init__(self, line: SerialLine, *, bit_ps: int, gap_bits: int, bits_per_second: int) -> None:
        """Take a line; ``gap_bits`` is the board's gap in bit times."""
        self._line, self._gap_bits = line, gap_bits
        self._second_ps = bits_per_second * bit_ps
        self.send = resume(line.send)
        self._receive = resume(line.receive)
        self._hold = resume(line.hold)

    def receive(self, count: int, timeout: float) -> bytes:
        """Up to ``count`` bytes."""
        return self._receive(count, int(timeout * self._second_ps))

    def pause(self) -> None:
        """Idle until the board has dropped a half-received frame; throw away what came in."""
        self._hold(1, _PAUSE_MARGIN * self._gap_bits)
        self._line.received.clear()

    def interrupt(self) -> None:
        """A break of the line."""
        self._hold(0, _PAUSE_MARGIN * self._gap_bits)
        self.pause()
