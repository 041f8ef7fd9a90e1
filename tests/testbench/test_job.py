# SPDX-License-Identifier: Apache-2.0
from array import array
from pathlib import Path

import numpy as np
import pytest

from systolith.spec.arch import PRESETS
from systolith.spec.link import Space, read_command, run_command, write_command
from systolith.testbench.job import LinkJob, LinkLog, StoreLog, count_answers, read_job, read_log
from systolith.testbench.pauses import Pauses
from systolith.testbench.tallies import TallyLog

ARCH = PRESETS["16x16"]
"""A line of its activation memory is 4 words, of its weight memory 8."""


def stores() -> StoreLog:
    return StoreLog(np.array([5, 6, 9]), np.array([16, 0, 32]), np.array([[1, -1], [2, -2], [3, -3]]))


def test_answers_of_commands() -> None:
    words = [*write_command(Space.WEIGHTS, 0, 2), *[0] * 16, *run_command()]
    assert count_answers(words, ARCH) == 1
    assert count_answers([*words, *read_command(Space.ACTIVATIONS, 7, 3)], ARCH) == 13


def test_a_bad_header_is_answered_by_one_word() -> None:
    assert count_answers([0xF000_0000, 0x1F00_0000, *run_command()], ARCH) == 3


def test_a_job_survives_its_files(tmp_path: Path) -> None:
    job = LinkJob(
        arch=ARCH,
        words=array("I", [1, 0xFFFF_FFFF]),
        source=Pauses(probability=0.5, seed=3),
        record_stores=True,
        record_tallies=True,
        resets=(7, 9),
        replay_from=1,
    )
    job.save(tmp_path)
    assert read_job(tmp_path) == job


def test_a_log_survives_its_files(tmp_path: Path) -> None:
    log = LinkLog(
        answers=array("I", [3, 4]),
        answer_cycles=array("Q", [8, 9]),
        ends=(1,),
        cycles=10,
        sent=2,
        stores=stores(),
        tallies=TallyLog.from_raw([7], [True]),
    )
    log.save(tmp_path)
    back = read_log(tmp_path)
    assert (back.answers, back.answer_cycles, back.ends, back.cycles, back.sent, back.hung) == (
        log.answers,
        log.answer_cycles,
        (1,),
        10,
        2,
        False,
    )
    assert back.stores is not None
    assert np.array_equal(back.stores.data, stores().data)
    assert back.tallies is not None
    assert back.tallies.runs() == [()]
    assert back.tallies.counts[0, 0] == 7


def test_a_missing_log_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_log(tmp_path)


def test_stores_from_raw_bits_are_signed() -> None:
    arch = PRESETS["tiny"].with_(cols=4, lane_cycles=2, act_bits=4, dynamic_weights=False)
    log = StoreLog.from_raw([3], [8], [0x807F], arch)
    assert log.data.tolist() == [[-1, 7, 0, -8]]


def test_no_stores_keep_their_shape() -> None:
    assert StoreLog.from_raw([], [], [], ARCH).data.shape == (0, 16)


def test_stores_between_two_cycles() -> None:
    assert stores().between(6, 9).addresses.tolist() == [0]
    assert stores()[1:].cycles.tolist() == [6, 9]
