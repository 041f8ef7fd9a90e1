# SPDX-License-Identifier: Apache-2.0
"""The whole bench on a small memory with the engine's ports, in every simulator."""

from __future__ import annotations

import random
from array import array
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from systolith.spec.arch import PRESETS
from systolith.spec.link import DONE, Space, read_command, run_command, write_command
from systolith.testbench import tools
from systolith.testbench.job import LinkJob
from systolith.testbench.pauses import Pauses
from systolith.testbench.runner import session
from systolith.testbench.runner.errors import EngineHung, SimulatorMissing
from systolith.testbench.runner.session import Session
from tests.support.link_memory import link_memory_design
from tests.support.simulators import EVERY

ARCH = PRESETS["tiny"]
DESIGN = link_memory_design(ARCH)
SEED = 11
SIMULATORS = pytest.mark.parametrize("simulator", EVERY)


def data(count: int) -> list[int]:
    generator = random.Random(SEED)
    return [generator.getrandbits(32) & ~0xFF for _ in range(count)]


def words(count: int = 12, runs: int = 2) -> array[int]:
    """Load, then run and read back, again and again."""
    once = [*run_command(), *read_command(Space.ACTIVATIONS, 0, count)]
    return array("I", [*write_command(Space.ACTIVATIONS, 0, count), *data(count), *once * runs])


def expected(count: int = 12, runs: int = 2) -> list[int]:
    answers = []
    for run in range(1, runs + 1):
        answers += [DONE, *(value + run * (line < 4) for line, value in enumerate(data(count)))]
    return answers


def job(**changes: object) -> LinkJob:
    return replace(LinkJob(arch=ARCH, words=words(), quiet_limit=500), **changes)  # type: ignore[arg-type]


@SIMULATORS
def test_words_go_in_and_come_out_and_stores_are_seen(simulator: str) -> None:
    seen: list[int] = []
    log = Session(DESIGN, simulator=simulator).exchange(job(record_stores=True), seen.append)
    assert list(log.answers) == expected()
    assert log.ends == (0, 12, 13, 25)
    assert log.sent == len(words())
    assert seen[-1] == len(log.ends)
    assert log.stores is not None
    assert log.stores.addresses.tolist() == [0, 2, 4, 6] * 2
    second = [(value >> 8 & 0xFF ^ 0x80) - 0x80 for value in data(4)]
    assert log.stores.data.tolist() == [[run, element] for run in (1, 2) for element in second]
    done = [log.answer_cycles[0], log.answer_cycles[13]]
    assert log.stores.cycles.tolist() == [end - 4 + index for end in done for index in range(4)]


@SIMULATORS
def test_pauses_change_the_cycles_and_nothing_else(simulator: str) -> None:
    pauses = {"source": Pauses(probability=0.4, seed=SEED), "sink": Pauses(probability=0.4, seed=SEED + 1)}
    log = Session(DESIGN, simulator=simulator).exchange(job(record_stores=True, **pauses))
    assert list(log.answers) == expected()
    assert log.ends == (0, 12, 13, 25)
    assert log.answer_cycles[-1] > sum(len(part) for part in (words(), expected())) + 20
    # Amaranth's simulator is always there: every other one must agree with it to the cycle
    judge = Session(DESIGN, simulator="amaranth").exchange(job(record_stores=True, **pauses))
    assert log.answer_cycles == judge.answer_cycles
    assert log.stores is not None
    assert judge.stores is not None
    assert np.array_equal(log.stores.cycles, judge.stores.cycles)


@SIMULATORS
def test_reset_in_mid_run(simulator: str) -> None:
    # the first reset falls into the load, the second into the first run, the third into its answer
    log = Session(DESIGN, simulator=simulator).exchange(job(resets=(7, 18, 25)))
    assert list(log.answers) == expected()
    assert log.sent == len(words())


@SIMULATORS
def test_memories_survive_a_reset(simulator: str) -> None:
    loaded = len(write_command(Space.ACTIVATIONS, 0, 12)) + 12
    interrupted = Session(DESIGN, simulator=simulator).exchange(job(resets=(30,), replay_from=loaded))
    # the 30 cycles hold the first run, whose additions stay, and a part of its answer
    again = [value + (1 <= index % 13 <= 4) for index, value in enumerate(expected())]
    assert list(interrupted.answers) == again


@SIMULATORS
def test_a_silent_engine_is_given_up(simulator: str) -> None:
    # a header that is no command should be answered, but the memory waits for its count
    with pytest.raises(
        EngineHung, match=rf"{simulator}: the engine was silent for 500 cycles after it took 1 of 1 words"
    ):
        Session(DESIGN, simulator=simulator).exchange(job(words=array("I", [0xF000_0000])))


@SIMULATORS
def test_waves_are_written(simulator: str, tmp_path: Path) -> None:
    chosen = Session(DESIGN, simulator=simulator, waves=tmp_path / "run")
    assert chosen.waves is not None
    chosen.exchange(job())
    assert chosen.waves.stat().st_size > 1000
    assert (b"$var" in chosen.waves.read_bytes()) == (chosen.waves.suffix == ".vcd")


def test_unknown_simulators_are_refused() -> None:
    with pytest.raises(ValueError, match="simulator must be one of verilator, icarus, amaranth, got 'spice'"):
        Session(DESIGN, simulator="spice")


def test_a_missing_simulator_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "find_tools", lambda: (tools.Tool(name="iverilog", purpose="", get="apt"),))
    with pytest.raises(
        SimulatorMissing, match=r"simulator icarus cannot run here, it needs iverilog \(get it by: apt\)"
    ):
        Session(DESIGN, simulator="icarus")


def test_the_fallback_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    found = tuple(replace(tool, version="" if tool.name != "amaranth" else "1") for tool in tools.find_tools())
    monkeypatch.setattr(session, "find_tools", lambda: found)
    chosen = Session(DESIGN)
    assert chosen.simulator == "amaranth"
    assert "verilator needs" in chosen.note


def test_a_netlist_does_not_run_in_amaranth() -> None:
    with pytest.raises(SimulatorMissing, match="a netlist runs in verilator or icarus only"):
        Session(replace(DESIGN, component=None), simulator="amaranth").exchange(job())
