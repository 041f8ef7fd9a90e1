# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from systolith.api.build_folder import BuildFolder, fresh_folder
from systolith.compiler.errors import InputFileError
from tests.support.builds import SAMPLES, SmallBuild


def test_contents(small: SmallBuild) -> None:
    build = BuildFolder(small.folder)
    assert build.program().name == build.network().name == build.report()["network"] == "small"
    samples = build.samples()["input"]
    np.testing.assert_array_equal(samples, np.load(small.calibration)["x"])
    assert len(samples) == SAMPLES
    assert "module systolith_engine(" in build.verilog_file.read_text()


@pytest.mark.parametrize("content", ["", "{", "[]", '"text"', "\udcff"])
def test_damaged_report(small: SmallBuild, tmp_path: Path, content: str) -> None:
    build = BuildFolder(small.copy(tmp_path / "build"))
    build.report_file.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(InputFileError, match=r"report\.json: not a report .*compile again"):
        build.report()


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="no such folder; `systolith compile` makes it"):
        BuildFolder(tmp_path / "nowhere").program()


def test_fresh_folder_appears_complete(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    with fresh_folder(path) as build:
        build.report_file.write_text(json.dumps({}))
        assert not path.exists()
    assert [file.name for file in path.iterdir()] == ["report.json"]
    assert path.stat().st_mode & 0o777 == 0o755


def test_fresh_folder_after_an_error_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="in the middle"), fresh_folder(tmp_path / "out") as build:  # noqa: PT012
        build.report_file.write_text("half")
        raise RuntimeError("in the middle")
    assert not list(tmp_path.iterdir())


def test_fresh_folder_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match="file"), fresh_folder(tmp_path / "file" / "out"):
        pass
