# SPDX-License-Identifier: Apache-2.0
"""The retire stage: finished sums through the lanes and into the activation memory.

A sum is split into steps of ``lanes`` channels, one a cycle. Each step meets its parameter line, which is read a cycle
early; where the lanes can add a residual operand it waits a cycle for that, which is read with the first step. The
elements that leave the lanes, and the tables where the engine has some, are gathered and stored with the last step.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.fields import section_layout
from systolith.hdl.lanes import Lanes
from systolith.hdl.linemem import LineMemory
from systolith.hdl.outline import outlined
from systolith.hdl.payload import Advance, SumPayload, flow
from systolith.hdl.skew import delayed
from systolith.hdl.tables import Tables
from systolith.hdl.target import Target
from systolith.hdl.walker import Walker
from systolith.spec import link
from systolith.spec.arch import Arch, clog2
from systolith.spec.isa import Section
from systolith.spec.timing import OPERAND_DELAY, lanes_after_sum, store_cycles

__all__ = ["Retire"]

_Step = data.StructLayout(
    {
        "valid": 1,
        "first": 1,  # the first of its sum
        "final": 1,  # the last of its sum
        "advance": Advance,  # with ``final``: where the walks go next
    }
)
"""One step of a sum."""


class Retire(wiring.Component):
    """Retires one sum every ``lane_cycles`` cycles, each stored :func:`~systolith.spec.timing.store_cycles` later.

    Members:
        fields: In; the descriptor's back section, stable from ``start`` until ``finished``.
        start: In; a descriptor begins.
        finished: Out; its last store is made in this cycle.
        sums: In; valid-only stream.
        operand_next, store_next: Out; the next cycle will read an operand, make a store.
        operand_en, operand_addr: Out; a C-vector of residual operands is read.
        operand_data: In; three cycles later.
        store_en, store_addr, store_data: Out; a C-vector is stored.
        to_weights: Out; with it, and only where ``arch`` has dynamic weights: it goes to a row of weights instead.
        host_write, host_line, host_data: In; write a parameter line. Only when no run is active.
        table_write, table_line, table_data: In; likewise an entry of a table; only where ``arch`` has tables.
    """

    def __init__(self, *, arch: Arch, target: Target = Target.GENERIC) -> None:
        """Build for the sizes of ``arch``."""
        self._arch = arch
        self._target = target
        self._wait = lanes_after_sum(arch) - 1
        self._line_bits = link.line_bits(link.Space.PARAMS, arch)
        elements = data.ArrayLayout(signed(arch.act_bits), arch.cols)
        tables: dict[str, Any] = {}
        if arch.tables:
            tables = {
                "table_write": In(1),
                "table_line": In(clog2(link.space_lines(link.Space.TABLES, arch))),
                "table_data": In(arch.act_bits),
            }
        to_weights = {"to_weights": Out(1)} if arch.dynamic_weights else {}
        super().__init__(
            {
                "fields": In(section_layout(arch, Section.BACK)),
                "start": In(1),
                "finished": Out(1),
                "sums": In(flow(SumPayload(arch))),
                "operand_next": Out(1),
                "store_next": Out(1),
                "operand_en": Out(1),
                "operand_addr": Out(arch.act_addr_bits),
                "operand_data": In(elements),
                "store_en": Out(1),
                "store_addr": Out(arch.act_addr_bits),
                "store_data": Out(elements),
                "host_write": In(1),
                "host_line": In(clog2(arch.param_lines)),
                "host_data": In(self._line_bits),
                **tables,
                **to_weights,
            }
        )

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        coming, step, acc = self._split(m)
        params = self._params(m, coming, step)
        operands = self._fetch_operands(m, step) if self._arch.residual else None
        elements = self._run_lanes(m, acc, params, operands)
        if self._arch.tables:
            elements = self._look_up(m, elements)
        self._store(m, step, elements)
        return m

    def _split(self, m: Module) -> tuple[Any, Any, Value]:
        """A sum's steps, one cycle after it. Returns the next cycle's step, the present one, and its accumulators."""
        arch, incoming = self._arch, self.sums.payload
        coming, step = Signal(_Step), Signal(_Step)
        left = Signal(range(arch.lane_cycles))
        held = Signal(arch.cols * arch.acc_bits, reset_less=True)
        m.d.comb += [
            coming.eq(step),
            coming.valid.eq(step.valid & ~step.final),
            coming.first.eq(0),
        ]
        with m.If(self.sums.valid):
            m.d.comb += [
                coming.valid.eq(1),
                coming.first.eq(1),
                coming.final.eq(1),
                coming.advance.eq(incoming.advance),
            ]
            m.d.sync += [held.eq(incoming.data), left.eq(arch.lane_cycles - 1)]
        with m.Else():
            m.d.sync += [held.eq(held >> (arch.lanes * arch.acc_bits)), left.eq(left - (left != 0))]
        if arch.buffered:
            # low when a sum comes, which has several steps and comes late
            final = Signal(name="final")
            m.d.sync += final.eq(Mux(self.sums.valid, arch.lane_cycles == 2, left == 2))
            m.d.comb += coming.final.eq(final)
        m.d.sync += step.eq(coming)
        m.d.comb += self.operand_next.eq(coming.valid & coming.first & self.fields.residual if arch.residual else 0)
        return coming, step, held[: arch.lanes * arch.acc_bits]

    def _params(self, m: Module, coming: Any, step: Any) -> Value:
        """The parameter line of the present step; where steps wait for operands, of the one of the cycle before."""
        arch = self._arch
        memory = LineMemory(bits=self._line_bits, depth=arch.param_lines, unit=self._line_bits)
        m.submodules.params = memory
        walker = Walker(bits=clog2(arch.param_lines), single_step=False)
        m.submodules.param_walker = walker
        m.d.comb += [
            walker.config.base.eq(self.fields.param_base),
            walker.config.block.eq(arch.lane_cycles),
            walker.start.eq(self.start),
            walker.step.eq(coming.valid),
            walker.final.eq(coming.final),
            # the last of several steps is not the one with which the sum comes
            walker.advance.eq(step.advance if arch.buffered else coming.advance),
            # always, so that a register behind it can be the block RAM's own
            memory.read_en.eq(1),
            memory.read_addr.eq(walker.address),
            memory.write_en.eq(self.host_write),
            memory.write_addr.eq(self.host_line),
            memory.write_data.eq(self.host_data),
        ]
        return delayed(m, memory.read_data, unsigned(self._line_bits), self._wait, "params_line")

    def _make_walker(self, m: Module, name: str, step: Value, advance: Any) -> Walker:
        """A walk over a tensor; ``name`` is the prefix of its fields."""
        arch = self._arch
        walker = Walker(bits=arch.act_addr_bits, single_step=True)
        m.submodules[f"{name}_walker"] = walker
        for part in ("base", "x", "y", "block"):
            m.d.comb += walker.config[part].eq(self.fields[f"{name}_{part}"])
        m.d.comb += [
            walker.start.eq(self.start),
            walker.step.eq(step),
            walker.final.eq(1),
            walker.advance.eq(advance),
        ]
        return walker

    def _fetch_operands(self, m: Module, step: Any) -> Value:
        """The operands of the steps, when the lanes take them."""
        arch = self._arch
        asked = Signal()
        walker = self._make_walker(m, "res", asked, step.advance)
        m.d.comb += [
            asked.eq(step.valid & step.first),
            self.operand_en.eq(asked & self.fields.residual),
            self.operand_addr.eq(walker.address),
        ]
        if not arch.buffered:
            return Value.cast(self.operand_data)
        came = delayed(m, asked, 1, self._wait + OPERAND_DELAY, "operands_came")
        held = Signal(len(Value.cast(self.operand_data)), name="operands", reset_less=True)
        present = Mux(came, Value.cast(self.operand_data), held)
        m.d.sync += held.eq(present >> (arch.lanes * arch.act_bits))
        return present

    def _run_lanes(self, m: Module, acc: Value, params: Value, operands: Value | None) -> Value:
        """Accumulators, parameters and operands together. Returns the elements that leave the lanes."""
        arch = self._arch
        m.submodules.lanes = lanes = Lanes(arch=arch, target=self._target)
        for name in lanes.config.shape().members:
            m.d.comb += lanes.config[name].eq(self.fields[name])
        waiting = delayed(m, acc, unsigned(len(acc)), self._wait, "acc")
        slots = link.param_slots(arch)
        share = self._line_bits // arch.lanes
        for index in range(arch.lanes):
            lane, line = lanes.input[index], params[index * share : (index + 1) * share]
            m.d.comb += lane.acc.eq(waiting[index * arch.acc_bits : (index + 1) * arch.acc_bits])
            m.d.comb += [lane[name].eq(line[offset : offset + bits]) for name, (offset, bits) in slots.items()]
            if operands is not None:
                m.d.comb += lane.residual.eq(operands[index * arch.act_bits : (index + 1) * arch.act_bits])
        return Value.cast(lanes.output)

    def _look_up(self, m: Module, elements: Value) -> Value:
        """The elements that leave the lanes, or the entries of a table in their place."""
        m.submodules.tables = tables = Tables(arch=self._arch)
        m.d.comb += [
            tables.lookup.eq(self.fields.lookup),
            tables.input.eq(elements),
            tables.host_write.eq(self.table_write),
            tables.host_line.eq(self.table_line),
            tables.host_data.eq(self.table_data),
        ]
        if self._arch.tables > 1:
            m.d.comb += tables.table.eq(self.fields.table)
        return Value.cast(tables.output)

    def _store(self, m: Module, step: Any, elements: Value) -> None:
        """The steps' elements together, and their address, when the last of them are there."""
        cycles = store_cycles(self._arch) - self._arch.lane_cycles
        steps = [step]
        for left in range(cycles - 1, -1, -1):
            steps.append(Signal(_Step, name=f"store_in_{left}"))
            m.d.sync += steps[-1].eq(steps[-2])
        storing = steps[-1]
        walker = self._make_walker(m, "out", self.store_en, storing.advance)
        # from a register, since the decision to issue depends on it
        m.d.sync += self.store_next.eq(steps[-3].valid & steps[-3].final)
        m.d.comb += [
            self.store_en.eq(storing.valid & storing.final),
            self.store_addr.eq(walker.address),
            self.store_data.eq(self._gather(m, elements)),
            self.finished.eq(self.store_en & (storing.advance == Advance.END)),
        ]
        if self._arch.dynamic_weights:
            m.d.comb += self.to_weights.eq(self.fields.to_weights)

    def _gather(self, m: Module, elements: Value) -> Value:
        """A C-vector, its last elements just coming."""
        earlier = len(Value.cast(self.store_data)) - len(elements)
        gathered = Signal(earlier, reset_less=True)
        whole = Cat(gathered, elements)
        m.d.sync += gathered.eq(whole[len(elements) :])
        return whole
