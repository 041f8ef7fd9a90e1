# SPDX-License-Identifier: Apache-2.0
"""A small stand-in for the engine: it answers the words of :mod:`systolith.spec.link` from memories."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from systolith.boards.shell.player import ENGINE_ANSWER
from systolith.spec.arch import Arch
from systolith.spec.link import BAD_COMMAND, DONE, Command, Space, ident

__all__ = ["MemoryEngine"]


class MemoryEngine(wiring.Component):
    """One-word lines in one memory for all spaces; IDENT answers for ``arch``; RUN adds one to the first word."""

    def __init__(self, arch: Arch) -> None:
        self._ident = ident(arch)
        super().__init__(
            {
                "host_in": In(stream.Signature(32)),
                "host_out": Out(stream.Signature(ENGINE_ANSWER)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.memory = memory = Memory(shape=32, depth=1024, init=[])
        read, write = memory.read_port(domain="comb"), memory.write_port()
        address, left = Signal(10), Signal(32)
        identify = Signal()
        word = self.host_in.payload
        m.d.comb += [read.addr.eq(address), write.addr.eq(address), write.data.eq(word)]
        answer = Mux(identify, Array(self._ident)[address], read.data)
        with m.FSM():
            with m.State("HEADER"):
                m.d.comb += self.host_in.ready.eq(1)
                with m.If(self.host_in.valid):
                    m.d.sync += [address.eq(word), identify.eq(word[24:28] == Space.IDENT)]
                    with m.Switch(word[28:]):
                        for command, state in ((Command.WRITE, "COUNT"), (Command.READ, "COUNT"), (Command.RUN, "RUN")):
                            with m.Case(command):
                                m.next = state
                        with m.Default():
                            m.next = "BAD"
                    m.d.sync += left[-1].eq(word[28:] == Command.READ)
            with m.State("COUNT"):
                m.d.comb += self.host_in.ready.eq(1)
                with m.If(self.host_in.valid):
                    m.d.sync += left.eq(word)
                    m.next = "WRITE"
                    with m.If(left[-1]):
                        m.next = "READ"
            with m.State("WRITE"):
                m.d.comb += [self.host_in.ready.eq(1), write.en.eq(self.host_in.valid)]
                with m.If(self.host_in.valid):
                    m.d.sync += [address.eq(address + 1), left.eq(left - 1)]
                    with m.If(left == 1):
                        m.next = "HEADER"
            with m.State("READ"):
                m.d.comb += [self.host_out.valid.eq(1), self.host_out.payload.data.eq(answer)]
                m.d.comb += self.host_out.payload.last.eq(left == 1)
                with m.If(self.host_out.ready):
                    m.d.sync += [address.eq(address + 1), left.eq(left - 1)]
                    with m.If(left == 1):
                        m.next = "HEADER"
            with m.State("RUN"):
                m.d.comb += [self.host_out.valid.eq(1), self.host_out.payload.data.eq(DONE)]
                m.d.comb += [write.addr.eq(0), read.addr.eq(0), write.data.eq(read.data + 1)]
                with m.If(self.host_out.ready):
                    m.d.comb += write.en.eq(1)
                    m.next = "HEADER"
            with m.State("BAD"):
                m.d.comb += [self.host_out.valid.eq(1), self.host_out.payload.data.eq(BAD_COMMAND)]
                with m.If(self.host_out.ready):
                    m.next = "HEADER"
        return m
