# SPDX-License-Identifier: Apache-2.0
"""Wrong input: one clear line, the documented exit code, nothing half-written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from systolith.api.build_folder import BuildFolder
from systolith.api.bundled import DIGITS, network_file
from systolith.cli.exit_codes import ExitCode
from systolith.cli.main import main
from systolith.spec.arch import PRESETS

MODEL = network_file("digits_mlp")


def fails(arguments: list[str], code: ExitCode, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The command must exit with ``code`` after one line on stderr that contains ``message``."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    captured = capsys.readouterr()
    complaints = [line for line in captured.err.splitlines() if line.startswith("systolith: ")]
    assert caught.value.code == code, captured.err
    assert len(complaints) == 1
    assert message in complaints[0]
    assert "Traceback" not in captured.err


def compiles(model: Path, calib: Path, folder: Path, arch: str = "4x4") -> list[str]:
    return ["compile", str(model), "--arch", arch, "--calib", str(calib), "-o", str(folder / "out")]


def tiny_model(node: onnx.NodeProto, shape: list[Any], weight: Any = None) -> bytes:
    """A model of one node on input x."""
    constants = [] if weight is None else [onnx.numpy_helper.from_array(np.asarray(weight, dtype=np.float32), "w")]
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    return bytes(model.SerializeToString())


CONV = helper.make_node("Conv", ["x", "w"], ["y"], name="conv", kernel_shape=[1, 1])

MODELS = {
    "a text file": (b"hello", ExitCode.INPUT, "model.onnx"),
    "a truncated model": (MODEL.read_bytes()[:9000], ExitCode.INPUT, "model.onnx"),
    "an unsupported operator": (
        tiny_model(helper.make_node("Sin", ["x"], ["y"], name="wave"), [1, 4]),
        ExitCode.UNSUPPORTED,
        "'wave' (Sin)",
    ),
    "a dynamic shape": (
        tiny_model(CONV, [1, 1, "height", 8], np.ones((1, 1, 1, 1))),
        ExitCode.UNSUPPORTED,
        "height",
    ),
    "weights that are not numbers": (
        tiny_model(CONV, [1, 1, 8, 8], np.full((1, 1, 1, 1), np.nan)),
        ExitCode.INPUT,
        "'w'",
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_models(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, code, message = MODELS[name]
    model = tmp_path / "model.onnx"
    model.write_bytes(data)
    fails(compiles(model, DIGITS, tmp_path), code, message, capsys)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((4, 1, 9, 9), dtype=np.float32), "expected shape [samples, 1, 8, 8]"),
        (np.full((4, 1, 8, 8), np.nan, dtype=np.float32), "NaN"),
        (np.zeros((0, 1, 8, 8), dtype=np.float32), "at least 1 sample"),
    ],
)
def test_calibration_data(values: Any, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    calib = tmp_path / "calib.npy"
    np.save(calib, values)
    fails(compiles(MODEL, calib, tmp_path), ExitCode.INPUT, message, capsys)
    assert not (tmp_path / "out").exists()


def test_missing_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fails(compiles(tmp_path / "none.onnx", DIGITS, tmp_path), ExitCode.INPUT, "none.onnx", capsys)
    fails(compiles(MODEL, tmp_path / "none.npz", tmp_path), ExitCode.INPUT, "none.npz: no such file", capsys)
    fails(["verify", str(tmp_path / "none")], ExitCode.INPUT, "no such folder", capsys)


def test_a_float_network_needs_calibration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["compile", str(MODEL), "--arch", "4x4", "-o", str(tmp_path / "out")]
    fails(line, ExitCode.INPUT, "give calibration inputs", capsys)


def test_architectures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fails(compiles(MODEL, DIGITS, tmp_path, arch="9x9"), ExitCode.INPUT, "neither a file nor a preset", capsys)
    odd = tmp_path / "odd.json"
    odd.write_text(json.dumps(PRESETS["4x4"].to_json() | {"colour": 1}))
    fails(compiles(MODEL, DIGITS, tmp_path, arch=str(odd)), ExitCode.INPUT, "unknown parameter 'colour'", capsys)


def test_a_network_that_does_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = tmp_path / "small.json"
    small.write_text(json.dumps(PRESETS["4x4"].with_(weight_lines=64).to_json()))
    fails(compiles(MODEL, DIGITS, tmp_path, arch=str(small)), ExitCode.FIT, "weights memory: ", capsys)


def test_a_folder_with_other_files_is_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "out" / "thesis.txt"
    own.parent.mkdir()
    own.write_text("years of work")
    fails(compiles(MODEL, DIGITS, tmp_path), ExitCode.INPUT, "holds other files than a build", capsys)
    assert own.read_text() == "years of work"


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("build")
    main_ok(compiles(MODEL, DIGITS, folder))
    return folder / "out"


def main_ok(arguments: list[str]) -> None:
    try:
        main(arguments)
    except SystemExit as error:
        assert not error.code


@pytest.mark.parametrize("name", ["program.slp", "network.npz", "samples.npz"])
def test_damaged_build_folders(name: str, build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "build"
    copy.mkdir()
    for file in build.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    data = (copy / name).read_bytes()
    (copy / name).write_bytes(data[: len(data) // 2])
    fails(["verify", str(copy), "--simulator", "amaranth"], ExitCode.INPUT, name, capsys)


def test_inputs_of_the_wrong_shape(build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = tmp_path / "x.npy"
    np.save(inputs, np.zeros((1, 5, 5), dtype=np.float32))
    fails(["simulate", str(build), "--input", str(inputs)], ExitCode.INPUT, "expected shape", capsys)


def test_unknown_board(build: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fails(["build", str(build), "--board", "toaster"], ExitCode.INPUT, "boards: icebreaker", capsys)


def test_a_build_folder_holds_what_it_promises(build: Path) -> None:
    folder = BuildFolder(build)
    assert folder.program().name == "digits_mlp"
    assert len(folder.samples()["input"]) >= 16
    assert folder.verilog_file.read_text().startswith("// SPDX")
    assert folder.report()["cycles"] > 0


def test_usage_errors_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["compile"])
    assert caught.value.code == ExitCode.USAGE
    main_ok(["--help"])
    assert "Exit codes" in capsys.readouterr().out
