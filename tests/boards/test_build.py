# SPDX-License-Identifier: Apache-2.0
import json
from dataclasses import replace
from pathlib import Path

import pytest

from systolith.boards import build as build_module
from systolith.boards.board import Board
from systolith.boards.build import TimingFailure, build, report_path
from systolith.boards.catalogue import find_board
from systolith.boards.flow import FLOWS
from systolith.boards.tools import MissingTool, find_tool
from systolith.spec.arch import PRESETS

SMALL = PRESETS["tiny"].with_(
    residual=False, pool=False, act_lines=64, weight_lines=64, acc_depth=16, param_lines=16, program_words=64
)


def _board() -> Board:
    # at the oscillator's own 12 MHz, which every small engine meets
    return replace(find_board("icebreaker"), pll=None)


def _needs_tools() -> pytest.MarkDecorator:
    try:
        for step in FLOWS[_board().target].steps:
            find_tool(step.tool)
    except MissingTool as error:
        return pytest.mark.skipif(True, reason=str(error))
    return pytest.mark.skipif(False, reason="")


@pytest.mark.synth
@pytest.mark.slow
@_needs_tools()
def test_small_bitstream(tmp_path: Path) -> None:
    """A real build, a second one that does nothing, and the same design as a timing failure."""
    steps: list[str] = []
    report = build(SMALL, _board(), tmp_path, progress=lambda step, *_: steps.append(step))
    assert steps == ["elaboration", "synthesis", "place and route", "bitstream", "done"]
    assert (tmp_path / "icebreaker.bin").stat().st_size > 100_000
    assert report.arch_hash == SMALL.hash
    assert report.meets_timing
    assert 500 < report.use["lut"].used < report.use["lut"].available
    assert json.loads(report_path(tmp_path, _board()).read_text()) == report.to_json()

    steps.clear()
    assert build(SMALL, _board(), tmp_path, progress=lambda step, *_: steps.append(step)) == report
    assert steps == ["elaboration"]

    slow = replace(report, fmax_mhz=1.0)
    report_path(tmp_path, _board()).write_text(json.dumps(slow.to_json()))
    with pytest.raises(TimingFailure, match="1.0 MHz possible, 12 MHz needed; the slowest path is"):
        build(SMALL, _board(), tmp_path)
    assert build(SMALL, _board(), tmp_path, allow_timing_failure=True) == slow


def test_missing_tool_leaves_no_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICEPACK", "/none")
    with pytest.raises(MissingTool, match="icepack"):
        build(SMALL, _board(), tmp_path)
    assert not report_path(tmp_path, _board()).exists()


def test_damaged_report_counts_as_none(tmp_path: Path) -> None:
    path = report_path(tmp_path, _board())
    for text in ("", "{}", "[1]", '{"use": 3}'):
        path.write_text(text)
        assert build_module._finished(path, "key") is None
