# SPDX-License-Identifier: Apache-2.0
from array import array
from dataclasses import replace
from pathlib import Path

import pytest

from systolith.spec.arch import PRESETS
from systolith.spec.link import run_command
from systolith.testbench.job import LinkJob, LinkLog
from systolith.testbench.runner.build import Build
from systolith.testbench.runner.errors import EngineHung, SimulationError
from systolith.testbench.runner.launch import check_finished, launch

JOB = LinkJob(arch=PRESETS["tiny"], words=array("I", run_command()))
LOG = LinkLog(answers=array("I"), answer_cycles=array("Q"), ends=(), cycles=9, sent=1)


def test_a_simulator_that_breaks_off_shows_its_last_words(tmp_path: Path) -> None:
    script = tmp_path / "top"
    script.write_text("#!/bin/sh\necho out of paper\nexit 3\n")
    script.chmod(0o755)
    job = tmp_path / "job"
    job.mkdir()
    with pytest.raises(SimulationError, match=r"verilator left no result:\nout of paper"):
        launch(Build("verilator", tmp_path, "top", False), JOB, job)


def test_a_finished_log_is_passed_on() -> None:
    assert check_finished(LOG, JOB, "icarus") is LOG


def test_a_hung_engine_is_an_error() -> None:
    expected = "icarus: the engine was silent for 1000000 cycles after it took 1 of 1 words and gave 0"
    with pytest.raises(EngineHung, match=expected):
        check_finished(replace(LOG, hung=True), JOB, "icarus")
