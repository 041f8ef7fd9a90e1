# SPDX-License-Identifier: Apache-2.0
"""The engine: all stages and memories behind two word streams."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.actmem import ActivationMemory
from systolith.hdl.compute import Compute
from systolith.hdl.counters import Counters
from systolith.hdl.fetch import Fetch
from systolith.hdl.hostport import Answer, HostPort
from systolith.hdl.issue import Issue
from systolith.hdl.loader import WeightLoader
from systolith.hdl.retire import Retire
from systolith.hdl.sequencer import Sequencer
from systolith.hdl.tail import Tail
from systolith.hdl.target import Target
from systolith.spec.arch import Arch, clog2
from systolith.spec.isa import WORD_BITS
from systolith.spec.link import Counter

__all__ = ["Engine", "TraceSignature", "engine_ports"]


class TraceSignature(wiring.Signature):
    """What a simulation watches: each store, and what each cycle of a run is counted under.

    Members:
        store_valid, store_addr, store_data: a store, with its element address and C elements; where the engine has
            dynamic weights the bit above the address says that it is a row of weights.
        running: the cycle is counted.
        cause: its :class:`~systolith.spec.link.Counter`.
        work: the useful MACs counted in it.
        boundary: the last window of a descriptor is issued.
    """

    def __init__(self, arch: Arch) -> None:
        """Take the widths of ``arch``."""
        elements = data.ArrayLayout(signed(arch.act_bits), arch.cols)
        super().__init__(
            {
                "store_valid": Out(1),
                "store_addr": Out(arch.store_addr_bits),
                "store_data": Out(elements),
                "running": Out(1),
                "cause": Out(clog2(len(Counter))),
                "work": Out(arch.counter_bits),
                "boundary": Out(1),
            }
        )


def engine_ports(arch: Arch) -> dict[str, Any]:
    """The members of :class:`Engine`."""
    return {
        "host_in": In(stream.Signature(WORD_BITS)),
        "host_out": Out(stream.Signature(Answer)),
        "busy": Out(1),
        "trace": Out(TraceSignature(arch)),
    }


class Engine(wiring.Component):
    """An engine built from ``arch``; see docs/engine.md.

    Members:
        host_in: In; ready/valid stream of the words of :mod:`systolith.spec.link`.
        host_out: Out; ready/valid stream of answer words with ``last``.
        busy: Out; a run is active.
        trace: Out; stores and cycles, for simulation. Leave it open in hardware.
    """

    def __init__(self, *, arch: Arch, target: Target = Target.GENERIC) -> None:
        """Build; raises ValueError for what the target's primitives cannot do."""
        self._arch = arch
        self._target = target
        super().__init__(engine_ports(arch))

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        arch, target = self._arch, self._target
        m.submodules.host_port = port = HostPort(arch=arch)
        m.submodules.sequencer = sequencer = Sequencer(arch=arch)
        m.submodules.issue = issue = Issue(arch=arch)
        m.submodules.fetch = fetch = Fetch(arch=arch)
        m.submodules.loader = loader = WeightLoader(arch=arch, target=target)
        m.submodules.compute = compute = Compute(arch=arch, target=target)
        m.submodules.retire = retire = Retire(arch=arch, target=target)
        m.submodules.memory = memory = ActivationMemory(arch=arch, target=target)
        m.submodules.counters = counters = Counters(arch=arch)
        m.submodules.tail = tail = Tail(arch=arch)

        wiring.connect(m, wiring.flipped(self.host_in), port.host_in)
        wiring.connect(m, wiring.flipped(self.host_out), port.host_out)
        self._control(m, port, sequencer, issue, fetch, retire)
        self._overlap(m, sequencer, issue, tail, compute, retire)
        self._load_weights(m, port, sequencer, issue, loader)
        if arch.dynamic_weights:
            self._store_weights(m, sequencer, retire, loader)
        wiring.connect(m, issue.issue, fetch.issue)
        wiring.connect(m, fetch.windows, compute.windows)
        m.d.comb += [compute.coming.eq(fetch.coming), compute.line_last.eq(fetch.line_last)]
        wiring.connect(m, loader.weights, compute.weights)
        wiring.connect(m, compute.sums, retire.sums)
        self._serve_memory(m, port, fetch, retire, memory)
        self._count(m, port, sequencer, issue, counters)
        self._trace(m, issue, retire, counters)
        m.d.comb += self.busy.eq(sequencer.running)
        return m

    def _control(
        self, m: Module, port: HostPort, sequencer: Sequencer, issue: Issue, fetch: Fetch, retire: Retire
    ) -> None:
        """Descriptors to the stages, their progress back."""
        m.d.comb += [
            sequencer.run.eq(port.run),
            sequencer.touched.eq(port.touched),
            port.running.eq(sequencer.running),
            port.value_program.eq(sequencer.host_read_data),
            sequencer.host_read.eq(port.read),
            sequencer.host_write.eq(port.write_program),
            sequencer.host_line.eq(port.line),
            sequencer.host_data.eq(port.data_program),
            issue.setup.eq(sequencer.setup),
            issue.vector.eq(sequencer.vector),
            issue.fields.eq(sequencer.front),
            issue.bank.eq(sequencer.bank),
            issue.step_write.eq(sequencer.step_write),
            issue.step_loop.eq(sequencer.step_loop),
            issue.step_data.eq(sequencer.step_data),
            issue.start.eq(sequencer.start),
            issue.operand_next.eq(retire.operand_next),
            issue.store_next.eq(retire.store_next),
            retire.fields.eq(sequencer.back),
            retire.start.eq(sequencer.back_start),
            retire.host_write.eq(port.write_params),
            retire.host_line.eq(port.line),
            retire.host_data.eq(port.data_params),
        ]
        if self._arch.tables:
            m.d.comb += [
                retire.table_write.eq(port.write_tables),
                retire.table_line.eq(port.line),
                retire.table_data.eq(port.data_tables),
            ]
        for name in fetch.config.shape().members:
            if name in sequencer.front.shape().fields:
                m.d.comb += fetch.config[name].eq(sequencer.front[name])

    def _overlap(
        self, m: Module, sequencer: Sequencer, issue: Issue, tail: Tail, compute: Compute, retire: Retire
    ) -> None:
        """What lets a descriptor begin while the one before is on its way."""
        m.d.comb += [
            sequencer.issuing.eq(issue.busy),
            sequencer.finished.eq(retire.finished),
            sequencer.allowed.eq(tail.allowed),
            tail.lead.eq(sequencer.lead),
            tail.ended.eq(issue.ended),
            tail.vector.eq(issue.vector),
            tail.draining.eq(compute.draining),
            tail.pixels.eq(compute.pixels),
            compute.begun.eq(sequencer.back_start),
            issue.drained.eq(compute.drained),
        ]

    def _load_weights(
        self, m: Module, port: HostPort, sequencer: Sequencer, issue: Issue, loader: WeightLoader
    ) -> None:
        m.d.comb += [
            loader.restart.eq(sequencer.reload),
            port.ready.eq(sequencer.ready & loader.ready),
            loader.taken.eq(issue.taken),
            loader.jump.eq(issue.jump),
            loader.hold.eq(issue.hold),
            loader.target.eq(issue.target),
            issue.weights_ready.eq(loader.ready),
            loader.host_write.eq(port.write_weights),
            loader.host_line.eq(port.line),
            loader.host_data.eq(port.data_weights),
        ]
        if self._arch.narrow_weights:
            m.d.comb += [loader.first.eq(sequencer.narrow), loader.narrow.eq(issue.narrow)]

    def _store_weights(self, m: Module, sequencer: Sequencer, retire: Retire, loader: WeightLoader) -> None:
        """Results to the weight memory; what was fetched from there before they came does not count."""
        m.d.comb += [
            loader.again.eq(sequencer.start & sequencer.front.fresh & ~sequencer.vector),
            loader.store_en.eq(retire.store_en & retire.to_weights),
            loader.store_row.eq(retire.store_addr),
            loader.store_data.eq(retire.store_data),
        ]

    def _serve_memory(self, m: Module, port: HostPort, fetch: Fetch, retire: Retire, memory: ActivationMemory) -> None:
        m.d.comb += [
            memory.window_en.eq(fetch.memory_en),
            memory.window_addr.eq(fetch.memory_addr),
            fetch.memory_data.eq(memory.window_data),
            memory.operand_en.eq(retire.operand_en),
            memory.operand_addr.eq(retire.operand_addr),
            retire.operand_data.eq(memory.operand_data),
            memory.store_en.eq(retire.store_en & ~self._to_weights(retire)),
            memory.store_addr.eq(retire.store_addr),
            memory.store_data.eq(retire.store_data),
            memory.host_read.eq(port.read),
            memory.host_write.eq(port.write_activations),
            memory.host_line.eq(port.line),
            memory.host_data.eq(port.data_activations),
            port.value_activations.eq(memory.window_data),
        ]

    def _to_weights(self, retire: Retire) -> Value:
        """Whether what is stored goes to the weight memory."""
        return retire.to_weights if self._arch.dynamic_weights else Const(0)

    def _count(self, m: Module, port: HostPort, sequencer: Sequencer, issue: Issue, counters: Counters) -> None:
        """The cause of a cycle: the issue stage's while it has windows, else what the rest is about."""
        idle = Mux(sequencer.waiting, Counter.DRAIN, Counter.CONTROL)
        m.d.comb += [
            counters.clear.eq(port.run),
            counters.running.eq(sequencer.running),
            counters.cause.eq(Mux(issue.busy, issue.cause, idle)),
            counters.pixel.eq(issue.pixel),
            counters.work.eq(sequencer.front.work),
            counters.select.eq(port.line),
            port.value_counters.eq(counters.value),
        ]

    def _trace(self, m: Module, issue: Issue, retire: Retire, counters: Counters) -> None:
        m.d.comb += [
            self.trace.store_valid.eq(retire.store_en),
            self.trace.store_addr.eq(Cat(retire.store_addr, self._to_weights(retire))),
            self.trace.store_data.eq(retire.store_data),
            self.trace.running.eq(counters.running),
            self.trace.cause.eq(counters.cause),
            self.trace.work.eq(Mux(counters.pixel, counters.work, 0)),
            self.trace.boundary.eq(issue.ended),
        ]
