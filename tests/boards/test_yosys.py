# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pyosys")

COMMAND = [sys.executable, "-m", "systolith.boards.yosys", "-q", "-l", "log"]


def _run(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    (folder / "s.ys").write_text(script)
    return subprocess.run([*COMMAND, "s.ys"], cwd=folder, capture_output=True, text=True, check=False)


def test_runs_a_script(tmp_path: Path) -> None:
    assert _run(tmp_path, "design -reset\nwrite_rtlil out.il\n").returncode == 0
    assert (tmp_path / "out.il").is_file()
    assert (tmp_path / "log").is_file()


def test_error_ends_the_process(tmp_path: Path) -> None:
    reply = _run(tmp_path, "read_rtlil none.il\n")
    assert reply.returncode != 0
    assert "none.il" in reply.stdout + reply.stderr + (tmp_path / "log").read_text()
