# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from systolith.cli import console
from systolith.cli.console import steps, write_json

FIGURES = {"a": 1, "b": [0.5, None]}


def test_no_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert write_json(None, FIGURES) is False
    assert capsys.readouterr() == ("", "")


def test_json_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert write_json(tmp_path / "x.json", FIGURES) is False
    assert json.loads((tmp_path / "x.json").read_text()) == FIGURES
    assert capsys.readouterr() == ("", "")


def test_json_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert write_json(Path("-"), FIGURES) is True
    assert json.loads(capsys.readouterr().out) == FIGURES


def test_steps_without_a_terminal_are_lines_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with steps("job") as step:
        step("first", 0, 2)
        step("first", 1, 2)
        step("second", 2, 2)
    assert capsys.readouterr() == ("", "job: first\njob: second\n")


def test_steps_on_a_terminal_are_a_bar_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = StringIO()
    monkeypatch.setattr(console, "_err", Console(file=terminal, force_terminal=True, width=100))
    with steps("job") as step:
        step("only", 1, 2)
    text = terminal.getvalue()
    assert "job: only" in text
    assert "1/2" in text
    assert text.endswith("\x1b[2K")
