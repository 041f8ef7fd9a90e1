# SPDX-License-Identifier: Apache-2.0
import shutil
from pathlib import Path

import pytest

from systolith.testbench.runner.build import build, lint
from systolith.testbench.runner.errors import SimulationError, SimulatorMissing
from tests.support.simulators import COMPILED, needs

CLEAN = "module top(input clk, output reg q);\n  always @(posedge clk) q <= ~q;\nendmodule\n"
WAIVED = "/* verilator lint_off LATCH */\n"
BROKEN = "module top(input clk;\nendmodule\n"
LATCH = "module top(input clk, input d, output reg q);\n  always @* if (clk) q = d;\nendmodule\n"


@pytest.mark.parametrize("simulator", COMPILED)
def test_a_broken_design_shows_the_tools_message(simulator: str, tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match=r"failed with exit code \d+:\n(.|\n)*syntax error"):
        build(simulator, "broken", "top", lambda: BROKEN, cache=tmp_path)
    assert not any(tmp_path.glob(f"{simulator}-*"))


def test_a_build_is_reused(tmp_path: Path) -> None:
    if shutil.which("iverilog") is None:
        pytest.skip("icarus needs iverilog (get it by: apt install iverilog)")
    texts = [CLEAN]
    first = build("icarus", "key", "top", texts.pop, cache=tmp_path)
    assert build("icarus", "key", "top", texts.pop, cache=tmp_path) == first
    assert {file.name for file in first.folder.iterdir()} >= {"top.v", "sim.vvp", "build.log"}


def test_icarus_is_missed_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SimulatorMissing, match="Icarus Verilog is not installed; get it by: apt install iverilog"):
        build("icarus", "key", "top", lambda: CLEAN, cache=tmp_path)


@pytest.mark.sim
@needs("verilator")
def test_lint_finds_what_is_not_waived(tmp_path: Path) -> None:
    source = tmp_path / "top.v"
    source.write_text(CLEAN)
    assert lint(source, "top") == ""
    source.write_text(LATCH)
    assert "%Warning-LATCH" in lint(source, "top")
    source.write_text(WAIVED + LATCH)
    assert lint(source, "top") == ""
