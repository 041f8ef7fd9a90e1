# SPDX-License-Identifier: Apache-2.0
"""The issue stage: the one place where the engine waits.

Each cycle it issues the nest's window, or names what it waits for.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.fetch import IssuePayload
from systolith.hdl.fields import section_layout
from systolith.hdl.nest import Nest
from systolith.hdl.outline import outlined
from systolith.hdl.payload import Advance, flow
from systolith.spec.arch import Arch, clog2
from systolith.spec.isa import LOOPS, WORD_BITS, Op, Section
from systolith.spec.link import Counter
from systolith.spec.timing import MIN_PASS

__all__ = ["Issue"]


class Issue(wiring.Component):
    """Walks a descriptor's nest.

    Members:
        fields: In; the descriptor's front section, stable while ``busy``.
        step_write, step_number, step_data: In; the loops' relative steps, for the nest.
        start: In; a descriptor begins.
        busy: Out; windows are left to issue.
        weights_ready: In; the weights of the next pass are in place.
        operand_next, store_next: In; the next cycle's memory accesses of the retire stage.
        conflict: In; residual operands may lie in a segment of the input.
        issue: Out; valid-only stream.
        taken, jump, hold: Out; for the weight loader.
        pixel: Out; the window issued completes an output pixel of a MATRIX descriptor's last block.
        cause: Out; why this cycle passed.
    """

    def __init__(self, *, arch: Arch) -> None:
        """Build for the sizes of ``arch``."""
        self._arch = arch
        super().__init__(
            {
                "fields": In(section_layout(arch, Section.FRONT)),
                "step_write": In(1),
                "step_number": In(range(2 * LOOPS)),
                "step_data": In(WORD_BITS),
                "start": In(1),
                "busy": Out(1),
                "weights_ready": In(1),
                "operand_next": In(1),
                "store_next": In(1),
                "conflict": In(1),
                "issue": Out(flow(IssuePayload(arch))),
                "taken": Out(1),
                "jump": Out(1),
                "hold": Out(range(MIN_PASS)),
                "pixel": Out(1),
                "cause": Out(clog2(len(Counter))),
            }
        )

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.nest = nest = Nest(arch=self._arch)
        self._configure(m, nest)
        vector = Signal()
        m.d.comb += vector.eq(self.fields.op == Op.VECTOR)
        self._tag(m, nest, vector)
        issued = self._decide(m, nest, vector)
        m.d.comb += [self.busy.eq(nest.valid | self.start), nest.start.eq(self.start), nest.advance.eq(issued)]
        self._tell_loader(m, nest, issued & ~vector)
        return m

    def _configure(self, m: Module, nest: Nest) -> None:
        fields = self.fields
        for level in range(LOOPS):
            m.d.comb += nest.config.counts[level].eq(fields[f"loop{level}_count"])
        m.d.comb += [
            nest.config.row_start.eq(fields.row_start),
            nest.config.col_start.eq(fields.col_start),
            nest.step_write.eq(self.step_write),
            nest.step_number.eq(self.step_number),
            nest.step_data.eq(self.step_data),
        ]

    def _tag(self, m: Module, nest: Nest, vector: Signal) -> None:
        """What the window's place in the nest means; pixel loops are 0 and 1 of a MATRIX, 3 and 4 of a VECTOR."""
        window = self.issue.payload
        row_ends, plane_ends = Mux(vector, nest.last[3], nest.last[0]), Mux(vector, nest.last[4], nest.last[1])
        advance = Signal(Advance)
        m.d.comb += advance.eq(Advance.PIXEL)
        with m.If(row_ends):
            m.d.comb += advance.eq(Advance.ROW)
        with m.If(row_ends & plane_ends):
            m.d.comb += advance.eq(Mux(nest.last[5], Advance.END, Advance.BLOCK))
        m.d.comb += [
            window.row.eq(nest.row),
            window.col.eq(nest.col),
            window.vector.eq(vector),
            window.maximum.eq(self.fields.maximum if self._arch.pool else 0),
            window.tag.start.eq(nest.first[:2].all() & ~vector),
            window.tag.first.eq(Mux(vector, nest.first[:3].all(), nest.first[2:5].all())),
            window.tag.last.eq(Mux(vector, nest.last[:3].all(), nest.last[2:5].all())),
            window.tag.advance.eq(advance),
        ]

    def _decide(self, m: Module, nest: Nest, vector: Signal) -> Signal:
        """Issue, or wait for the weights, the lanes or the memory, in this order."""
        tag, issued = self.issue.payload.tag, Signal()
        lanes_busy = self._time_lanes(m, issued & tag.last & ~vector)
        memory_taken = self.operand_next & self.conflict
        if self._arch.act_single_port:
            memory_taken = memory_taken | self.store_next
        with m.If(~nest.valid):
            m.d.comb += self.cause.eq(Counter.CONTROL)
        with m.Elif(tag.start & ~self.weights_ready):
            m.d.comb += self.cause.eq(Counter.WEIGHTS)
        with m.Elif(tag.last & lanes_busy):
            m.d.comb += self.cause.eq(Counter.LANES)
        with m.Elif(memory_taken):
            m.d.comb += self.cause.eq(Counter.MEMORY)
        with m.Else():
            m.d.comb += [issued.eq(1), self.cause.eq(Mux(vector, Counter.VECTOR, Counter.ACTIVE))]
        m.d.comb += [self.issue.valid.eq(issued), self.pixel.eq(issued & tag.last & ~vector & nest.last[5])]
        return issued

    def _time_lanes(self, m: Module, entered: Any) -> Signal:
        """Whether the lanes are still busy with the sum before."""
        left = Signal(range(self._arch.lane_cycles))
        with m.If(entered):
            m.d.sync += left.eq(self._arch.lane_cycles - 1)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        busy = Signal(name="lanes_busy")
        m.d.comb += busy.eq(left != 0)
        return busy

    def _tell_loader(self, m: Module, nest: Nest, issued: Any) -> None:
        """Take-over of weights; and how far off a pixel that was late keeps the next pass, where it comes again."""
        tag = self.issue.payload.tag
        place = Signal(range(MIN_PASS))
        with m.If(issued & tag.start):
            m.d.sync += place.eq(1)
        with m.Elif(issued & (place != MIN_PASS - 1)):
            m.d.sync += place.eq(place + 1)
        m.d.comb += [
            self.taken.eq(issued & tag.start),
            self.jump.eq(nest.last[2:].all()),
            self.hold.eq(Mux(issued & ~tag.start, MIN_PASS - 1 - place, 0)),
        ]
