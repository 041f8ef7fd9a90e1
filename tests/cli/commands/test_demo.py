# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from systolith.cli.commands import demo
from systolith.cli.exit_codes import ExitCode
from tests.support.command import run
from tests.support.simulators import needs


@pytest.mark.sim
@pytest.mark.slow
@needs("verilator")
def test_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = tmp_path / "demo.json"
    options = ("--arch", "8x8", "--images", "10", "-o", tmp_path / "build", "--json", figures)
    outcome = run("demo", *options)
    assert outcome.code == 0
    for word in ("accuracy", "verified", "cycles", "files", "next"):
        assert any(line.startswith(f"{word} ") for line in outcome.out.splitlines())
    content = json.loads(figures.read_text())
    assert content["accuracy"]["float"] >= 0.98
    assert content["hardware_equals_reference"] is True
    assert json.loads(Path(content["page"]).with_suffix(".json").read_text())["measured"]["equal"] is True

    def wrong(*arguments: object, **options: object) -> Any:
        return content | {"hardware_equals_reference": False}

    monkeypatch.setattr(demo, "run_demo", wrong)
    refused = run("demo", "-o", tmp_path / "build")
    assert refused.code == ExitCode.MISMATCH
    assert "class differs" in refused.refusal
    assert refused.out == ""
