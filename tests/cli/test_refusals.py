# SPDX-License-Identifier: Apache-2.0
"""Wrong input of every kind: one clear line, the documented exit code, and nothing left behind."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from systolith.cli.errors import exit_code_of
from systolith.cli.exit_codes import ExitCode
from systolith.spec.arch import PRESETS
from systolith.spec.image import WrongEngine, load_program
from systolith.testbench.runner.backend import RtlSimulator
from tests.support.builds import SmallBuild
from tests.support.command import Outcome, run
from tests.support.float_models import ModelBuilder


def _compile(
    folder: Path, small: SmallBuild, *, model: Path | None = None, calib: Path | None = None, arch: str | Path = "tiny"
) -> Outcome:
    """Compile into ``folder/out``; whatever the outcome, nothing else may appear in ``folder``."""
    before = sorted(folder.iterdir())
    outcome = run(
        *("compile", model or small.model, "--arch", arch),
        *("--calib", calib or small.calibration, "-o", folder / "out"),
    )
    assert sorted(folder.iterdir()) == before
    assert outcome.out == ""
    return outcome


# ---------------------------------------------------------------------- models


def _text_file(path: Path, good: Path) -> None:
    path.write_text("this is not a network\n")


def _truncated(path: Path, good: Path) -> None:
    path.write_bytes(good.read_bytes()[:-200])


def _empty(path: Path, good: Path) -> None:
    path.write_bytes(b"")


def _unsupported(path: Path, good: Path) -> None:
    net = ModelBuilder([1, 2, 4, 4])
    net.save(path, net.add("Det", net.conv("input", 4, 2, 3, 3), name="curve"))


def _dynamic(path: Path, good: Path) -> None:
    net = ModelBuilder([1, 2, "height", 4])
    net.save(path, net.conv("input", 4, 2, 3, 3))


def _nan_weights(path: Path, good: Path) -> None:
    net = ModelBuilder([1, 2, 4, 4])
    weights = net.constant(np.full((4, 2, 3, 3), np.nan))
    net.save(path, net.add("Conv", "input", weights, name="broken"))


@pytest.mark.parametrize(
    ("make", "code", "words"),
    [
        (_text_file, ExitCode.INPUT, "not an ONNX"),
        (_truncated, ExitCode.INPUT, "bad.onnx"),
        (_empty, ExitCode.INPUT, "bad.onnx"),
        (_unsupported, ExitCode.UNSUPPORTED, "node 'curve' (Det)"),
        (_dynamic, ExitCode.UNSUPPORTED, "height"),
        (_nan_weights, ExitCode.INPUT, "NaN"),
    ],
)
def test_bad_models(
    tmp_path: Path, small: SmallBuild, make: Callable[[Path, Path], None], code: ExitCode, words: str
) -> None:
    model = tmp_path / "bad.onnx"
    make(model, small.model)
    outcome = _compile(tmp_path, small, model=model)
    assert outcome.code == code
    assert words in outcome.refusal
    assert run("inspect", model).code == code


def test_missing_model(tmp_path: Path, small: SmallBuild) -> None:
    outcome = _compile(tmp_path, small, model=tmp_path / "nowhere.onnx")
    assert outcome.code == ExitCode.INPUT
    assert "nowhere.onnx" in outcome.refusal


# ---------------------------------------------------------------------- calibration data


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.zeros((4, 3, 5, 5)), "expected shape"),
        (np.full((4, 2, 4, 4), np.nan), "NaN"),
        (np.zeros((0, 2, 4, 4)), "at least 1 sample"),
        (np.array(["a", "b"]), "expected numbers"),
    ],
)
def test_bad_calibration_data(tmp_path: Path, small: SmallBuild, samples: NDArray[Any], words: str) -> None:
    data = tmp_path / "data.npz"
    np.savez(data, x=samples)
    outcome = _compile(tmp_path, small, calib=data)
    assert outcome.code == ExitCode.INPUT
    assert "data.npz" in outcome.refusal
    assert words in outcome.refusal


def test_missing_and_damaged_calibration_data(tmp_path: Path, small: SmallBuild) -> None:
    data = tmp_path / "data.npz"
    assert "no such file" in _compile(tmp_path, small, calib=data).refusal
    data.write_bytes(small.calibration.read_bytes()[:100])
    outcome = _compile(tmp_path, small, calib=data)
    assert outcome.code == ExitCode.INPUT
    assert "cannot be read" in outcome.refusal


def test_float_network_without_calibration_data(tmp_path: Path, small: SmallBuild) -> None:
    outcome = run("compile", small.model, "--arch", "tiny", "-o", tmp_path / "out")
    assert outcome.code == ExitCode.INPUT
    assert "--calib" in outcome.refusal
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------- architectures


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not JSON"),
        ("[1]", "expected a JSON object, got list"),
        (json.dumps(PRESETS["tiny"].to_json() | {"wings": 2}), "unknown parameter 'wings'"),
        (json.dumps(PRESETS["tiny"].to_json() | {"rows": 3}), "rows must be a power of two"),
        (json.dumps(PRESETS["tiny"].to_json() | {"rows": "2"}), "rows must be of type int"),
        (json.dumps({"name": "x"}), "parameter 'cols' is missing"),
    ],
)
def test_bad_architectures(tmp_path: Path, small: SmallBuild, content: str, words: str) -> None:
    arch = tmp_path / "arch.json"
    arch.write_text(content)
    outcome = _compile(tmp_path, small, arch=arch)
    assert outcome.code == ExitCode.INPUT
    assert words in outcome.refusal
    assert run("verilog", "--arch", arch).code == run("archs", arch).code == ExitCode.INPUT


def test_unknown_architecture(tmp_path: Path, small: SmallBuild) -> None:
    assert "presets: tiny, 4x4" in _compile(tmp_path, small, arch="5x5").refusal


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"act_lines": 16}, "activations do not fit"),
        ({"weight_lines": 16}, "weight"),
        ({"param_lines": 2}, "param"),
        ({"program_words": 64}, "program"),
    ],
)
def test_network_that_does_not_fit(tmp_path: Path, small: SmallBuild, changes: dict[str, int], words: str) -> None:
    arch = tmp_path / "small.json"
    arch.write_text(json.dumps(PRESETS["tiny"].with_(**changes).to_json()))
    outcome = _compile(tmp_path, small, arch=arch)
    assert outcome.code == ExitCode.FIT
    assert words in outcome.refusal


# ---------------------------------------------------------------------- output folders


def test_output_folder_with_other_files(tmp_path: Path, small: SmallBuild) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    outcome = _compile(tmp_path, small)
    assert outcome.code == ExitCode.INPUT
    assert "holds other files" in outcome.refusal
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"


def test_output_that_is_a_file(tmp_path: Path, small: SmallBuild) -> None:
    (tmp_path / "out").write_text("mine")
    assert "is a file" in _compile(tmp_path, small).refusal
    assert (tmp_path / "out").read_text() == "mine"


def test_failed_compilation_keeps_the_earlier_build(tmp_path: Path, small: SmallBuild) -> None:
    out = small.copy(tmp_path / "out")
    program = (out / "program.slp").read_bytes()
    assert _compile(tmp_path, small, calib=tmp_path / "nowhere.npz").code == ExitCode.INPUT
    assert (out / "program.slp").read_bytes() == program


# ---------------------------------------------------------------------- build folders


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-30])


def _flip(file: Path) -> None:
    # the middle may be the date in an archive's header, which harms nobody; no file is that repetitive
    data = bytearray(file.read_bytes())
    for position in range(len(data) // 2, len(data) // 2 + 64):
        data[position] ^= 0x10
    file.write_bytes(data)


def _replace_by_text(file: Path) -> None:
    file.write_text("{")


@pytest.mark.parametrize("damage", [_cut, _flip, _replace_by_text, Path.unlink])
@pytest.mark.parametrize("name", ["program.slp", "network.npz", "samples.npz"])
def test_damaged_build_folders(tmp_path: Path, small: SmallBuild, name: str, damage: Callable[[Path], None]) -> None:
    folder = small.copy(tmp_path / "build")
    damage(folder / name)
    outcome = run("verify", folder, "--simulator", "amaranth", "--samples", "1", "--random", "0")
    assert outcome.code == ExitCode.INPUT
    assert name in outcome.refusal
    assert outcome.out == ""


def test_build_folder_that_is_not_there(tmp_path: Path) -> None:
    for command in (["verify"], ["inspect"], ["simulate", "--input", "x.npy"], ["build", "--board", "icebreaker"]):
        outcome = run(*command, tmp_path / "nowhere")
        assert outcome.code == ExitCode.INPUT
        assert "nowhere" in outcome.refusal


def test_archive_with_a_wrong_checksum(tmp_path: Path, small: SmallBuild) -> None:
    folder = small.copy(tmp_path / "build")
    with zipfile.ZipFile(folder / "network.npz") as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(folder / "network.npz", "w") as archive:
        for name, data in contents.items():
            archive.writestr(name, data[:-8])
    assert run("inspect", folder).code == ExitCode.INPUT


def test_program_for_another_architecture_than_the_engine(small: SmallBuild) -> None:
    program = load_program(small.folder / "program.slp")
    with pytest.raises(WrongEngine, match=r"compiled for arch 'tiny'.*compile it again") as refusal:
        RtlSimulator(PRESETS["tiny"].with_(acc_depth=32), simulator="amaranth").run(program, [])
    assert exit_code_of(refusal.value) == ExitCode.MISMATCH


# ---------------------------------------------------------------------- inputs and tools


@pytest.mark.parametrize(
    ("values", "words"), [(np.zeros((1, 7)), "expected shape"), (np.full((1, 2, 4, 4), np.inf), "infinite")]
)
def test_bad_inputs(tmp_path: Path, small: SmallBuild, values: NDArray[Any], words: str) -> None:
    np.save(tmp_path / "x.npy", values)
    output = tmp_path / "y.npy"
    outcome = run("simulate", small.folder, "--input", tmp_path / "x.npy", "--output", output)
    assert outcome.code == ExitCode.INPUT
    assert words in outcome.refusal
    assert not output.exists()


def _hide(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """A machine on which programs of these names are not on PATH."""
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if Path(name).name in names else which(name))


def test_simulator_that_is_missing(small: SmallBuild, monkeypatch: pytest.MonkeyPatch) -> None:
    _hide(monkeypatch, "iverilog")
    outcome = run("verify", small.folder, "--simulator", "icarus")
    assert outcome.code == ExitCode.TOOL
    assert "apt install iverilog" in outcome.refusal


def test_without_compiler_and_icarus_the_own_simulator_is_used(
    small: SmallBuild, monkeypatch: pytest.MonkeyPatch
) -> None:
    _hide(monkeypatch, "g++", "iverilog")
    outcome = run("verify", small.folder, "--samples", "1", "--random", "0")
    assert outcome.code == ExitCode.OK
    assert "RTL in amaranth" in outcome.out
    assert "verilator needs g++" in outcome.err
    assert "Using amaranth, which is slower" in outcome.err
