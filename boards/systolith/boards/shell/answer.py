# SPDX-License-Identifier: Apache-2.0
"""Sends one answer frame: header, payload from a buffer, checksum."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..host.protocol import ANSWER_SYNC, CRC_BYTES, HEADER_BYTES, WORD_BYTES, Status
from .crc import make_crc
from .player import buffer_read
from .request import ADDRESS_BITS, LENGTH, SEQUENCE

__all__ = ["ANSWER_HEADER", "AnswerSender"]

_BYTE = 8


ANSWER_HEADER = data.StructLayout({"sequence": SEQUENCE, "status": Status, "length": LENGTH})
"""What an answer says of itself, in the order of its bytes."""


class AnswerSender(wiring.Component):
    """An answer as a stream of bytes.

    Members:
        start: begin, for one cycle.
        header: stable from ``start`` until ``done``.
        buffer: read port of the answer buffer.
        bytes: to the serial line.
        done: for one cycle, when the last byte is handed over.
    """

    def __init__(self) -> None:
        """Make the ports."""
        super().__init__(
            {
                "start": In(1),
                "header": In(ANSWER_HEADER),
                "buffer": Out(buffer_read()),
                "bytes": Out(stream.Signature(_BYTE)),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.crc = crc = make_crc()
        lane = Signal(range(WORD_BYTES))
        word = Signal(ADDRESS_BITS)
        sent = self.bytes.valid & self.bytes.ready
        header = Array([ANSWER_SYNC, self.header.sequence, self.header.status, self.header.length])
        m.d.comb += [
            self.buffer.addr.eq(word),
            self.buffer.en.eq(1),
            crc.data.eq(self.bytes.payload),
            crc.valid.eq(sent),
        ]
        with m.If(sent):
            m.d.sync += lane.eq(lane + 1)
        with m.FSM() as fsm:
            m.d.comb += self.bytes.valid.eq(~fsm.ongoing("IDLE"))
            with m.State("IDLE"):
                m.d.comb += crc.start.eq(1)
                m.d.sync += [lane.eq(0), word.eq(0)]
                with m.If(self.start):
                    m.next = "HEADER"
            with m.State("HEADER"):
                m.d.comb += self.bytes.payload.eq(header[lane])
                with m.If(sent & (lane == HEADER_BYTES - 1)):
                    m.next = "PAYLOAD"
                    with m.If(self.header.length == 0):
                        m.next = "CHECKSUM"
            with m.State("PAYLOAD"):
                m.d.comb += self.bytes.payload.eq(self.buffer.data.word_select(lane, _BYTE))
                with m.If(sent & (lane == WORD_BYTES - 1)):
                    m.d.sync += word.eq(word + 1)
                    with m.If((word + 1)[:ADDRESS_BITS] == self.header.length):
                        m.next = "CHECKSUM"
            with m.State("CHECKSUM"):
                # Fed its own upper byte, the register shifts left by a byte: the lower byte then lies on top.
                m.d.comb += self.bytes.payload.eq(crc.crc[-_BYTE:])
                with m.If(sent & (lane == CRC_BYTES - 1)):
                    m.d.comb += self.done.eq(1)
                    m.next = "IDLE"
        return m
