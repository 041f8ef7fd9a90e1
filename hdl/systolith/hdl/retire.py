# SPDX-License-Identifier: Apache-2.0
"""The retire stage: finished sums through the lanes and into the activation memory.

A sum is split into steps of ``lanes`` channels, one a cycle. Each step meets its parameter line, which is read a cycle
early; where the lanes can add a residual operand it waits a cycle for that. What leaves the lanes is stored at once.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.fields import section_layout
from systolith.hdl.lanes import Lanes
from systolith.hdl.linemem import LineMemory
from systolith.hdl.outline import outlined
from systolith.hdl.payload import Advance, SumPayload, flow
from systolith.hdl.skew import delayed
from systolith.hdl.target import Target
from systolith.hdl.walker import Walker
from systolith.spec import link
from systolith.spec.arch import Arch, clog2
from systolith.spec.isa import Section
from systolith.spec.timing import lane_latency, lanes_after_sum

__all__ = ["Retire"]

_Step = data.StructLayout(
    {
        "valid": 1,
        "final": 1,  # the last of its sum
        "vector": 1,  # from the vector unit
        "advance": Advance,  # with ``final``: where the walks go next
    }
)
"""One step of a sum."""


class Retire(wiring.Component):
    """Retires one sum every ``lane_cycles`` cycles (every cycle from the vector unit).

    The first step of a sum is stored :func:`systolith.spec.timing.lanes_after_sum` and the lanes' latency later.

    Members:
        fields: In; the descriptor's back section, stable from ``start`` until ``finished``.
        start: In; a descriptor begins.
        finished: Out; its last store is made in this cycle.
        sums: In; valid-only stream.
        operand_next, store_next: Out; the next cycle will read an operand, make a store.
        operand_en, operand_addr: Out; a residual operand is read.
        operand_data: In; one cycle later.
        store_en, store_addr, store_data: Out; elements are stored.
        host_write, host_line, host_data: In; write a parameter line. Only when no run is active.
    """

    def __init__(self, *, arch: Arch, target: Target = Target.GENERIC) -> None:
        """Build for the sizes of ``arch``."""
        self._arch = arch
        self._target = target
        self._wait = lanes_after_sum(arch) - 1
        self._line_bits = link.line_bits(link.Space.PARAMS, arch)
        elements = data.ArrayLayout(signed(arch.act_bits), arch.lanes)
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
            }
        )

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        coming, step, acc = self._split(m)
        params = self._params(m, coming)
        if self._arch.residual:
            self._fetch_operand(m, step)
        self._run_lanes(m, acc, params)
        self._store(m, step)
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
            coming.final.eq(left == 1),
        ]
        with m.If(self.sums.valid):
            m.d.comb += [
                coming.valid.eq(1),
                coming.final.eq(incoming.vector | (arch.lane_cycles == 1)),
                coming.vector.eq(incoming.vector),
                coming.advance.eq(incoming.advance),
            ]
            m.d.sync += [held.eq(incoming.data), left.eq(arch.lane_cycles - 1)]
        with m.Else():
            m.d.sync += [held.eq(held >> (arch.lanes * arch.acc_bits)), left.eq(left - 1)]
        m.d.sync += step.eq(coming)
        m.d.comb += self.operand_next.eq(coming.valid & self.fields.residual if arch.residual else 0)
        return coming, step, held[: arch.lanes * arch.acc_bits]

    def _params(self, m: Module, coming: Any) -> Value:
        """The parameter line of the present step; where steps wait for operands, of the one of the cycle before."""
        arch = self._arch
        memory = LineMemory(bits=self._line_bits, depth=arch.param_lines, unit=self._line_bits)
        m.submodules.params = memory
        walker = Walker(bits=clog2(arch.param_lines), unit=1, single_step=False)
        m.submodules.param_walker = walker
        m.d.comb += [
            walker.config.base.eq(self.fields.param_base),
            walker.config.block.eq(Mux(coming.vector, 1, arch.lane_cycles)),
            walker.start.eq(self.start),
            walker.step.eq(coming.valid),
            walker.final.eq(coming.final),
            walker.advance.eq(coming.advance),
            memory.read_en.eq(coming.valid),
            memory.read_addr.eq(walker.address),
            memory.write_en.eq(self.host_write),
            memory.write_addr.eq(self.host_line),
            memory.write_data.eq(self.host_data),
        ]
        return delayed(m, memory.read_data, unsigned(self._line_bits), self._wait, "params_line")

    def _make_walker(self, m: Module, name: str, step: Any) -> Walker:
        """A walk over a tensor; ``name`` is the prefix of its fields."""
        arch = self._arch
        walker = Walker(bits=arch.act_addr_bits, unit=arch.lanes, single_step=arch.lane_cycles == 1)
        m.submodules[f"{name}_walker"] = walker
        for part in ("base", "x", "y", "block"):
            m.d.comb += walker.config[part].eq(self.fields[f"{name}_{part}"])
        m.d.comb += [
            walker.start.eq(self.start),
            walker.step.eq(step.valid),
            walker.final.eq(step.final),
            walker.advance.eq(step.advance),
        ]
        return walker

    def _fetch_operand(self, m: Module, step: Any) -> None:
        walker = self._make_walker(m, "res", step)
        m.d.comb += [self.operand_en.eq(step.valid & self.fields.residual), self.operand_addr.eq(walker.address)]

    def _run_lanes(self, m: Module, acc: Value, params: Value) -> None:
        """Accumulators, parameters and operands together."""
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
            if arch.residual:
                m.d.comb += lane.residual.eq(self.operand_data[index])
        m.d.comb += self.store_data.eq(lanes.output)

    def _store(self, m: Module, step: Any) -> None:
        """The step's address, when its elements leave the lanes."""
        cycles = lanes_after_sum(self._arch) - 1 + lane_latency(self._arch)
        steps = [step]
        for left in range(cycles - 1, -1, -1):
            steps.append(Signal(_Step, name=f"store_in_{left}"))
            m.d.sync += steps[-1].eq(steps[-2])
        storing = steps[-1]
        walker = self._make_walker(m, "out", storing)
        m.d.comb += [
            self.store_next.eq(steps[-2].valid),
            self.store_en.eq(storing.valid),
            self.store_addr.eq(walker.address),
            self.finished.eq(storing.valid & storing.final & (storing.advance == Advance.END)),
        ]
