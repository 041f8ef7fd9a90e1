# SPDX-License-Identifier: Apache-2.0
"""Receives one request frame: header into registers, payload into a buffer, checksum compared at the end."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import WritePort
from amaranth.lib.wiring import In, Out

from systolith.spec.arch import clog2

from ..host.protocol import CRC_BYTES, FRAME_WORDS, HEADER_BYTES, REQUEST_SYNC, SEQUENCES, WORD_BYTES
from .crc import make_crc

__all__ = ["ADDRESS_BITS", "LENGTH", "REQUEST_HEADER", "SEQUENCE", "WORD", "RequestReceiver", "buffer_write"]

_BYTE = 8
WORD = WORD_BYTES * _BYTE
"""Bits of a payload word."""
ADDRESS_BITS = clog2(FRAME_WORDS + 1)
"""Bits of an address in a frame buffer."""
LENGTH = range(FRAME_WORDS + 1)
"""Shape of a payload length."""
SEQUENCE = range(SEQUENCES)
"""Shape of a sequence number."""


def buffer_write() -> WritePort.Signature:
    """The write port of a frame buffer as its user sees it, with an enable for each byte."""
    return WritePort.Signature(addr_width=ADDRESS_BITS, shape=WORD, granularity=_BYTE).flip()


REQUEST_HEADER = data.StructLayout({"sequence": SEQUENCE, "length": LENGTH, "expect": LENGTH})
"""What a request says of itself, in the order of its bytes."""


class RequestReceiver(wiring.Component):
    """A request from a stream of bytes.

    Members:
        bytes: the serial line's bytes; no back-pressure.
        enable: look for a request. Bytes that come while it is low are dropped.
        drop: forget a half-received request (the line was silent for too long).
        buffer: write port of the request buffer (a word's bytes are written one by one).
        header: valid from the end of a frame until the next begins.
        done: for one cycle, in the cycle after the frame's last byte.
        intact: the checksum was right; valid with ``done``.
    """

    def __init__(self) -> None:
        """Make the ports."""
        super().__init__(
            {
                "bytes": In(stream.Signature(_BYTE, always_ready=True)),
                "enable": In(1),
                "drop": In(1),
                "buffer": Out(buffer_write()),
                "header": Out(REQUEST_HEADER),
                "done": Out(1),
                "intact": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.crc = crc = make_crc()
        lane = Signal(range(WORD_BYTES))
        word = Signal(ADDRESS_BITS)
        take = self.bytes.valid
        m.d.comb += [
            crc.data.eq(self.bytes.payload),
            crc.valid.eq(take),
            self.intact.eq(crc.match_detected),
            self.buffer.addr.eq(word),
            self.buffer.data.eq(self.bytes.payload.replicate(WORD_BYTES)),
        ]
        with m.If(take):
            m.d.sync += lane.eq(lane + 1)
        with m.FSM():
            with m.State("HUNT"):
                m.d.comb += crc.start.eq(1)
                m.d.sync += [lane.eq(1), word.eq(0)]
                with m.If(take & self.enable & (self.bytes.payload == REQUEST_SYNC)):
                    m.next = "HEADER"
            with m.State("HEADER"):
                with m.If(take):
                    # The fields arrive in the order of the structure, least significant first.
                    m.d.sync += self.header.eq(Cat(self.header.as_value()[_BYTE:], self.bytes.payload))
                    with m.If(lane == HEADER_BYTES - 1):
                        m.next = "PAYLOAD"
                with m.Elif(self.drop):
                    m.next = "HUNT"
            with m.State("PAYLOAD"):
                last = (word + 1)[:ADDRESS_BITS] == self.header.length
                with m.If(self.header.length == 0):
                    m.next = "CHECKSUM"
                with m.Elif(take):
                    m.d.comb += self.buffer.en.eq(Const(1, WORD_BYTES) << lane)
                    with m.If(lane == WORD_BYTES - 1):
                        m.d.sync += word.eq(word + 1)
                        with m.If(last):
                            m.next = "CHECKSUM"
                with m.Elif(self.drop):
                    m.next = "HUNT"
            with m.State("CHECKSUM"):
                with m.If(take & (lane == CRC_BYTES - 1)):
                    m.next = "DONE"
                with m.Elif(self.drop):
                    m.next = "HUNT"
            with m.State("DONE"):
                m.d.comb += self.done.eq(1)
                m.next = "HUNT"
        return m
