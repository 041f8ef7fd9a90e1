# SPDX-License-Identifier: Apache-2.0
"""How bytes travel to a board and back: the interface, and the serial port behind it."""

from __future__ import annotations

import time
from contextlib import suppress
from types import TracebackType
from typing import Any, Protocol, Self

from .errors import TransportError
from .protocol import GAP_BITS

__all__ = ["DEFAULT_BAUD", "SerialTransport", "Transport"]

DEFAULT_BAUD = 1_000_000
"""Bits a second, unless the board says otherwise."""

_GAP_MARGIN = 2.0
"""Silence is kept this many times longer than needed, for buffers on the way."""


class Transport(Protocol):
    """A line of bytes in both directions that may lose or damage some."""

    def send(self, data: bytes) -> None:
        """Send all bytes, without a gap between them."""
        ...

    def receive(self, count: int, timeout: float) -> bytes:
        """Up to ``count`` bytes: all of them, or what has come when nothing more came for ``timeout`` seconds."""
        ...

    def pause(self) -> None:
        """Be silent until the board has dropped a half-received frame; throw away what came in."""
        ...

    def interrupt(self) -> None:
        """Reset the board's shell and engine by a break of the line."""
        ...


class SerialTransport:
    """A serial port. Use it as a context manager, or call :meth:`close`."""

    def __init__(self, port: str, baud: int = DEFAULT_BAUD) -> None:
        """Open ``port``; raises :class:`TransportError` if that fails or pyserial is missing."""
        try:
            import serial
        except ImportError as error:
            raise TransportError("the serial port needs pyserial: pip install 'systolith[synth]'") from error
        try:
            self._serial: Any = serial.Serial(port, baud)
        except (serial.SerialException, OSError, ValueError) as error:
            raise TransportError(f"serial port {port!r} at {baud} baud: {error}") from error
        # USB adapters otherwise hold short answers back for up to 16 ms. Not every driver has the switch.
        with suppress(AttributeError, OSError, ValueError, NotImplementedError):
            self._serial.set_low_latency_mode(True)
        self._gap = GAP_BITS / baud * _GAP_MARGIN

    def send(self, data: bytes) -> None:
        """Send all bytes. Raises :class:`TransportError` if the port is gone."""
        try:
            self._serial.write(data)
        except OSError as error:
            raise TransportError(f"serial port {self._serial.port!r}: {error}") from error

    def receive(self, count: int, timeout: float) -> bytes:
        """Up to ``count`` bytes. Raises :class:`TransportError` if the port is gone."""
        self._serial.timeout = timeout
        try:
            return bytes(self._serial.read(count))
        except OSError as error:
            raise TransportError(f"serial port {self._serial.port!r}: {error}") from error

    def pause(self) -> None:
        """Wait for the board's gap, then throw away what came in."""
        self._serial.flush()
        time.sleep(self._gap)
        self._serial.reset_input_buffer()

    def interrupt(self) -> None:
        """Hold the line low for longer than the board's gap, then leave it high for as long."""
        self._serial.send_break(self._gap)
        self.pause()

    def close(self) -> None:
        """Close the port."""
        self._serial.close()

    def __enter__(self) -> Self:
        """The open port."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the port."""
        self.close()
