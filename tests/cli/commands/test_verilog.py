# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from systolith.cli.exit_codes import ExitCode
from tests.support.command import run


def test_stdout_and_file_are_the_same(tmp_path: Path) -> None:
    file = tmp_path / "engine.v"
    outcome = run("verilog", "--arch", "tiny")
    assert run("verilog", "--arch", "tiny", "-o", file).out == ""
    assert outcome.out == file.read_text()
    assert "module systolith_engine(" in outcome.out
    assert outcome.err == "verilog: generate\n"


@pytest.mark.parametrize(("target", "there"), [("generic", False), ("ice40", True)])
def test_target(target: str, there: bool) -> None:
    assert ("SB_MAC16" in run("verilog", "--arch", "icebreaker", "--target", target).out) is there


def test_output_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    outcome = run("verilog", "--arch", "tiny", "-o", tmp_path / "file" / "engine.v")
    assert outcome.code == ExitCode.INPUT
    assert str(tmp_path / "file") in outcome.refusal
