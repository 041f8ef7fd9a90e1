# SPDX-License-Identifier: Apache-2.0
"""The frame layer: bytes of the serial line on one side, the engine's two word streams on the other.

It holds the link's rules (docs/link.md): every request gets one answer; a request is executed only if its checksum is
right and a session is open; a request with the sequence number of the one before is not executed again but gets the
kept answer; a request of no words opens a session and resets the engine.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped

from ..host.protocol import FRAME_WORDS, Status
from .answer import AnswerSender
from .player import ENGINE_ANSWER, Player
from .request import SEQUENCE, WORD, RequestReceiver

__all__ = ["FrameLayer"]

_BYTE = 8


class FrameLayer(wiring.Component):
    """Frames to words and back.

    Members:
        rx, tx: bytes from and to the serial line.
        drop: the line is silent: forget a half-received request.
        host_in, host_out: the engine's streams (:mod:`systolith.spec.link`).
        engine_reset: for one cycle when a session is opened.
        session: a session is open.
        active: a request is being executed or answered.
    """

    def __init__(self) -> None:
        """Make the ports."""
        super().__init__(
            {
                "rx": In(stream.Signature(_BYTE, always_ready=True)),
                "tx": Out(stream.Signature(_BYTE)),
                "drop": In(1),
                "host_in": Out(stream.Signature(WORD)),
                "host_out": In(stream.Signature(ENGINE_ANSWER)),
                "engine_reset": Out(1),
                "session": Out(1),
                "active": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.receiver = receiver = RequestReceiver()
        m.submodules.player = player = Player()
        m.submodules.sender = sender = AnswerSender()
        self._add_buffer(m, "request_buffer", receiver.buffer, player.request)
        self._add_buffer(m, "answer_buffer", player.answer, sender.buffer)
        connect(m, flipped(self.rx), receiver.bytes)
        connect(m, sender.bytes, flipped(self.tx))
        connect(m, player.host_in, flipped(self.host_in))
        connect(m, flipped(self.host_out), player.host_out)

        last = Signal(SEQUENCE)
        status = Signal(Status)
        hello = receiver.header.length == 0
        repeated = receiver.header.sequence == last
        m.d.comb += [
            receiver.drop.eq(self.drop),
            player.length.eq(receiver.header.length),
            player.expect.eq(receiver.header.expect),
            sender.header.sequence.eq(receiver.header.sequence),
            sender.header.status.eq(status),
        ]
        with m.If(status == Status.OK):
            m.d.comb += sender.header.length.eq(receiver.header.expect)
        with m.FSM() as fsm:
            m.d.comb += [receiver.enable.eq(fsm.ongoing("LISTEN")), self.active.eq(~receiver.enable)]
            with m.State("LISTEN"), m.If(receiver.done):
                m.next = "ANSWER"
                with m.If(~receiver.intact):
                    m.d.sync += status.eq(Status.DAMAGED)
                with m.Elif(hello):
                    m.d.sync += [status.eq(Status.OK), self.session.eq(1), last.eq(receiver.header.sequence)]
                    m.d.comb += self.engine_reset.eq(1)
                with m.Elif(~self.session):
                    m.d.sync += status.eq(Status.CLOSED)
                with m.Else():
                    m.d.sync += [status.eq(Status.OK), last.eq(receiver.header.sequence)]
                    with m.If(~repeated):
                        m.d.comb += player.start.eq(1)
                        m.next = "EXECUTE"
            with m.State("EXECUTE"), m.If(player.done):
                m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += sender.start.eq(1)
                m.next = "SEND"
            with m.State("SEND"), m.If(sender.done):
                m.next = "LISTEN"
        return m

    @staticmethod
    def _add_buffer(m: Module, name: str, writer: Any, reader: Any) -> None:
        # A buffer is never read where it is being written. Said so, with the read's register written apart, synthesis
        # spends no logic on defining what such a read gives.
        m.submodules[name] = memory = Memory(shape=WORD, depth=FRAME_WORDS + 1, init=[], attrs={"no_rw_check": 1})
        read, held = memory.read_port(domain="comb"), Signal(WORD, name=f"{name}_held", reset_less=True)
        connect(m, writer, memory.write_port(granularity=_BYTE))
        m.d.comb += [read.addr.eq(reader.addr), reader.data.eq(held)]
        m.d.sync += held.eq(read.data)
