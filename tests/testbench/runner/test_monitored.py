# SPDX-License-Identifier: Apache-2.0
"""The tally beside the engine: alone, and against the cycle model in every simulator."""

from __future__ import annotations

from typing import Any

import pytest
from amaranth.sim import Simulator

from systolith.compiler.model import predict
from systolith.spec.arch import PRESETS
from systolith.spec.link import Counter
from systolith.testbench.pauses import Pauses
from systolith.testbench.runner.backend import RtlSimulator
from systolith.testbench.runner.engine import engine_design
from systolith.testbench.runner.monitored import Tally, monitored_design
from tests.support.link_memory import link_memory_design
from tests.support.programs import limits_for, random_case
from tests.support.random_graphs import random_network
from tests.support.simulators import EVERY

ARCH = PRESETS["tiny"]
SEED = 7100
Event = tuple[bool, Counter, int, bool]
"""running, cause, work, boundary of a cycle."""


def tallied(events: list[Event]) -> list[tuple[bool, dict[str, int]]]:
    """The records of a tally that sees these cycles: whether the run ended, and what is not zero."""
    dut, records = Tally(arch=ARCH), []

    async def bench(ctx: Any) -> None:
        for running, cause, work, boundary in [*events, (False, Counter.CYCLES, 0, False)]:
            ctx.set(dut.running, running)
            ctx.set(dut.cause, cause)
            ctx.set(dut.work, work)
            ctx.set(dut.boundary, boundary)
            await ctx.tick()
            if ctx.get(dut.valid):
                counts = {counter.name: ctx.get(dut.counts[counter]) for counter in Counter}
                records.append((bool(ctx.get(dut.end)), {name: value for name, value in counts.items() if value}))

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    return records


def test_a_boundary_closes_a_record_with_its_own_cycle() -> None:
    events: list[Event] = [
        (False, Counter.ACTIVE, 9, False),
        (True, Counter.CONTROL, 0, False),
        (True, Counter.ACTIVE, 3, True),
        (True, Counter.VECTOR, 0, True),
        (True, Counter.DRAIN, 0, False),
        (False, Counter.DRAIN, 0, False),
    ]
    assert tallied(events) == [
        (False, {"CYCLES": 2, "CONTROL": 1, "ACTIVE": 1, "WORK": 3}),
        (False, {"CYCLES": 1, "VECTOR": 1}),
        (True, {"CYCLES": 1, "DRAIN": 1}),
    ]


def test_a_run_may_end_with_a_boundary() -> None:
    events: list[Event] = [(True, Counter.ACTIVE, 1, True), (False, Counter.ACTIVE, 0, False)]
    assert tallied(events) == [(False, {"CYCLES": 1, "ACTIVE": 1, "WORK": 1}), (True, {})]


def test_the_engine_s_text_is_untouched() -> None:
    plain = engine_design(ARCH)
    design = monitored_design(plain)
    assert design.verilog().startswith(plain.verilog())
    assert f"module {design.top}(" in design.verilog()
    assert design.key != plain.key
    assert design.component is not None


def test_what_has_no_component_has_none_with_a_tally() -> None:
    plain = link_memory_design(ARCH)
    assert monitored_design(type(plain)(arch=ARCH, top="m", key="k", verilog=lambda: "")).component is None


@pytest.mark.parametrize("simulator", EVERY)
def test_every_descriptor_takes_the_cycles_of_the_model(simulator: str) -> None:
    limits = limits_for(ARCH, size=4, channels=4, kernel=3)
    cases = [random_case(seed, ARCH, limits=limits, make=random_network) for seed in range(SEED, SEED + 3)]
    pauses = Pauses(probability=0.3, seed=SEED)
    rtl = RtlSimulator(ARCH, simulator=simulator, source=pauses, sink=pauses)
    played = [(program, [sample.inputs for sample in samples]) for program, samples in cases]
    for (program, samples), seen in zip(cases, rtl.observe_all(played), strict=True):
        assert len(seen) == len(samples) == 2
        for observation in seen:
            descriptors = observation.result.descriptors
            assert descriptors == predict(program).descriptors
            assert descriptors is not None
            totals = {counter: sum(part[counter] for part in descriptors) for counter in Counter}
            assert totals == observation.result.counters
