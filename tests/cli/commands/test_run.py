# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

from systolith.cli.exit_codes import ExitCode
from tests.support.builds import SmallBuild
from tests.support.command import run


def test_port_that_is_not_there(small: SmallBuild, tmp_path: Path) -> None:
    outcome = run("run", small.folder, "--port", tmp_path / "ttyUSB7", "--input", small.calibration)
    assert outcome.code == ExitCode.LINK
    assert "ttyUSB7" in outcome.refusal
    assert outcome.out == ""
