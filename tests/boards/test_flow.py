# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from systolith.boards.flow import FLOWS, Flow, FlowError, Step, run_flow
from systolith.boards.icebreaker import IcebreakerPlatform
from systolith.boards.tools import MissingTool
from systolith.boards.ulx3s import Ulx3s85Platform
from systolith.hdl.target import Target


def _script(folder: Path, name: str, body: str) -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def _flow(*tools: str) -> Flow:
    steps = tuple(Step(title=f"step {tool}", tool=tool, arguments=lambda platform: [platform]) for tool in tools)
    return Flow(steps=steps, bitstream="x", synth_opts="", cells={})


def test_arguments_name_the_device() -> None:
    route = {target: next(step for step in flow.steps if "nextpnr" in step.tool) for target, flow in FLOWS.items()}
    ecp5 = route[Target.ECP5].arguments(Ulx3s85Platform())
    assert {"--85k", "CABGA381", "6"} <= set(ecp5)
    ice40 = route[Target.ICE40].arguments(IcebreakerPlatform())
    assert {"--up5k", "sg48"} <= set(ice40)


def test_yosys_is_kept_from_the_engines_multipliers() -> None:
    assert "-dsp" not in FLOWS[Target.ICE40].synth_opts


def test_wires_take_longer_on_an_ice40_than_yosys_believes() -> None:
    for target, flow in FLOWS.items():
        assert flow.before_synthesis.startswith("scratchpad -set synth_ice40.abc9.W") == (target is Target.ICE40)


def test_steps_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOSYS", _script(tmp_path, "a", 'echo "a $1" >> log'))
    monkeypatch.setenv("ICEPACK", _script(tmp_path, "b", 'echo "b $1" >> log'))
    seen: list[tuple[str, int, int]] = []
    work = tmp_path / "work"
    work.mkdir()
    seconds = run_flow(_flow("yosys", "icepack"), "chip", work, lambda *event: seen.append(event))
    assert (work / "log").read_text() == "a chip\nb chip\n"
    assert seen == [("step yosys", 0, 2), ("step icepack", 1, 2), ("done", 2, 2)]
    assert list(seconds) == ["step yosys", "step icepack"]


def test_missing_tool_stops_before_the_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOSYS", _script(tmp_path, "a", "touch ran"))
    monkeypatch.setenv("ICEPACK", "/none")
    with pytest.raises(MissingTool):
        run_flow(_flow("yosys", "icepack"), "chip", tmp_path, lambda *_: None)
    assert not (tmp_path / "ran").exists()


def test_failure_shows_the_end_of_the_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOSYS", _script(tmp_path, "a", "echo too large >&2; exit 3"))
    with pytest.raises(FlowError, match=r"step yosys failed \(a, exit code 3\):\ntoo large"):
        run_flow(_flow("yosys"), "chip", tmp_path, lambda *_: None)
