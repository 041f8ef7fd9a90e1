# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import pytest

from systolith.api.build_folder import BuildFolder
from systolith.api.roofline import write
from systolith.api.roofline.write import report_figures, report_files, write_report
from systolith.compiler.errors import InputFileError
from tests.support.builds import SmallBuild


def test_the_files_hold_the_figures(small: SmallBuild, tmp_path: Path) -> None:
    figures = report_figures(BuildFolder(small.folder), clock=50)
    page, beside = tmp_path / "new" / "page.html", tmp_path / "new" / "page.json"
    write_report(figures, page, beside)
    assert json.loads(beside.read_text()) == figures
    assert "page.json" in page.read_text(encoding="utf-8")
    assert figures["at_clock"]["mhz"] == 50
    assert figures["measured"] is None


def test_names_of_the_files(tmp_path: Path) -> None:
    build = BuildFolder(tmp_path)
    assert report_files(build, None) == (tmp_path / "roofline.html", tmp_path / "roofline.json")
    assert report_files(build, Path("a/b.htm")) == (Path("a/b.htm"), Path("a/b.json"))
    assert report_files(build, Path("report.html"))[1] == Path("report.json")


@pytest.mark.parametrize(
    ("name", "message"),
    [("report.html", "is the build's own report"), ("x.json", "another suffix"), ("x", "another suffix")],
)
def test_names_that_would_do_harm_are_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(InputFileError, match=message):
        report_files(BuildFolder(tmp_path), tmp_path / name)


@pytest.mark.parametrize("wrong", [0, 1])
def test_measured_counters_are_held_to_the_model(
    small: SmallBuild, monkeypatch: pytest.MonkeyPatch, wrong: int
) -> None:
    counters = report_figures(BuildFolder(small.folder))["counters"]
    counters["drain"] += wrong
    monkeypatch.setattr(write, "measure", lambda *_: {"counters": counters})
    measured = report_figures(BuildFolder(small.folder), rtl=True)["measured"]
    assert measured["equal"] is (wrong == 0)
    assert len(measured["differences"]) == wrong
