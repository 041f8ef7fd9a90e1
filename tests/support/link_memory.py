# SPDX-License-Identifier: Apache-2.0
"""A memory on the host link with the engine's ports: the smallest design that the link bench can be tested on."""

from __future__ import annotations

from pathlib import Path

from amaranth.back import verilog
from amaranth.hdl import Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from systolith.spec.arch import Arch
from systolith.spec.link import DONE, Command
from systolith.testbench.runner.design import Design

__all__ = ["LinkMemory", "link_memory_design"]

DEPTH = 16


class LinkMemory(wiring.Component):
    """WRITE and READ of lines of one word; RUN adds 1 to the first ``run_lines`` lines and traces each as a store.

    The space of a header is ignored. A line that is RUN is stored at element address ``line * arch.line``; its first
    ``cols`` elements appear on the trace. There is no refusal of bad commands.
    """

    def __init__(self, arch: Arch, run_lines: int = 4, flaw: int | None = None) -> None:
        """``flaw``: the line at which RUN adds 2, for tests that must find it."""
        self._arch = arch
        self._run_lines = run_lines
        self._flaw = DEPTH if flaw is None else flaw
        answer = data.StructLayout({"data": 32, "last": 1})
        elements = data.ArrayLayout(signed(arch.act_bits), arch.cols)
        trace = wiring.Signature(
            {
                "store_valid": Out(1),
                "store_addr": Out(arch.act_addr_bits),
                "store_data": Out(elements),
            }
        )
        super().__init__(
            {
                "host_in": In(stream.Signature(32)),
                "host_out": Out(stream.Signature(answer)),
                "busy": Out(1),
                "trace": Out(trace),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = Memory(shape=32, depth=DEPTH, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        line, left, writing = Signal(range(DEPTH)), Signal(32), Signal()
        m.d.comb += [read.addr.eq(line), write.addr.eq(line)]
        m.d.comb += self.host_out.payload.data.eq(read.data)
        with m.FSM():
            with m.State("HEADER"):
                m.d.comb += self.host_in.ready.eq(1)
                with m.If(self.host_in.valid):
                    m.d.sync += [line.eq(self.host_in.payload), writing.eq(self._is(Command.WRITE))]
                    m.next = "COUNT"
                    with m.If(self._is(Command.RUN)):
                        m.d.sync += [line.eq(0), left.eq(self._run_lines)]
                        m.next = "RUN"
            with m.State("COUNT"):
                m.d.comb += self.host_in.ready.eq(1)
                m.d.sync += left.eq(self.host_in.payload)
                with m.If(self.host_in.valid):
                    m.next = "WRITE"
                    with m.If(~writing):
                        m.next = "READ"
            with m.State("WRITE"):
                m.d.comb += [self.host_in.ready.eq(1), write.en.eq(self.host_in.valid)]
                m.d.comb += write.data.eq(self.host_in.payload)
                self._step(m, self.host_in.valid, line, left, "HEADER")
            with m.State("READ"):
                m.d.comb += [self.host_out.valid.eq(1), self.host_out.payload.last.eq(left == 1)]
                self._step(m, self.host_out.ready, line, left, "HEADER")
            with m.State("RUN"):
                m.d.comb += [self.busy.eq(1), write.en.eq(1), self.trace.store_valid.eq(1)]
                m.d.comb += write.data.eq(read.data + Mux(line == self._flaw, 2, 1))
                m.d.comb += self.trace.store_addr.eq(line * self._arch.line)
                m.d.comb += self.trace.store_data.eq(write.data)
                self._step(m, Const(1), line, left, "DONE")
            with m.State("DONE"):
                m.d.comb += [self.host_out.valid.eq(1), self.host_out.payload.eq(1 << 32 | DONE)]
                with m.If(self.host_out.ready):
                    m.next = "HEADER"
        return m

    def _is(self, command: Command) -> Value:
        """Whether the offered header is this command."""
        return self.host_in.payload[28:] == int(command)

    def _step(self, m: Module, enable: Value, line: Signal, left: Signal, then: str) -> None:
        """To the next line, or on to the state ``then`` after the last."""
        with m.If(enable):
            m.d.sync += [line.eq(line + 1), left.eq(left - 1)]
            with m.If(left == 1):
                m.next = then


def link_memory_design(arch: Arch, run_lines: int = 4, flaw: int | None = None) -> Design:
    """The same, ready for a simulator."""
    return Design(
        arch=arch,
        top="link_memory",
        key=f"link-memory-{arch.hash}-{run_lines}-{flaw}-{Path(__file__).read_text()}",
        verilog=lambda: verilog.convert(LinkMemory(arch, run_lines, flaw), name="link_memory", emit_src=False),
        component=lambda: LinkMemory(arch, run_lines, flaw),
    )
