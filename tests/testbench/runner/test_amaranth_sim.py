# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from array import array
from pathlib import Path

from systolith.spec.arch import PRESETS
from systolith.spec.link import DONE, Space, read_command, run_command, write_command
from systolith.testbench.job import LinkJob
from systolith.testbench.pauses import Pauses
from systolith.testbench.runner.amaranth_sim import simulate
from tests.support.link_memory import LinkMemory

ARCH = PRESETS["tiny"]
LOAD = [*write_command(Space.ACTIVATIONS, 0, 6), *range(100, 106)]
WORDS = array("I", [*LOAD, *run_command(), *read_command(Space.ACTIVATIONS, 0, 6)])
ANSWERS = [DONE, 101, 102, 103, 104, 104, 105]


def test_a_job_without_pauses_takes_a_cycle_a_word() -> None:
    log = simulate(LinkMemory(ARCH), LinkJob(arch=ARCH, words=WORDS))
    assert list(log.answers) == ANSWERS
    # reset, load, RUN, four lines, DONE, READ and its count, six answers
    assert log.cycles == 4 + len(LOAD) + 1 + 4 + 1 + 2 + 6
    assert (log.ends, log.sent, log.hung, log.stores) == ((0, 6), len(WORDS), False, None)


def test_pauses_before_every_word() -> None:
    every = Pauses(probability=1.0, longest=1)
    log = simulate(LinkMemory(ARCH), LinkJob(arch=ARCH, words=WORDS, source=every, sink=every))
    assert list(log.answers) == ANSWERS
    # the answers of the READ come every other cycle: each is held for one
    steps = [after - before for before, after in zip(log.answer_cycles[1:], log.answer_cycles[2:], strict=False)]
    assert steps == [2] * 5


def test_silence_ends_the_job() -> None:
    log = simulate(LinkMemory(ARCH), LinkJob(arch=ARCH, words=array("I", [0xF000_0000]), quiet_limit=30))
    assert log.hung
    assert log.sent == 1
    assert log.cycles < 50


def test_a_flaw_is_seen_in_stores_and_answers() -> None:
    log = simulate(LinkMemory(ARCH, flaw=2), LinkJob(arch=ARCH, words=WORDS, record_stores=True))
    assert list(log.answers) == [DONE, 101, 102, 104, 104, 104, 105]
    assert log.stores is not None
    assert log.stores.data.tolist() == [[101, 0], [102, 0], [104, 0], [104, 0]]


def test_waves_and_progress(tmp_path: Path) -> None:
    seen: list[int] = []
    waves = tmp_path / "run.vcd"
    simulate(LinkMemory(ARCH), LinkJob(arch=ARCH, words=WORDS), waves=waves, report=seen.append)
    assert seen == [1, 2]
    assert "host_in__payload" in waves.read_text()
