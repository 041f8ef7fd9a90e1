# SPDX-License-Identifier: Apache-2.0
"""The package itself is run where the environment variable SYSTOLITH_SCALESIM names a Python that has it, or here."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec

import pytest

from systolith.api import bench_nets_scalesim as module
from systolith.api.bench_nets_scalesim import DenseLayer, compare_dense
from systolith.spec.arch import PRESETS
from systolith.testbench.runner.errors import SimulationError

PYTHON = os.environ.get("SYSTOLITH_SCALESIM")
HERE = find_spec("scalesim") is not None


def layer(array: str, m: int, n: int, k: int) -> DenseLayer:
    return DenseLayer(net="net", layer="dense", arch=PRESETS[array], m=m, n=n, k=k, cycles=100)


def test_a_missing_package_is_told_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    rows, remark = compare_dense([layer("4x4", 1, 8, 8)], None)
    assert rows == []
    assert remark.startswith("scalesim is not installed, so the dense layers are not compared; get it by: pip install")
    assert "--scalesim" in remark


def test_an_interpreter_that_is_none() -> None:
    with pytest.raises(SimulationError, match=r"--scalesim /nowhere/python: cannot be run \(No such file"):
        compare_dense([layer("4x4", 1, 8, 8)], "/nowhere/python")


@pytest.mark.skipif(HERE, reason="this interpreter has scalesim")
def test_an_interpreter_without_the_package() -> None:
    with pytest.raises(
        SimulationError, match=r"scalesim failed in .*: ModuleNotFoundError: .*; get it by: pip install"
    ):
        compare_dense([layer("4x4", 1, 8, 8)], sys.executable)


@pytest.mark.skipif(not PYTHON and not HERE, reason="scalesim is needed (pip install 'systolith[compare]')")
def test_its_cycles_are_those_of_its_folds() -> None:
    """A fold loads R rows and lets M inputs pass R rows and C columns; the last cycle's number is reported."""
    sizes = [("4x4", 1, 8, 16), ("8x8", 5, 16, 8), ("4x4", 3, 9, 4), ("4x4", 1, 8, 16)]
    rows, remark = compare_dense([layer(*size) for size in sizes], PYTHON)
    assert remark == ""
    for row, (array, m, n, k) in zip(rows, sizes, strict=True):
        edge = PRESETS[array].rows
        folds = -(-n // edge) * -(-k // edge)
        assert (row["arch"], row["m"], row["n"], row["k"], row["cycles"]) == (array, m, n, k, 100)
        assert row["scalesim_cycles"] == folds * (m + 3 * edge - 2) - 1
