# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from systolith.cli.exit_codes import ExitCode
from tests.support.builds import SmallBuild
from tests.support.command import run

QUICK = ("--method", "mse", "--equalise", "off")


def test_table_and_progress(small: SmallBuild) -> None:
    outcome = run(
        "accuracy", small.model, "--arch", "tiny", "--calib", small.calibration, "--data", small.calibration, *QUICK
    )
    assert outcome.code == 0
    assert outcome.out.startswith("small with the widths of tiny, 16 samples")
    assert "worst " in outcome.out
    assert all(line.startswith("accuracy: ") for line in outcome.err.splitlines())
    assert "accuracy: quantise each layer alone" in outcome.err


def test_figures_and_labels_of_their_own(small: SmallBuild, tmp_path: Path) -> None:
    np.save(tmp_path / "labels.npy", np.arange(16) % 3)
    outcome = run(
        *("accuracy", small.model, "--calib", small.calibration, "--data", small.calibration),
        *("--data-labels", tmp_path / "labels.npy", "--no-layers", "--json", "-", "--weights", "4", *QUICK),
    )
    figures = json.loads(outcome.out)
    assert figures["integer"]["of"] == 16
    assert set(figures["quantisation"]["weight_bits"].values()) == {4}
    assert figures["layers"] == []


def test_refusals(small: SmallBuild, tmp_path: Path) -> None:
    np.savez(tmp_path / "odd.npz", x=np.zeros((4, 2, 4, 4)), y=np.zeros(3, int))
    outcome = run("accuracy", small.model, "--calib", small.calibration, "--data", tmp_path / "odd.npz")
    assert outcome.code == ExitCode.INPUT
    assert "odd.npz, 'y': expected a class number for each of 4 samples, got int64 of shape [3]" in outcome.refusal
    outcome = run("accuracy", small.model, "--data", small.calibration)
    assert outcome.code == ExitCode.INPUT
    assert "give calibration inputs (--calib DATA.npz)" in outcome.refusal
    outcome = run(
        *("accuracy", small.model, "--calib", small.calibration, "--data", small.calibration, "--layer-weights", "x=4"),
    )
    assert outcome.code == ExitCode.UNSUPPORTED
    assert outcome.refusal.startswith("no layer 'x' has weights; accepted: conv0")
    assert run("accuracy", small.model, "--data", small.calibration, "--weights", "5").code == ExitCode.USAGE
