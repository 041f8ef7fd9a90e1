# SPDX-License-Identifier: Apache-2.0
"""The host port: executes the commands of :mod:`systolith.spec.link`, one after another.

Words become lines here and lines become words, so that the memories see whole lines only. While a run is active no word
is accepted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.outline import outlined
from systolith.spec.arch import Arch, clog2
from systolith.spec.isa import WORD_BITS
from systolith.spec.link import BAD_COMMAND, DONE, Command, Space, ident, line_bits, line_words, space_lines, spaces

__all__ = ["Answer", "HostPort"]

WRITABLE = (Space.PROGRAM, Space.WEIGHTS, Space.PARAMS, Space.ACTIVATIONS, Space.TABLES)
READABLE = (Space.PROGRAM, Space.ACTIVATIONS, Space.COUNTERS, Space.IDENT)

Answer = data.StructLayout({"data": WORD_BITS, "last": 1})
"""A word to the host, and whether it ends the answer to a command."""

_Header = data.StructLayout({"line": 24, "space": 4, "command": 4})


class HostPort(wiring.Component):
    """Turns link words into accesses to the memories and into runs.

    A written word takes one cycle, a read one two, and each line read three more.

    Members:
        host_in: In; stream of words. host_out: Out; stream of :data:`Answer`, from registers.
        line: Out; the line to write or to read.
        write_<space>, data_<space>: Out; write a line, for the writable spaces that ``arch`` has.
        read: Out; read ``line`` of all readable spaces.
        touched: Out; a line is read or written in the next cycle, or part of one came.
        value_<space>: In; the line, from the third cycle after ``read`` until the next; for all but IDENT.
        ready: In; a run may begin, from then on until it does. run: Out; it does, a cycle later. running: In; high from
            the cycle after ``run`` to the run's last.
    """

    def __init__(self, *, arch: Arch) -> None:
        """Build for the memories of ``arch``."""
        self._arch = arch
        self._writable = tuple(space for space in WRITABLE if space in spaces(arch))
        members: dict[str, Any] = {
            "host_in": In(stream.Signature(WORD_BITS)),
            "host_out": Out(stream.Signature(Answer)),
            "line": Out(self._line_bits),
            "read": Out(1),
            "touched": Out(1),
            "ready": In(1),
            "run": Out(1),
            "running": In(1),
        }
        for space in self._writable:
            members[f"write_{space.name.lower()}"] = Out(1)
            members[f"data_{space.name.lower()}"] = Out(line_bits(space, arch))
        for space in READABLE[:-1]:
            members[f"value_{space.name.lower()}"] = In(line_bits(space, arch))
        super().__init__(members)

    @property
    def _line_bits(self) -> int:
        return max(clog2(space_lines(space, self._arch)) for space in spaces(self._arch))

    def _most_words(self, spaces: Iterable[Space]) -> int:
        return max(line_words(space, self._arch) for space in spaces)

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        self._space = Signal(range(len(Space)), reset_less=True)
        self._left = Signal(self._line_bits + 1, reset_less=True)
        self._final_line = Signal(reset_less=True)  # one is left
        self._line = Signal(self._line_bits, reset_less=True)
        self._word = Signal(range(self._most_words(spaces(self._arch))))
        self._final_word = Signal()
        # what goes to the memories, which lie all over the device, comes from registers
        m.d.sync += [self.line.eq(self._line), self.read.eq(0)]
        m.d.sync += [getattr(self, f"write_{space.name.lower()}").eq(0) for space in self._writable]
        self._count_words(m)
        self._gather(m)
        with m.FSM():
            self._take_header(m)
            self._take_count(m)
            self._write(m)
            self._read(m)
            self._run(m)
        return m

    def _count_words(self, m: Module) -> None:
        """Whether the present word is its line's last."""
        with m.Switch(self._space):
            for space in spaces(self._arch):
                with m.Case(space):
                    m.d.comb += self._final_word.eq(self._word == line_words(space, self._arch) - 1)

    def _gather(self, m: Module) -> None:
        """Lines for the memories: the newest word above the ones before it."""
        held = Signal(WORD_BITS * self._most_words(self._writable), reset_less=True)
        with m.If(self.host_in.valid & self.host_in.ready):
            m.d.sync += held.eq(Cat(held, self.host_in.payload)[WORD_BITS:])
        for space in self._writable:
            whole = held[len(held) - WORD_BITS * line_words(space, self._arch) :]
            m.d.comb += getattr(self, f"data_{space.name.lower()}").eq(whole)

    def _take_header(self, m: Module) -> None:
        header = data.View(_Header, self.host_in.payload)
        with m.State("HEADER"):
            m.d.comb += self.host_in.ready.eq(1)
            m.d.sync += [self._line.eq(header.line), self._space.eq(header.space), self._word.eq(0)]
            with m.If(self.host_in.valid):
                m.next = "REFUSE"
                self._accept(m, header, Command.WRITE, self._writable, "WRITE_COUNT")
                self._accept(m, header, Command.READ, READABLE, "READ_COUNT")
                self._accept(m, header, Command.RUN, (Space.PROGRAM,), "RUN")
        with m.State("REFUSE"):
            self._answer(m, Const(BAD_COMMAND, WORD_BITS), Const(1))

    def _accept(self, m: Module, header: Any, command: Command, spaces: Iterable[Space], state: str) -> None:
        with m.If((header.command == command) & Cat(header.space == space for space in spaces).any()):
            m.next = state

    def _take_count(self, m: Module) -> None:
        """A count of 0 lines is a command that does nothing."""
        for command, state in (("WRITE_COUNT", "WRITE"), ("READ_COUNT", "READ")):
            with m.State(command):
                m.d.comb += self.host_in.ready.eq(1)
                count = self.host_in.payload[: len(self._left)]
                m.d.sync += [self._left.eq(count), self._final_line.eq(count == 1)]
                with m.If(self.host_in.valid):
                    m.next = state
                    with m.If(count == 0):
                        m.next = "HEADER"

    def _write(self, m: Module) -> None:
        with m.State("WRITE"):
            m.d.comb += self.host_in.ready.eq(1)
            with m.If(self.host_in.valid):
                for space in self._writable:
                    strobe = getattr(self, f"write_{space.name.lower()}")
                    m.d.sync += strobe.eq(self._final_word & (self._space == space))
                m.d.comb += self.touched.eq(1)
                self._next_word(m, "WRITE", "WRITE")

    def _next_word(self, m: Module, same_line: str, next_line: str) -> None:
        """Count a word that is done with."""
        m.next = same_line
        m.d.sync += self._word.eq(self._word + 1)
        with m.If(self._final_word):
            m.d.sync += [self._word.eq(0), self._line.eq(self._line + 1)]
            m.d.sync += [self._left.eq(self._left - 1), self._final_line.eq(self._left == 2)]
            m.next = next_line
            with m.If(self._final_line):
                m.next = "HEADER"

    def _read(self, m: Module) -> None:
        with m.State("READ"):
            m.d.comb += self.touched.eq(1)
            m.d.sync += self.read.eq(1)
            m.next = "ASKING"
        with m.State("ASKING"):
            m.next = "ASKED"
        with m.State("ASKED"):
            m.next = "ANSWERED"
        with m.State("ANSWERED"):
            # the activation memory's answer reaches its register
            m.next = "LOAD"
        with m.State("LOAD"):
            self._answer(m, self._read_word(m), self._final_word & self._final_line, "SEND")
        with m.State("SEND"):
            m.d.comb += self.host_out.valid.eq(1)
            with m.If(self.host_out.ready):
                self._next_word(m, "LOAD", "READ")
        with m.State("LAST"):
            m.d.comb += self.host_out.valid.eq(1)
            with m.If(self.host_out.ready):
                m.next = "HEADER"

    def _answer(self, m: Module, word: Value, last: Value, state: str = "LAST") -> None:
        m.d.sync += [self.host_out.payload.data.eq(word), self.host_out.payload.last.eq(last)]
        m.next = state

    def _read_word(self, m: Module) -> Signal:
        """The present word of the line that was read."""
        result = Signal(WORD_BITS, name="read_word")
        identity = data.ArrayLayout(WORD_BITS, len(ident(self._arch))).const(ident(self._arch))
        with m.Switch(self._space):
            for space in READABLE[:-1]:
                with m.Case(space):
                    value = getattr(self, f"value_{space.name.lower()}")
                    m.d.comb += result.eq(value.word_select(self._word, WORD_BITS))
            with m.Case(Space.IDENT):
                m.d.comb += result.eq(Value.cast(identity).word_select(self._line[0], WORD_BITS))
        return result

    def _run(self, m: Module) -> None:
        # from a register, since the first window is issued on it
        m.d.sync += self.run.eq(0)
        with m.State("RUN"), m.If(self.ready):
            m.d.sync += self.run.eq(1)
            m.next = "WAIT"
        with m.State("WAIT"), m.If(~self.run & ~self.running):
            self._answer(m, Const(DONE, WORD_BITS), Const(1))
