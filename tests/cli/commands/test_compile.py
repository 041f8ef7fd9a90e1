# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

from systolith.api.build_folder import BuildFolder
from systolith.spec.arch import PRESETS
from systolith.spec.image import load_program
from tests.support.builds import SmallBuild
from tests.support.command import run

FILES = ["engine.v", "network.npz", "program.slp", "report.json", "report.txt", "samples.npz"]


def test_files_and_report(small: SmallBuild, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    outcome = run("compile", small.model, "--arch", "tiny", "--calib", small.calibration, "-o", out)
    assert outcome.code == 0
    assert sorted(path.name for path in out.iterdir()) == FILES
    assert sorted(path.name for path in out.parent.iterdir()) == ["out"]
    assert outcome.out.startswith("small on tiny")
    assert outcome.out.splitlines()[-1].startswith("written to ")
    assert all(line.startswith("compile: ") for line in outcome.err.splitlines())
    assert (out / "report.txt").read_text().strip() in outcome.out


def test_figures_and_an_architecture_of_ones_own(small: SmallBuild, tmp_path: Path) -> None:
    arch = tmp_path / "own.json"
    arch.write_text(json.dumps(PRESETS["tiny"].to_json() | {"name": "own", "acc_depth": 32}))
    out = tmp_path / "out"
    outcome = run("compile", small.model, "--arch", arch, "--calib", small.calibration, "-o", out, "--json", "-")
    figures = json.loads(outcome.out)
    assert figures == json.loads((out / "report.json").read_text())
    assert figures["arch"]["name"] == "own"
    assert load_program(out / "program.slp").arch.acc_depth == 32


def test_an_earlier_build_is_replaced(small: SmallBuild, tmp_path: Path) -> None:
    folder = small.copy(tmp_path / "out")
    (folder / "stale").write_text("from an earlier version")
    assert run("compile", small.model, "--arch", "tiny", "--calib", small.calibration, "-o", folder).code == 0
    assert sorted(path.name for path in folder.iterdir()) == FILES


def test_method_changes_the_scales(small: SmallBuild, tmp_path: Path) -> None:
    arch = tmp_path / "coarse.json"  # where steps are coarse, cutting a range off pays
    arch.write_text(json.dumps(PRESETS["tiny"].to_json() | {"act_bits": 4}))
    scales = []
    for method in ("min-max", "mse"):
        options = ("--calib", small.calibration, "-o", tmp_path / method, "--method", method)
        assert run("compile", small.model, "--arch", arch, *options).code == 0
        scales.append([tensor.qparams for tensor in BuildFolder(tmp_path / method).network().tensors.values()])
    assert scales[0] != scales[1]
