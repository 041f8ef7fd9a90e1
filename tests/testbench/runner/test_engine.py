# SPDX-License-Identifier: Apache-2.0
"""The engine on the link bench: commands, resets, lint."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest

from systolith.compiler.runtime import inference_words, load_words, parse_response, response_count
from systolith.spec.arch import PRESETS
from systolith.spec.image import Program
from systolith.spec.link import BAD_COMMAND, Space, ident, read_command, write_command
from systolith.testbench.job import LinkJob
from systolith.testbench.pauses import Pauses
from systolith.testbench.runner.build import lint
from systolith.testbench.runner.engine import engine_design
from systolith.testbench.runner.netlist import netlist_design
from systolith.testbench.runner.session import Session
from systolith.testbench.verify import Sample
from tests.support.programs import limits_for, random_case
from tests.support.random_graphs import random_network
from tests.support.simulators import EVERY, needs

ARCH = PRESETS["tiny"]
DESIGN = engine_design(ARCH)
SEED = 12


@pytest.fixture(scope="module")
def case() -> tuple[Program, Sample]:
    limits = limits_for(ARCH, size=4, channels=4, kernel=3)
    program, samples = random_case(SEED, ARCH, count=1, limits=limits, make=random_network)
    return program, samples[0]


def job(case: tuple[Program, Sample], runs: int = 1, **changes: object) -> LinkJob:
    program, sample = case
    words = load_words(program) + inference_words(program, sample.inputs) * runs
    return LinkJob(arch=ARCH, words=words, quiet_limit=20_000, **changes)  # type: ignore[arg-type]


def check(case: tuple[Program, Sample], answers: array[int]) -> None:
    program, sample = case
    outputs = parse_response(program, answers).outputs
    for name, tensor in sample.expected.items():
        assert outputs[name].tolist() == tensor.tolist()


def test_two_archs_are_two_designs() -> None:
    assert engine_design(ARCH).key == DESIGN.key
    assert engine_design(ARCH.with_(acc_depth=128)).key != DESIGN.key
    assert engine_design(ARCH).arch is ARCH


@pytest.mark.parametrize("simulator", EVERY)
def test_reset_in_mid_run_and_the_program_again(case: tuple[Program, Sample], simulator: str) -> None:
    plain = Session(DESIGN, simulator=simulator).exchange(job(case, runs=2))
    start, done = len(load_words(case[0])), plain.answer_cycles[0]
    # in the load, at the run's beginning, in its midst, and during the answer
    resets = (start // 2, done - 60, done - 20, done + 3)
    log = Session(DESIGN, simulator=simulator).exchange(job(case, runs=2, resets=resets))
    assert log.answers == plain.answers
    check(case, log.answers[: response_count(case[0])])


@pytest.mark.parametrize("simulator", EVERY)
def test_memories_survive_a_reset(case: tuple[Program, Sample], simulator: str) -> None:
    loaded = len(load_words(case[0]))
    log = Session(DESIGN, simulator=simulator).exchange(job(case, resets=(loaded + 100,), replay_from=loaded))
    check(case, log.answers)


@pytest.mark.parametrize("simulator", EVERY)
def test_commands(simulator: str) -> None:
    lines = list(range(0x1234, 0x1234 + 5))
    words = [0xF000_0000, *read_command(Space.IDENT, 0, 2), *write_command(Space.ACTIVATIONS, 9, 5), *lines]
    words += [0, *read_command(Space.ACTIVATIONS, 10, 3)]
    pauses = Pauses(probability=0.5, seed=SEED)
    log = Session(DESIGN, simulator=simulator).exchange(
        LinkJob(arch=ARCH, words=array("I", words), quiet_limit=500, source=pauses, sink=pauses)
    )
    assert list(log.answers) == [BAD_COMMAND, *ident(ARCH), BAD_COMMAND, *lines[1:4]]
    assert log.ends == (0, 2, 3, 6)


@pytest.mark.sim
@needs("verilator")
@pytest.mark.parametrize("name", ["tiny", "4x4", "8x8"])
def test_the_verilog_is_lint_clean(name: str, tmp_path: Path) -> None:
    design = engine_design(PRESETS[name])
    source = tmp_path / f"{design.top}.v"
    source.write_text(design.verilog())
    assert lint(source, design.top) == ""


@pytest.mark.sim
@pytest.mark.synth
@pytest.mark.slow
@needs("verilator")
def test_the_netlist_computes_the_same(case: tuple[Program, Sample]) -> None:
    pytest.importorskip("pyosys", reason="yosys is needed (get it by: pip install 'systolith[synth]')")
    log = Session(netlist_design(DESIGN), simulator="verilator").exchange(job(case))
    check(case, log.answers)
