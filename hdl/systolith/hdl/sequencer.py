# SPDX-License-Identifier: Apache-2.0
"""The sequencer: reads descriptors and starts them one after another.

A descriptor's front section is read as soon as the fetch of the one before is through with its fields, while results
still drain; the back section when the last store is made.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.fields import section_layout
from systolith.hdl.linemem import LineMemory
from systolith.hdl.outline import outlined
from systolith.spec.arch import Arch, clog2
from systolith.spec.isa import LOOPS, WORD_BITS, Op, Section

__all__ = ["Sequencer"]


class Sequencer(wiring.Component):
    """Runs the program from word 0 to END.

    Members:
        run: In; start a run. Only when not ``running``.
        running: Out.
        front, back: Out; the fields of the present descriptor.
        step_write, step_number, step_data: Out; the loops' relative steps, as :class:`~systolith.hdl.nest.Nest` takes
            them; they come between the two sections.
        start: Out; the fields are complete: begin.
        fetching: In; the issue or the fetch stage still needs ``front``.
        finished: In; the descriptor's last store is made in this cycle.
        draining: Out; stores are outstanding.
        host_read, host_write, host_line, host_data: In; a program word. Only when not ``running``.
        host_read_data: Out; one cycle later, and until the next read or run.
    """

    def __init__(self, *, arch: Arch) -> None:
        """Build for the sizes of ``arch``."""
        self._arch = arch
        line = clog2(arch.program_words)
        super().__init__(
            {
                "run": In(1),
                "running": Out(1),
                "front": Out(section_layout(arch, Section.FRONT)),
                "back": Out(section_layout(arch, Section.BACK)),
                "step_write": Out(1),
                "step_number": Out(range(2 * LOOPS)),
                "step_data": Out(WORD_BITS),
                "start": Out(1),
                "fetching": In(1),
                "finished": In(1),
                "draining": Out(1),
                "host_read": In(1),
                "host_write": In(1),
                "host_line": In(line),
                "host_data": In(WORD_BITS),
                "host_read_data": Out(WORD_BITS),
            }
        )

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        word, take = self._read_program(m)
        with m.If(self.start):
            m.d.sync += self.draining.eq(1)
        with m.Elif(self.finished):
            m.d.sync += self.draining.eq(0)
        drained = ~self.draining | self.finished
        index = Signal(range(max(len(self.front.as_value()), len(self.back.as_value())) // WORD_BITS))
        m.d.comb += self.step_data.eq(word)
        with m.FSM(name="state"):
            with m.State("IDLE"), m.If(self.run):
                m.d.sync += self.running.eq(1)
                m.next = "FRONT"
            with m.State("FRONT"):
                self._take(m, take, word, index, self.front, "STEPS")
                # from the register: the memory answers late in its cycle
                with m.If((index == 1) & (self.front.op == Op.END)):
                    m.d.sync += index.eq(0)
                    m.next = "END"
            with m.State("END"), m.If(drained):
                m.d.sync += self.running.eq(0)
                m.next = "IDLE"
            with m.State("STEPS"):
                m.d.comb += [take.eq(1), self.step_write.eq(1)]
                m.d.sync += self.step_number.eq(self.step_number + 1)
                with m.If(self.step_number == 2 * LOOPS - 1):
                    m.d.sync += self.step_number.eq(0)
                    m.next = "BACK"
            with m.State("BACK"), m.If(drained):
                self._take(m, take, word, index, self.back, "START")
            with m.State("START"):
                m.d.comb += self.start.eq(1)
                m.next = "FETCH"
            with m.State("FETCH"), m.If(~self.fetching):
                m.next = "FRONT"
        return m

    def _read_program(self, m: Module) -> tuple[Signal, Signal]:
        """The program memory, read one word ahead; returns the present word and the request to go on."""
        memory = LineMemory(bits=WORD_BITS, depth=self._arch.program_words, unit=WORD_BITS)
        m.submodules.program = memory
        bits, take = clog2(self._arch.program_words), Signal(name="take")
        position, following = Signal(bits, name="position"), Signal(bits, name="following")
        # kept beside the position, so that no adder lies before the memory
        ahead = Signal(bits, name="ahead", init=1)
        m.d.comb += following.eq(Mux(self.running, Mux(take, ahead, position), 0))
        m.d.sync += [position.eq(following), ahead.eq(following + 1)]
        word = Signal(WORD_BITS)
        m.d.comb += [
            memory.read_en.eq(self.run | self.running | self.host_read),
            memory.read_addr.eq(Mux(self.host_read, self.host_line, following)),
            memory.write_en.eq(self.host_write),
            memory.write_addr.eq(self.host_line),
            memory.write_data.eq(self.host_data),
            word.eq(memory.read_data),
            self.host_read_data.eq(memory.read_data),
        ]
        return word, take

    def _take(self, m: Module, take: Signal, word: Signal, index: Signal, section: Any, then: str) -> None:
        """Put the present word into a section; after its last, go to state ``then``."""
        m.d.comb += take.eq(1)
        m.d.sync += [section.as_value().word_select(index, WORD_BITS).eq(word), index.eq(index + 1)]
        with m.If(index == len(section.as_value()) // WORD_BITS - 1):
            m.d.sync += index.eq(0)
            m.next = then
