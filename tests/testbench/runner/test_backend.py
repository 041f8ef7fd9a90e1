# SPDX-License-Identifier: Apache-2.0
"""The generated engine against the ISA model and the integer reference, in every simulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from systolith.compiler.ir import Graph
from systolith.compiler.passes.fuse_add import fuse_add
from systolith.compiler.passes.fuse_table import fuse_table
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.image import ImageError, Program
from systolith.spec.link import Counter
from systolith.testbench.pauses import Pauses
from systolith.testbench.runner.backend import Observation, RtlSimulator
from systolith.testbench.verify import Sample, verify
from tests.support.graph_builder import Limits
from tests.support.programs import limits_for, random_case
from tests.support.random_graphs import random_network
from tests.support.simulators import EVERY, needs

SEED = 7000
IN, OUT = Pauses(probability=0.3, seed=SEED), Pauses(probability=0.3, seed=SEED + 1)
TINY = PRESETS["tiny"]
WIDE = PRESETS["4x4"].with_(name="2x4", rows=2, cols=4, psum_spacing=2, lane_cycles=1, act_segments=1)
NARROW = TINY.with_(name="tiny-w4", weight_bits=4, narrow_weights=False, dynamic_weights=False)
LONG = TINY.with_(name="tiny-a16", act_bits=16, tables=0, dynamic_weights=False, acc_bits=48)


@dataclass(frozen=True)
class Recorded:
    """A device that gives back what was observed, so that many programs share one simulator session."""

    observations: list[Observation]

    def observe(self, program: Program, inputs: Sequence[Mapping[str, NDArray[np.int64]]]) -> list[Observation]:
        return self.observations


def check(simulator: RtlSimulator, cases: list[tuple[Program, Sequence[Sample]]]) -> None:
    """Everything equal, and every cycle of every run attributed to one cause."""
    played = [(program, [sample.inputs for sample in samples]) for program, samples in cases]
    for (program, samples), seen in zip(cases, simulator.observe_all(played), strict=True):
        verdict = verify(program, samples, Recorded(seen))
        assert not verdict.findings, f"{program.name}: {verdict.findings[0]}"
        for observation in seen:
            counters = dict(observation.result.counters or {})
            work = counters.pop(Counter.WORK)
            cycles = counters.pop(Counter.CYCLES)
            assert cycles == sum(counters.values())
            assert work == sum(layer.macs for layer in program.layers)


@pytest.mark.parametrize("simulator", EVERY)
def test_random_graphs_under_stalls(simulator: str) -> None:
    limits = limits_for(TINY, size=4, channels=4, kernel=3)
    cases = [random_case(seed, TINY, limits=limits) for seed in range(SEED, SEED + 6)]
    check(RtlSimulator(TINY, simulator=simulator, source=IN, sink=OUT), cases)


@pytest.mark.sim
@needs("verilator")
@pytest.mark.parametrize("arch", [TINY, WIDE, NARROW, LONG, PRESETS["4x4"]], ids=lambda arch: str(arch.name))
def test_random_graphs_of_every_size(arch: Arch) -> None:
    limits = limits_for(arch, size=9, channels=11, kernel=7)
    cases = [random_case(seed, arch, limits=limits) for seed in range(SEED, SEED + 40)]
    check(RtlSimulator(arch, simulator="verilator", source=IN, sink=OUT), cases)


@pytest.mark.sim
@needs("verilator")
@pytest.mark.parametrize("arch", [TINY.with_(name="tiny-t8", tables=8), WIDE], ids=lambda arch: str(arch.name))
def test_random_networks_with_tables(arch: Arch) -> None:
    limits = replace(limits_for(arch, size=9, channels=11), tables=True)
    cases = [random_case(seed, arch, limits=limits, make=fused_network) for seed in range(SEED, SEED + 20)]
    check(RtlSimulator(arch, simulator="verilator", source=IN, sink=OUT), cases)


def fused_network(seed: int, limits: Limits) -> Graph:
    """Tables at the end of layers and, where others read what is in front of them, alone."""
    return fuse_table(fuse_add(random_network(seed, limits)))


def test_run_and_observe_agree_and_report_progress() -> None:
    program, samples = random_case(SEED, TINY, count=3, make=random_network)
    inputs = [sample.inputs for sample in samples]
    seen: list[tuple[int, int]] = []
    simulator = RtlSimulator(TINY, simulator="amaranth", progress=lambda done, total: seen.append((done, total)))
    assert simulator.simulator == "amaranth"
    assert simulator.note == ""
    results, observed = simulator.run(program, inputs), simulator.observe(program, inputs)
    assert seen[-1] == (3, 3)
    for result, observation in zip(results, observed, strict=True):
        assert result.trace is None
        assert result.counters == observation.result.counters
        for name, tensor in result.outputs.items():
            assert np.array_equal(tensor, observation.result.outputs[name])


def test_a_program_of_another_arch_is_refused() -> None:
    program, _ = random_case(SEED, PRESETS["4x4"], count=1)
    with pytest.raises(ImageError, match="this engine has hash"):
        RtlSimulator(TINY, simulator="amaranth").run(program, [])


def test_a_wrong_program_is_seen() -> None:
    program, samples = random_case(SEED + 5, TINY, count=1, make=random_network)
    wrong = replace(program, segments={space: words[:] for space, words in program.segments.items()})
    space = next(space for space in wrong.segments if space.name == "WEIGHTS")
    wrong.segments[space][0] ^= 0x7F7F
    observed = RtlSimulator(TINY, simulator="amaranth").observe(wrong, [samples[0].inputs])
    assert not verify(program, samples, Recorded(observed)).equal
