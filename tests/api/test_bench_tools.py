# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from systolith.api import bench_tools as module
from systolith.api.bench_tools import Subject, bench_subject, bench_tools, verilog_modules
from systolith.api.bundled import network_file
from systolith.api.errors import Mismatch
from systolith.hdl.emit import emit_verilog
from systolith.spec.arch import PRESETS
from tests.support.builds import SmallBuild


def test_subject_without_a_zoo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SYSTOLITH_ZOO", raising=False)
    assert bench_subject().model == network_file("digits_cnn")
    assert bench_subject().remark.startswith("SYSTOLITH_ZOO is not set: ")
    monkeypatch.setenv("SYSTOLITH_ZOO", str(tmp_path))
    assert "holds no float/resnet8.onnx" in bench_subject().remark


def test_subject_in_a_zoo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("float/resnet8.onnx", "data/cifar10_calib.npz"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    monkeypatch.setenv("SYSTOLITH_ZOO", str(tmp_path))
    assert (bench_subject().name, bench_subject().remark) == ("resnet8", "")


def test_modules_of_an_engine() -> None:
    modules = verilog_modules(emit_verilog(PRESETS["4x4"]))
    cells = {name: count for name, count in modules.items() if "cell" in name}
    assert cells == {"systolith_cell": 4}
    assert modules["systolith_engine"] == 0
    assert all(count > 0 for name, count in modules.items() if name != "systolith_engine")


@pytest.fixture
def small_subject(small: SmallBuild, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = Subject(name="small", model=small.model, calibration=small.calibration)
    monkeypatch.setattr(module, "bench_subject", lambda: subject)


@pytest.mark.usefixtures("small_subject")
def test_every_figure_is_measured() -> None:
    steps: list[tuple[str, int, int]] = []
    figures = bench_tools(arch="tiny", large="tiny", simulator="amaranth", step=lambda *seen: steps.append(seen))
    assert [done for _, done, _ in steps] == list(range(7))
    measured = {figure["name"]: figure for figure in figures["figures"]}
    assert all(figure["value"] >= 0 for figure in measured.values())
    parts = ("compile command", "amaranth build", "RTL run of one input")
    total = measured["ONNX to verified RTL"]
    assert total["value"] == pytest.approx(sum(measured[name]["value"] for name in parts))
    assert [figure["target"] for figure in measured.values() if figure["target"]] == [
        "< 5 s",
        "< 60 s",
        ">= 50 images/s",
        "< 60 s",
    ]
    assert measured["tiny hierarchy"]["value"] == len(figures["modules"])


@pytest.mark.usefixtures("small_subject")
def test_wrong_hardware_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "check", lambda *arguments, **options: {"findings": ["sample 0 differs"]})
    with pytest.raises(Mismatch, match="sample 0 differs"):
        bench_tools(arch="tiny", large="tiny", simulator="amaranth", step=lambda *seen: None)
