# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from systolith.api.build_folder import BuildFolder
from systolith.cli.exit_codes import ExitCode
from systolith.spec.arch import PRESETS
from systolith.spec.image import load_program
from tests.support.builds import SmallBuild
from tests.support.command import run
from tests.support.qdq_models import QdqModel

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
    arch.write_text(json.dumps(PRESETS["tiny"].to_json() | {"act_bits": 4, "dynamic_weights": False}))
    scales = []
    for method in ("min-max", "mse"):
        options = ("--calib", small.calibration, "-o", tmp_path / method, "--method", method)
        assert run("compile", small.model, "--arch", arch, *options).code == 0
        scales.append([tensor.qparams for tensor in BuildFolder(tmp_path / method).network().tensors.values()])
    assert scales[0] != scales[1]


@pytest.mark.parametrize(("layer", "bits"), [("conv0", 8), ("conv0", 2), ("gemm4", 8)])
def test_a_layer_with_bits_of_its_own_keeps_them_in_the_search(
    layer: str, bits: int, small: SmallBuild, tmp_path: Path
) -> None:
    outcome = run(
        *("compile", small.model, "--arch", "tiny", "--calib", small.calibration, "-o", tmp_path / "out"),
        *("--json", "-", "--method", "mse", "--weights", "auto:4,8", "--max-drop", "100"),
        *("--layer-weights", f"{layer}={bits}"),
    )
    found = json.loads(outcome.out)["quantisation"]["weight_bits"]
    assert found == {"conv0": 4, "gemm4": 4} | {layer: bits}
    nodes = BuildFolder(tmp_path / "out").network().nodes
    assert [node.attributes.get("weight_bits", 8) for node in nodes if node.name == layer] == [bits]


@pytest.mark.parametrize("options", [["--weights", "4"], ["--weights", "auto:4,8"], ["--layer-weights", "conv4=4"]])
def test_a_network_that_came_quantised_keeps_its_weights(options: list[str], tmp_path: Path) -> None:
    m = QdqModel(1)
    onnx.save(m.model(m.real(m.conv(m.start(1, 2, 4, 4), 2, 3))), tmp_path / "net.onnx")
    given = ("compile", tmp_path / "net.onnx", "--arch", "tiny", "-o", tmp_path / "out")
    outcome = run(*given, *options)
    assert outcome.code == ExitCode.UNSUPPORTED
    assert outcome.refusal.startswith("network 'net' came quantised and keeps its own weights; accepted: --weights and")
    assert not (tmp_path / "out").exists()
    assert run(*given).code == 0
