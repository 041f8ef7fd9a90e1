# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import pytest

from systolith.api.build_folder import BuildFolder
from systolith.api.roofline import write
from systolith.api.roofline.measure import measure
from systolith.cli.exit_codes import ExitCode
from systolith.spec.arch import PRESETS
from tests.support.builds import SmallBuild
from tests.support.command import run

SIMULATOR = ("--simulator", "amaranth")


def test_page_and_figures_lie_in_the_build_folder(small: SmallBuild, tmp_path: Path) -> None:
    folder = small.copy(tmp_path / "build")
    compiled = BuildFolder(folder).report()
    outcome = run("report", folder)
    assert outcome.code == 0
    figures = json.loads((folder / "roofline.json").read_text())
    assert figures["cycles"] == compiled["cycles"]
    assert figures["at_clock"]["mhz"] == 100
    assert (folder / "roofline.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert BuildFolder(folder).report() == compiled
    for word in ("layers", "time line", "roofline", "activation memory over time", "written to"):
        assert any(line.startswith(word) for line in outcome.out.splitlines()), word
    assert run("verify", folder, "--samples", "1", "--random", "0", *SIMULATOR).code == 0


def test_measured(small: SmallBuild, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    outcome = run("report", small.folder, "-o", page, "--clock", "36", "--measure", *SIMULATOR)
    assert outcome.code == 0
    figures = json.loads((tmp_path / "report.json").read_text())
    assert figures["measured"]["counters"] == figures["counters"]
    assert figures["at_clock"]["mhz"] == 36
    assert "every counter of the hardware equals the cycle model" in page.read_text(encoding="utf-8")


def test_other_engines_stand_beside_the_build_s(small: SmallBuild, tmp_path: Path) -> None:
    tight = tmp_path / "tight.json"
    tight.write_text(json.dumps(PRESETS["tiny"].with_(name="tight", weight_lines=4).to_json()))
    page = tmp_path / "x.html"
    outcome = run("report", small.folder, "-o", page, "--compare", "4x4", "--compare", tight)
    assert outcome.code == 0
    first, second, third = json.loads((tmp_path / "x.json").read_text())["comparison"]
    assert [row["arch"] for row in (first, second, third)] == ["tiny", "4x4", "tight"]
    assert first["cycles"] == pytest.approx(second["cycles"] * second["speed"])
    assert third["refused"] in page.read_text(encoding="utf-8").replace("&#39;", "'")
    assert "tight: weights memory:" in outcome.out
    wrong = run("report", small.folder, "--compare", "9x9")
    assert wrong.code == ExitCode.INPUT
    assert "'9x9' is neither a file nor a preset" in wrong.refusal


def test_counters_that_differ(small: SmallBuild, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report is written all the same: it shows where."""

    def wrong(*arguments: object) -> dict[str, object]:
        measured = measure(BuildFolder(small.folder), "amaranth")
        return measured | {"counters": measured["counters"] | {"drain": 1}}

    monkeypatch.setattr(write, "measure", wrong)
    outcome = run("report", small.folder, "-o", tmp_path / "x.html", "--measure")
    assert outcome.code == ExitCode.MISMATCH
    assert "counter drain is 1, the cycle model says" in outcome.refusal
    assert "counters differ" in (tmp_path / "x.html").read_text(encoding="utf-8")


def test_figures_alone_on_stdout(small: SmallBuild, tmp_path: Path) -> None:
    outcome = run("report", small.folder, "-o", tmp_path / "x.html", "--json", "-")
    assert json.loads(outcome.out) == json.loads((tmp_path / "x.json").read_text())


def test_not_a_build_folder(small: SmallBuild, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder, words in (
        (tmp_path / "none", "no such folder"),
        (tmp_path / "empty", "program.slp: cannot be read"),
        (small.model, "no such folder"),
    ):
        outcome = run("report", folder, "-o", tmp_path / "x.html")
        assert outcome.code == ExitCode.INPUT
        assert words in outcome.refusal
    assert not (tmp_path / "x.html").exists()


def test_the_build_s_own_report_is_not_overwritten(small: SmallBuild) -> None:
    outcome = run("report", small.folder, "-o", small.folder / "report.html")
    assert outcome.code == ExitCode.INPUT
    assert "is the build's own report" in outcome.refusal


@pytest.mark.parametrize("clock", ["0", "-5", "fast"])
def test_a_clock_is_positive(small: SmallBuild, clock: str) -> None:
    assert run("report", small.folder, "--clock", clock).code == ExitCode.USAGE
