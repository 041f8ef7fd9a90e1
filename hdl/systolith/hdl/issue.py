# SPDX-License-Identifier: Apache-2.0
"""The issue stage: the one place where the engine waits.

Each cycle it issues the nest's window, or names what it waits for.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.fetch import IssuePayload
from systolith.hdl.fields import section_layout
from systolith.hdl.nest import Nest
from systolith.hdl.outline import outlined
from systolith.hdl.payload import Advance, Setup, flow
from systolith.hdl.tracker import Tracker
from systolith.spec.arch import Arch, clog2
from systolith.spec.isa import LINE_BITS, LOOPS, Section, layout
from systolith.spec.link import Counter
from systolith.spec.timing import MIN_PASS

__all__ = ["Issue"]


class Issue(wiring.Component):
    """Walks a descriptor's nest.

    Members:
        setup: In; the steps before a descriptor, when not ``busy``.
        vector, fields: In; the descriptor's kind and front section, stable from ``setup`` ARM on and while ``busy``.
        bank, step_write, step_loop, step_data: In; the loops' relative steps, for the nest.
        start: In; a descriptor begins, with ``setup`` FIRST or later.
        busy: Out; windows are left to issue, from one cycle after ``start``.
        weights_ready: In; the weights of the next pass are in place.
        operand_next, store_next: In; the next cycle's memory accesses of the retire stage.
        drained: In; a bank of buffered accumulators is read out.
        issue: Out; valid-only stream.
        taken, jump, hold, target, narrow: Out; for the weight loader; the last where weights may be narrow.
        pixel: Out; the window issued completes an output pixel of a MATRIX descriptor's last block.
        ended: Out; it completes the descriptor's last output pixel.
        cause: Out; why this cycle passed.
    """

    def __init__(self, *, arch: Arch) -> None:
        """Build for the sizes of ``arch``."""
        self._arch = arch
        # Verilog has no port without bits
        narrow = {"narrow": Out(layout(arch)["narrow_next"].width)} if arch.narrow_weights else {}
        super().__init__(
            narrow
            | {
                "setup": In(Setup),
                "vector": In(1),
                "fields": In(section_layout(arch, Section.FRONT)),
                "bank": In(1),
                "step_write": In(1),
                "step_loop": In(range(LOOPS)),
                "step_data": In(LINE_BITS),
                "start": In(1),
                "busy": Out(1),
                "weights_ready": In(1),
                "operand_next": In(1),
                "store_next": In(1),
                "drained": In(1),
                "issue": Out(flow(IssuePayload(arch))),
                "taken": Out(1),
                "jump": Out(1),
                "hold": Out(range(MIN_PASS)),
                "target": Out(clog2(arch.weight_lines)),
                "pixel": Out(1),
                "ended": Out(1),
                "cause": Out(clog2(len(Counter))),
            }
        )

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.nest = nest = Nest(arch=self._arch)
        self._configure(m, nest)
        final = self._tag(m, nest)
        pending = nest.valid
        self._block_begins = Signal(name="block_begins")
        if self._arch.depthwise:
            pending = pending | self._track(m, nest, final)
        else:
            m.d.comb += self._block_begins.eq(nest.block_begins)
        issued = self._decide(m, pending, nest)
        m.d.comb += [self.busy.eq(pending), nest.start.eq(self.start), nest.advance.eq(issued)]
        self._tell(m, nest, issued, final)
        return m

    def _configure(self, m: Module, nest: Nest) -> None:
        fields = self.fields
        for level in range(LOOPS):
            m.d.comb += nest.config.counts[level].eq(fields[f"loop{level}_count"])
        m.d.comb += [
            nest.setup.eq(self.setup),
            nest.config.row_start.eq(fields.row_start),
            nest.config.col_start.eq(fields.col_start),
            nest.vector.eq(self.vector),
            nest.bank.eq(self.bank),
            nest.step_write.eq(self.step_write),
            nest.step_loop.eq(self.step_loop),
            nest.step_data.eq(self.step_data),
        ]

    def _tag(self, m: Module, nest: Nest) -> Signal:
        """What the window's place in the nest means; pixel loops are 0 and 1 of a MATRIX, 3 and 4 of a VECTOR.

        Returns whether its block is the last.
        """
        window, vector, final = self.issue.payload, self.vector, Signal(name="final")
        row_ends, plane_ends = Mux(vector, nest.last[3], nest.last[0]), Mux(vector, nest.last[4], nest.last[1])
        advance = Signal(Advance)
        m.d.comb += advance.eq(Advance.PIXEL)
        with m.If(row_ends):
            m.d.comb += advance.eq(Advance.ROW)
        with m.If(row_ends & plane_ends):
            m.d.comb += advance.eq(Mux(final, Advance.END, Advance.BLOCK))
        m.d.comb += [
            final.eq(nest.last[5]),
            window.row.eq(nest.row),
            window.col.eq(nest.col),
            window.vector.eq(vector),
            window.tag.start.eq(nest.pass_begins),
            window.tag.first.eq(nest.sum_begins),
            window.tag.last.eq(nest.sum_ends),
            window.tag.advance.eq(advance),
        ]
        if self._arch.pool:
            m.d.comb += window.maximum.eq(self.fields.maximum)
        if self._arch.depthwise:
            m.d.comb += window.dw.emit.eq(1)
        return final

    def _track(self, m: Module, nest: Nest, final: Signal) -> Value:
        """Where the window is one of a raster, the output candidate says what it means. Returns whether any is left."""
        m.submodules.tracker = tracker = Tracker(arch=self._arch)
        window, candidate, raster = self.issue.payload, tracker.candidate, Signal()
        m.d.comb += [
            raster.eq(self.fields.depthwise & ~self.vector),
            tracker.fields.eq(self.fields),
            tracker.setup.eq(self.setup),
            tracker.raster.eq(raster),
            tracker.start.eq(self.start),
            tracker.step.eq(self.issue.valid),
            nest.raster.eq(raster),
            self._block_begins.eq(nest.block_begins | candidate.begin),
            # the decision to issue hangs on it; the nest and the tracker are silent in each other's descriptors
            window.tag.start.eq(nest.pass_begins | candidate.start),
        ]
        with m.If(raster):
            m.d.comb += [
                final.eq(candidate.final),
                window.tag.first.eq(candidate.first),
                window.tag.last.eq(candidate.last & candidate.emit),
                window.tag.advance.eq(candidate.advance),
                window.dw.depthwise.eq(1),
                window.dw.emit.eq(candidate.emit),
                window.dw.mask_x.eq(candidate.mask_x),
                window.dw.mask_y.eq(candidate.mask_y),
            ]
        return tracker.busy

    def _decide(self, m: Module, pending: Value, nest: Nest) -> Signal:
        """Issue, or wait for the weights, the lanes or the memory, in this order."""
        issued = Signal()
        for number, (cause, holds) in enumerate(self._waits(m, pending, issued, nest)):
            with (m.Elif if number else m.If)(holds):
                m.d.comb += self.cause.eq(cause)
        with m.Else():
            m.d.comb += [issued.eq(1), self.cause.eq(Mux(self.vector, Counter.VECTOR, Counter.ACTIVE))]
        m.d.comb += self.issue.valid.eq(issued)
        return issued

    def _waits(self, m: Module, pending: Value, issued: Signal, nest: Nest) -> list[tuple[Counter, Value]]:
        """What can keep a window in this engine, and whether it does."""
        arch = self._arch
        waits = [(Counter.CONTROL, ~pending), (Counter.WEIGHTS, self.issue.payload.tag.start & ~self.weights_ready)]
        if arch.buffered:
            waits.append((Counter.LANES, self._lanes_busy(m, issued, nest)))
        if arch.residual or arch.act_single_port:
            waits.append((Counter.MEMORY, self._memory_taken()))
        return waits

    def _memory_taken(self) -> Value:
        """Whether the window's read would meet another access to the activation memory."""
        arch = self._arch
        if arch.act_single_port:
            return self.store_next
        return self.operand_next & ~self.fields.apart if arch.act_segments > 1 else self.operand_next

    def _lanes_busy(self, m: Module, issued: Signal, nest: Nest) -> Value:
        """Whether the lanes cannot take a VECTOR's result yet, or a MATRIX block has no free bank of accumulators.

        It is asked of flags that nest and tracker have for it, not of the window's tag, which takes longer.
        """
        arch, begins = self._arch, self._block_begins
        left, banks = Signal(range(arch.lane_cycles)), Signal(range(3), init=2)
        resting, none = Signal(name="lanes_resting"), Signal(name="no_bank")
        ends, takes, busy = issued & nest.vector_ends, issued & begins, Signal(name="lanes_busy")
        m.d.sync += [
            left.eq(Mux(ends, arch.lane_cycles - 1, left - (left != 0))),
            resting.eq(ends | (left > 1)),
            banks.eq(banks + self.drained - takes),
            none.eq(~self.drained & (none | (takes & (banks == 1)))),
        ]
        m.d.comb += busy.eq((nest.vector_ends & resting) | (begins & none))
        return busy

    def _tell(self, m: Module, nest: Nest, issued: Signal, final: Signal) -> None:
        """Loader, counters and sequencer: what was issued."""
        tag, fields = self.issue.payload.tag, self.fields
        place, matrix = Signal(range(MIN_PASS)), Signal()
        with m.If(issued & tag.start):
            m.d.sync += place.eq(1)
        with m.Elif(issued & (place != MIN_PASS - 1)):
            m.d.sync += place.eq(place + 1)
        # a pixel that was late keeps the next pass, where it comes again, as far off; rasters are never that short
        late = matrix & ~tag.start & ~(fields.depthwise if self._arch.depthwise else 0)
        m.d.comb += [
            matrix.eq(issued & ~self.vector),
            self.taken.eq(issued & tag.start),
            self.jump.eq(tag.last & final),
            self.hold.eq(Mux(late, MIN_PASS - 1 - place, 0)),
            self.target.eq(fields.weights_next),
            self.pixel.eq(matrix & tag.last & final),
            self.ended.eq(issued & tag.last & (tag.advance == Advance.END)),
        ]
        if self._arch.narrow_weights:
            m.d.comb += self.narrow.eq(fields.narrow_next)
