# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from systolith.cli.exit_codes import ExitCode
from tests.support.command import run
from tests.support.float_models import ModelBuilder


@pytest.fixture
def dynamic(tmp_path: Path) -> Path:
    net = ModelBuilder(["N", 2, "height", "width"])
    return net.save(tmp_path / "dynamic.onnx", net.conv("input", 4, 2, 3, 3))


def test_a_dynamic_shape_is_refused_with_the_option_that_helps(dynamic: Path) -> None:
    outcome = run("inspect", dynamic)
    assert outcome.code == ExitCode.UNSUPPORTED
    assert "--fix-shape input=1x2xHxW" in outcome.err


def test_a_dynamic_shape_is_fixed(dynamic: Path) -> None:
    outcome = run("inspect", dynamic, "--fix-shape", "input=1x2x8x9", "--batch", "1")
    assert outcome.code == 0
    assert "1x2x8x9" in outcome.out


@pytest.mark.parametrize("batch", ["N", 4])
def test_any_batch_becomes_one(batch: str | int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    net = ModelBuilder([batch, 2, 8, 9])
    rows = 4 if batch == 4 else 0
    flat = net.add("Reshape", net.conv("input", 3, 2, 3, 3), net.constant([rows, -1], np.int64))
    path = net.save(tmp_path / "net.onnx", net.add("Gemm", flat, net.weights(126, 4)))
    with caplog.at_level(logging.WARNING):
        outcome = run("inspect", path, "--batch", "1")
    assert (outcome.code, "1x2x8x9" in outcome.out, "4x" in outcome.out) == (0, True, False)
    assert f"batch {batch} fixed to 1" in caplog.text


def test_a_fixed_shape_may_name_a_batch(dynamic: Path) -> None:
    outcome = run("inspect", dynamic, "--fix-shape", "input=4x2x8x9")
    assert (outcome.code, "1x2x8x9" in outcome.out) == (0, True)


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--fix-shape", "input=1xH", "is no shape; accepted: NAME=1x3x32x32"),
        ("--batch", "4", "4; accepted: 1, as the engine computes one sample a run"),
    ],
)
@pytest.mark.parametrize("command", ["inspect", "compile"])
def test_wrong_values(command: str, option: str, value: str, words: str, dynamic: Path, tmp_path: Path) -> None:
    more = ["--arch", "tiny", "-o", str(tmp_path / "out")] if command == "compile" else []
    outcome = run(command, dynamic, *more, option, value)
    assert outcome.code == ExitCode.USAGE
    assert words in " ".join(outcome.err.replace("│", " ").split())
