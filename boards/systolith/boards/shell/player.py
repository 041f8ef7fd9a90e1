# SPDX-License-Identifier: Apache-2.0
"""Plays a request's words into the engine and collects the words it answers."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import ReadPort
from amaranth.lib.wiring import In, Out

from .request import ADDRESS_BITS, LENGTH, WORD, buffer_write

__all__ = ["ENGINE_ANSWER", "Player", "buffer_read"]


ENGINE_ANSWER = data.StructLayout({"data": WORD, "last": 1})
"""Payload of the engine's output stream."""


def buffer_read() -> ReadPort.Signature:
    """The read port of a frame buffer as its user sees it."""
    return ReadPort.Signature(addr_width=ADDRESS_BITS, shape=WORD).flip()


class Player(wiring.Component):
    """Executes one buffered request.

    Members:
        start: begin, for one cycle.
        length, expect: words to play and words to collect; stable until ``done``.
        request: read port of the request buffer.
        answer: write port of the answer buffer.
        host_in, host_out: the engine's streams. Words are taken from ``host_out`` while a request is executed only.
        done: for one cycle, when all words are played and all are collected.

    Latency: a word is played every other cycle.
    """

    def __init__(self) -> None:
        """Make the ports."""
        super().__init__(
            {
                "start": In(1),
                "length": In(LENGTH),
                "expect": In(LENGTH),
                "request": Out(buffer_read()),
                "answer": Out(buffer_write()),
                "host_in": Out(stream.Signature(WORD)),
                "host_out": In(stream.Signature(ENGINE_ANSWER)),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        played = Signal(ADDRESS_BITS)
        collected = Signal(ADDRESS_BITS)
        m.d.comb += [
            self.request.addr.eq(played),
            self.request.en.eq(1),
            self.host_in.payload.eq(self.request.data),
            self.answer.addr.eq(collected),
            self.answer.data.eq(self.host_out.payload.data),
        ]
        with m.If(self.host_out.valid & self.host_out.ready):
            m.d.comb += self.answer.en.eq(-1)
            m.d.sync += collected.eq(collected + 1)
        with m.FSM() as fsm:
            m.d.comb += self.host_out.ready.eq(~fsm.ongoing("IDLE"))
            with m.State("IDLE"):
                m.d.sync += [played.eq(0), collected.eq(0)]
                with m.If(self.start):
                    m.next = "FETCH"
            with m.State("FETCH"):  # the buffer's read takes a cycle
                with m.If(played != self.length):
                    m.next = "OFFER"
                with m.Elif(collected == self.expect):
                    m.d.comb += self.done.eq(1)
                    m.next = "IDLE"
            with m.State("OFFER"):
                m.d.comb += self.host_in.valid.eq(1)
                with m.If(self.host_in.ready):
                    m.d.sync += played.eq(played + 1)
                    m.next = "FETCH"
        return m
