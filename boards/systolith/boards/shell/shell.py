# SPDX-License-Identifier: Apache-2.0
"""The complete board top at its pins, free of any board: serial line, frames, engine, reset and lamps."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from ..host.protocol import GAP_BITS
from .frames import FrameLayer
from .silence import SilenceWatch
from .uart import UartReceiver, UartTransmitter

__all__ = ["Shell"]


class Shell(wiring.Component):
    """An engine behind a serial line.

    Parameters:
        engine: a component with the streams ``host_in`` and ``host_out`` of :class:`systolith.hdl.engine.Engine`.
        divisor: clock cycles per bit of the serial line.
        gap_bits: bit times of silence after which a broken frame is dropped, of a low line until the reset.

    Members:
        rx, tx: the serial line, idle high.
        session: a client has opened a session.
        active: a request is being executed or answered.

    Reset: a *break* (line low for ``gap_bits``) resets frames and engine; opening a session resets the engine.
    """

    def __init__(self, *, engine: Any, divisor: int, gap_bits: int = GAP_BITS) -> None:
        """Raises TypeError or ValueError for an unusable divisor or gap."""
        self._engine = engine
        self._receiver = UartReceiver(divisor=divisor)
        self._transmitter = UartTransmitter(divisor=divisor)
        self._watch = SilenceWatch(cycles=divisor * gap_bits)
        super().__init__(
            {
                "rx": In(1, init=1),
                "tx": Out(1, init=1),
                "session": Out(1),
                "active": Out(1),
            }
        )

    @property
    def divisor(self) -> int:
        """Clock cycles per bit of the serial line."""
        return self._receiver.divisor

    @property
    def gap_cycles(self) -> int:
        """Cycles of silence after which a broken frame is dropped."""
        return self._watch.cycles

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        frames, engine = FrameLayer(), self._engine
        engine_reset = Signal()
        m.submodules.receiver = receiver = self._receiver
        m.submodules.transmitter = transmitter = self._transmitter
        m.submodules.watch = watch = self._watch
        m.submodules.frames = ResetInserter(watch.reset)(frames)
        m.submodules.engine = ResetInserter(engine_reset)(engine)
        # A register, because the reset of the whole engine is a wide net.
        m.d.sync += engine_reset.eq(watch.reset | frames.engine_reset)
        m.d.comb += [
            receiver.line.eq(self.rx),
            self.tx.eq(transmitter.line),
            watch.level.eq(receiver.level),
            frames.drop.eq(watch.gap),
            self.session.eq(frames.session),
            self.active.eq(frames.active),
        ]
        connect(m, receiver.data, frames.rx)
        connect(m, frames.tx, transmitter.data)
        connect(m, frames.host_in, engine.host_in)
        connect(m, engine.host_out, frames.host_out)
        return m
