# SPDX-License-Identifier: Apache-2.0
"""An engine with a tally beside it: the cycles of each descriptor by cause, counted in the simulation.

The engine's Verilog is taken as it is; the tally only listens to its trace port. Counting there wakes the bench once a
descriptor instead of every cycle.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from amaranth.hdl import ClockSignal, Instance, Module, Mux, ResetSignal, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.emit import component_verilog
from systolith.hdl.engine import Engine, engine_ports
from systolith.hdl.outline import flat_ports
from systolith.spec.arch import Arch, clog2
from systolith.spec.link import Counter
from systolith.testbench.tallies import TALLY_BITS

from .cache import digest
from .design import Design

__all__ = ["EngineModule", "Monitored", "Tally", "monitored_design"]

_TOP = "systolith_monitored"
_COUNTS = data.ArrayLayout(TALLY_BITS, len(Counter))


class Tally(wiring.Component):
    """Counts until a boundary or the end of a run, then shows the counts and begins anew.

    Members:
        running, cause, work, boundary: In; of the engine's trace port.
        valid: Out; for one cycle: a record.
        end: Out; with ``valid``: the run has ended.
        counts: Out; with ``valid``: the cycles since the record before, and their work.
    """

    def __init__(self, *, arch: Arch) -> None:
        """Take the widths of ``arch``."""
        super().__init__(
            {
                "running": In(1),
                "cause": In(clog2(len(Counter))),
                "work": In(arch.counter_bits),
                "boundary": In(1),
                "valid": Out(1),
                "end": Out(1),
                "counts": Out(_COUNTS),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        so_far, now, was_running = Signal(_COUNTS), Signal(_COUNTS), Signal()
        for counter in Counter:
            amount = {Counter.CYCLES: 1, Counter.WORK: self.work}.get(counter, self.cause == counter)
            m.d.comb += now[counter].eq(so_far[counter] + Mux(self.running, amount, 0))
        ended = was_running & ~self.running
        m.d.sync += [was_running.eq(self.running), self.valid.eq(ended | self.boundary), self.end.eq(ended)]
        m.d.sync += so_far.eq(now)
        with m.If(ended | self.boundary):
            m.d.sync += [self.counts.eq(now), so_far.eq(0)]
        return m


class EngineModule(wiring.Component):
    """The engine as an instance of a Verilog module.

    Members: those of :class:`~systolith.hdl.engine.Engine`.
    """

    def __init__(self, *, arch: Arch, module: str) -> None:
        """Take the module's name and its ports' widths."""
        self._module = module
        super().__init__(engine_ports(arch))

    def elaborate(self, platform: Any) -> Instance:
        ports = {f"{'i' if is_input else 'o'}_{name}": signal for name, (signal, is_input) in flat_ports(self).items()}
        return Instance(self._module, i_clk=ClockSignal(), i_rst=ResetSignal(), **ports)


class Monitored(wiring.Component):
    """An engine's ports, and a tally.

    Members: those of :class:`~systolith.hdl.engine.Engine`, and
        tally_valid, tally_end, tally_counts: Out; as of :class:`Tally`.
    """

    def __init__(self, *, arch: Arch, engine: Engine | EngineModule) -> None:
        """Around an engine of ``arch``."""
        self._engine = engine
        self._tally = Tally(arch=arch)
        ports = {"tally_valid": Out(1), "tally_end": Out(1), "tally_counts": Out(_COUNTS)}
        super().__init__(engine_ports(arch) | ports)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.engine = engine = self._engine
        m.submodules.tally = tally = self._tally
        for name in ("host_in", "host_out", "trace"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(engine, name))
        m.d.comb += self.busy.eq(engine.busy)
        for name in ("running", "cause", "work", "boundary"):
            m.d.comb += getattr(tally, name).eq(getattr(engine.trace, name))
        for name in ("valid", "end", "counts"):
            m.d.comb += getattr(self, f"tally_{name}").eq(getattr(tally, name))
        return m


def _wrapper(design: Design) -> str:
    engine = EngineModule(arch=design.arch, module=design.top)
    return component_verilog(Monitored(arch=design.arch, engine=engine), name=_TOP)


def monitored_design(design: Design) -> Design:
    """``design``, which is an engine, with a tally beside it."""
    arch, engine = design.arch, design.component
    return replace(
        design,
        top=_TOP,
        key=digest(["monitored", design.key, Path(__file__).read_text()]),
        verilog=lambda: design.verilog() + "\n" + _wrapper(design),
        component=None if engine is None else lambda: Monitored(arch=arch, engine=engine()),
    )
