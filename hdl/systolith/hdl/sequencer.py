# SPDX-License-Identifier: Apache-2.0
"""The sequencer: reads descriptors ahead and starts them one after another.

While a descriptor is issued, the head, the steps and the back section of the next one are read. Its front section
follows when the last window is issued, and then it begins, as soon as enough of what came before is stored. The back
section comes into force with the last store before it. The first descriptor is read before the run: whenever a run has
ended, and anew after each access of the host that may have changed it.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.fields import section_layout
from systolith.hdl.linemem import LineMemory
from systolith.hdl.outline import outlined
from systolith.hdl.payload import Setup
from systolith.spec.arch import Arch, clog2
from systolith.spec.isa import LINE_BITS, LINE_WORDS, LOOPS, WORD_BITS, Op, Section, layout

__all__ = ["READ_CYCLES", "Sequencer"]

READ_CYCLES = 2
"""From the request of a program line to the line: the memory, and a register since it answers late."""


class Sequencer(wiring.Component):
    """Runs the program from word 0 to END.

    Members:
        run: In; start a run. Only when ``ready``.
        running: Out. ready: Out; no run is active, and the first descriptor is read.
        touched: In; the host reads or writes. Only when not ``running``, and two cycles before ``run`` or earlier.
        reload: Out; the program begins anew, and so do its weights: the first descriptor's head is read.
        narrow: Out; where weights may be narrow: the field of the first descriptor, from ``reload`` until the run.
        setup: Out; what the walks of the issue stage do.
        vector: Out; the descriptor that ``front`` belongs to is a VECTOR.
        front: Out; fields for issue and fetch, stable from ``setup`` ARM until ``issuing`` is low.
        back: Out; fields for lanes and stores, stable from ``back_start`` until ``finished``.
        lead: Out; of the descriptor that waits to begin. allowed: In; it may.
        bank, step_write, step_loop, step_data: Out; the loops' relative steps, as :class:`~systolith.hdl.nest.Nest`
            takes them.
        start: Out; begin, with ``setup`` FIRST or later. back_start: Out; so are the back fields.
        issuing: In; ``front`` is still needed.
        finished: In; the last store of the descriptor that ``back`` belongs to is made in this cycle.
        waiting: Out; nothing is left to be issued before stores are made.
        host_read, host_write, host_line, host_data: In; a program word. Only when not ``running``.
        host_read_data: Out; three cycles later, and until the next read.
    """

    def __init__(self, *, arch: Arch) -> None:
        """Build for the sizes of ``arch``."""
        self._arch = arch
        line = clog2(arch.program_words)
        # Verilog has no port without bits
        narrow = {"narrow": Out(layout(arch)["narrow"].width)} if arch.narrow_weights else {}
        super().__init__(
            narrow
            | {
                "run": In(1),
                "running": Out(1),
                "ready": Out(1),
                "touched": In(1),
                "reload": Out(1),
                "setup": Out(Setup),
                "vector": Out(1),
                "front": Out(section_layout(arch, Section.FRONT)),
                "back": Out(section_layout(arch, Section.BACK)),
                "lead": Out(layout(arch)["lead"].width),
                "allowed": In(1),
                "bank": Out(1),
                "step_write": Out(1),
                "step_loop": Out(range(LOOPS)),
                "step_data": Out(LINE_BITS),
                "start": Out(1),
                "back_start": Out(1),
                "issuing": In(1),
                "finished": In(1),
                "waiting": Out(1),
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
        self._rewind = Signal(name="rewind")
        line, take = self._read_program(m)
        coming = Signal.like(self.back, name="coming")
        coming_full, drained = self._hand_over_back(m, coming)
        head = Signal(section_layout(self._arch, Section.HEAD))
        index = Signal(range(max(LOOPS, *(len(part.as_value()) // LINE_BITS for part in (self.front, self.back)))))
        m.d.comb += [self.step_loop.eq(index), self.step_data.eq(line), self.lead.eq(head.lead)]
        if self._arch.narrow_weights:
            m.d.comb += self.narrow.eq(head.narrow)
        self._touched = Signal(name="touched_before")
        m.d.sync += self._touched.eq(self.touched)
        with m.If(self.run):
            m.d.sync += self.running.eq(1)
        # an empty program has nothing to start
        starting, filled = Signal(name="starting"), Signal(name="filled")
        armed = self.setup == Setup.ARM
        m.d.sync += [self.setup.eq(Mux(armed, Setup.FIRST, Setup.NONE)), starting.eq(0)]
        m.d.comb += self.start.eq(starting | (self.run & filled))
        with m.FSM(name="state"):
            with m.State("REWIND"):
                m.d.comb += self._rewind.eq(1)
                m.d.sync += [index.eq(0), filled.eq(0)]
                m.next = "FILL"
                self._heed_host(m)
            with m.State("FILL"):
                m.d.comb += take.eq(1)
                m.d.sync += index.eq(index + 1)
                with m.If(index == READ_CYCLES - 1):
                    m.d.sync += index.eq(0)
                    m.next = "HEAD"
                self._heed_host(m)
            with m.State("HEAD"):
                m.d.comb += take.eq(1)
                m.d.sync += head.as_value().eq(line)
                m.next = "STEPS"
                self._heed_host(m)
            with m.State("STEPS"):
                m.d.comb += self.reload.eq(~self.running & (index == 0))
                self._take_steps(m, take, head, index)
                self._heed_host(m)
            with m.State("END"):
                self._end(m, drained)
                self._heed_host(m)
            with m.State("BACK"):
                with m.If(~coming_full):
                    self._take(m, take, line, index, coming, "FRONT")
                    with m.If(index == len(coming.as_value()) // LINE_BITS - 1):
                        m.d.sync += coming_full.eq(1)
                self._heed_host(m)
            with m.State("FRONT"):
                with m.If(~self.issuing):
                    m.d.sync += self.vector.eq(head.op == Op.VECTOR)
                    with m.If(index == 0):
                        m.d.sync += self.setup.eq(Setup.CLEAR)
                    self._take(m, take, line, index, self.front, "WAIT")
                    with m.If(index == len(self.front.as_value()) // LINE_BITS - 1):
                        m.d.sync += [self.bank.eq(~self.bank), self.setup.eq(Setup.ARM), filled.eq(1)]
                        with m.If(~self.running):
                            m.next = "READY"
                self._heed_host(m)
            with m.State("READY"):
                m.d.comb += self.ready.eq(~armed)
                with m.If(self.run):
                    m.next = "HEAD"
                self._heed_host(m)
            with m.State("WAIT"):
                m.d.comb += self.waiting.eq(~self.allowed)
                with m.If(self.allowed):
                    m.d.sync += starting.eq(1)
                    m.next = "START"
            with m.State("START"):
                m.next = "HEAD"
        return m

    def _heed_host(self, m: Module) -> None:
        """What is read while the host has its turn is read again; that it had comes from a register, for speed."""
        with m.If(self._touched):
            m.next = "REWIND"

    def _end(self, m: Module, drained: Signal) -> None:
        """Wait for the last store, or with an empty program for a run."""
        m.d.comb += [self.waiting.eq(1), self.ready.eq(~self.running)]
        with m.If(self.running & drained):
            m.d.sync += self.running.eq(0)
            m.next = "REWIND"

    def _hand_over_back(self, m: Module, coming: Any) -> tuple[Signal, Signal]:
        """The back section comes into force when the one before is done with.

        Returns whether ``coming`` waits for that, and whether all stores are made.
        """
        full, active, drained = Signal(name="coming_full"), Signal(), Signal()
        m.d.comb += drained.eq(~full & (~active | self.finished))
        m.d.sync += self.back_start.eq(0)
        with m.If(self._rewind):
            m.d.sync += [full.eq(0), active.eq(0)]
        with m.Elif(full & (~active | self.finished)):
            m.d.sync += [self.back.eq(coming), full.eq(0), active.eq(1), self.back_start.eq(1)]
        with m.Elif(self.finished):
            m.d.sync += active.eq(0)
        return full, drained

    def _read_program(self, m: Module) -> tuple[Signal, Signal]:
        """The program memory, read two lines ahead; returns the present line and the request to go on.

        The request only enables memory and register, since it comes late; that both are enabled alike lets the register
        be the block RAM's own.
        """
        depth, low = self._arch.program_words // LINE_WORDS, clog2(LINE_WORDS)
        memory = LineMemory(bits=LINE_BITS, depth=depth, unit=WORD_BITS)
        m.submodules.program = memory
        position, take, advance = Signal(clog2(depth), name="position"), Signal(name="take"), Signal(name="advance")
        line = Signal(LINE_BITS, name="line", reset_less=True)
        with m.If(advance):
            m.d.sync += line.eq(memory.read_data)
        asked, word = [self.host_read], Signal(low, reset_less=True)
        for cycle in range(1, 1 + READ_CYCLES):
            asked.append(Signal(name=f"asked{cycle}"))
            m.d.sync += asked[-1].eq(asked[-2])
        m.d.comb += advance.eq(take | Cat(asked[:-1]).any())
        with m.If(self._rewind):
            m.d.sync += position.eq(0)
        with m.Elif(advance):
            m.d.sync += position.eq(position + 1)
        with m.If(self.host_read):
            m.d.sync += word.eq(self.host_line[:low])
        with m.If(asked[-1]):
            m.d.sync += self.host_read_data.eq(line.word_select(word, WORD_BITS))
        m.d.comb += [
            memory.read_en.eq(advance),
            memory.read_addr.eq(Mux(self.host_read, self.host_line[low:], position)),
            memory.write_en.eq(self.host_write << self.host_line[:low]),
            memory.write_addr.eq(self.host_line[low:]),
            memory.write_data.eq(self.host_data.replicate(LINE_WORDS)),
        ]
        return line, take

    def _take_steps(self, m: Module, take: Signal, head: Any, index: Signal) -> None:
        """The loops' steps go to the nest, unless the program ends here."""
        with m.If(head.op == Op.END):
            m.next = "END"
        with m.Else():
            m.d.comb += [take.eq(1), self.step_write.eq(1)]
            m.d.sync += index.eq(index + 1)
            with m.If(index == LOOPS - 1):
                m.d.sync += index.eq(0)
                m.next = "BACK"

    def _take(self, m: Module, take: Signal, line: Signal, index: Signal, section: Any, then: str) -> None:
        """Put the present line into a section; after its last, go to state ``then``."""
        m.d.comb += take.eq(1)
        m.d.sync += [section.as_value().word_select(index, LINE_BITS).eq(line), index.eq(index + 1)]
        with m.If(index == len(section.as_value()) // LINE_BITS - 1):
            m.d.sync += index.eq(0)
            m.next = then
