# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import onnx

from systolith.cli.exit_codes import ExitCode
from tests.support.builds import SmallBuild
from tests.support.command import run
from tests.support.faulty_models import FAULTY_FLOAT, faulty_float
from tests.support.float_models import ModelBuilder


def test_a_good_network(small: SmallBuild) -> None:
    outcome = run("check", small.model, "--arch", "tiny")
    assert outcome.code == 0
    assert f"{small.model} compiles for arch tiny" in outcome.out
    assert "of these on the engine 100.0%" in outcome.out
    assert all(line.startswith("check: ") for line in outcome.err.splitlines())


def test_all_problems_with_the_way_out(tmp_path: Path) -> None:
    onnx.save(faulty_float(), tmp_path / "net.onnx")
    outcome = run("check", tmp_path / "net.onnx")
    assert outcome.code == ExitCode.UNSUPPORTED
    for number, (node, problem) in enumerate(FAULTY_FLOAT.items(), 1):
        assert f"{number}. node '{node}' (" in outcome.out
        assert problem in outcome.out
    assert "   accepted: as in 1\n" in outcome.out
    assert "   way out: cut the network before it" in outcome.out
    assert "does not compile: 4 problems for arch 8x8" in outcome.out


def test_figures(tmp_path: Path) -> None:
    onnx.save(faulty_float(), tmp_path / "net.onnx")
    outcome = run("check", tmp_path / "net.onnx", "--json", "-")
    figures = json.loads(outcome.out)
    assert [problem["node"] for problem in figures["problems"]] == list(FAULTY_FLOAT)
    assert figures["compiles"] is False


def test_what_does_not_fit_has_its_own_exit_code(tmp_path: Path) -> None:
    net = ModelBuilder((1, 64, 64, 64))
    path = net.save(tmp_path / "net.onnx", net.conv("input", 4, 64, 1, 1))
    outcome = run("check", path, "--arch", "tiny")
    assert outcome.code == ExitCode.FIT
    assert "1. activations do not fit" in outcome.out


def test_a_missing_file(tmp_path: Path) -> None:
    outcome = run("check", tmp_path / "net.onnx")
    assert outcome.code == ExitCode.INPUT
    assert "no such file" in outcome.refusal
