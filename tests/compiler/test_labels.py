# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from systolith.compiler.errors import CalibrationError
from systolith.compiler.ir import Graph
from systolith.compiler.labels import calibration_classes, load_labelled, load_labels
from tests.support.float_models import ModelBuilder, read

X = np.arange(12, dtype=np.float32).reshape(4, 3)
Y = np.array([0, 1, 2, 1])


def network() -> Graph:
    builder = ModelBuilder((1, 3))
    return read(builder, builder.add("Relu", "input"))


def saved(path: Path, **arrays: Any) -> Path:
    np.savez(path / "data.npz", **arrays)
    return path / "data.npz"


@pytest.mark.parametrize(
    "arrays",
    [
        {"x": X, "y": Y},
        {"x": X, "labels": Y},
        {"x_calib": X[:2], "x_test": X, "y_test": Y},
        {"input": X, "y": Y[:, None]},
    ],
)
def test_samples_and_labels_in_one_file(arrays: dict[str, Any], tmp_path: Path) -> None:
    found = load_labelled(saved(tmp_path, **arrays), network())
    np.testing.assert_array_equal(found.samples["input"], X)
    assert found.labels is not None
    assert (found.labels.tolist(), found.labels.dtype.name, len(found)) == (Y.tolist(), "int64", 4)


def test_samples_alone(tmp_path: Path) -> None:
    assert load_labelled(saved(tmp_path, x=X), network()).labels is None


def test_labels_in_a_file_of_their_own(tmp_path: Path) -> None:
    np.save(tmp_path / "y.npy", Y)
    found = load_labelled(saved(tmp_path, x=X, y=np.zeros(7)), network(), tmp_path / "y.npy")
    assert found.labels is not None
    assert found.labels.tolist() == Y.tolist()
    assert load_labels(saved(tmp_path, a=X, y=Y), network(), 4).tolist() == Y.tolist()


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"x": X, "y": Y}, True),
        ({"x_calib": X, "y_calib": Y, "y_test": Y[:2]}, True),
        ({"x_calib": X, "y": Y[:2]}, False),
    ],
)
def test_labels_beside_calibration_samples(arrays: dict[str, Any], expected: bool, tmp_path: Path) -> None:
    found = calibration_classes(saved(tmp_path, **arrays), network(), 4)
    assert (found is not None) is expected


@pytest.mark.parametrize(
    ("labels", "got"),
    [
        (np.zeros(4), r"got float64 of shape \[4\]"),
        (np.zeros(5, int), r"got int64 of shape \[5\]"),
        (np.zeros((4, 10), int), r"got int64 of shape \[4, 10\]"),
        (np.array(1), r"got int64 of shape \[\]"),
    ],
)
def test_refuses_what_is_not_a_class_a_sample(labels: Any, got: str, tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=f"data.npz, 'y': expected a class number for each of 4 samples, {got}"):
        load_labelled(saved(tmp_path, x=X, y=labels), network())


@pytest.mark.parametrize("labels", [[1, 2, 3, 1], [0, -1, 2, 1]])
def test_refuses_classes_that_the_network_has_not(labels: list[int], tmp_path: Path) -> None:
    classes = rf"{min(labels)}\.\.{max(labels)}; accepted: 0\.\.2, one for each of the outputs"
    with pytest.raises(CalibrationError, match=f"data.npz, 'y': classes {classes}"):
        load_labelled(saved(tmp_path, x=X, y=np.array(labels)), network())


def test_refuses_files_without_labels(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"data.npz: no labels; expected an array 'y', 'labels' or a single one"):
        load_labels(saved(tmp_path, a=X, b=X), network(), 4)
    with pytest.raises(CalibrationError, match=r"data.npz: no labels; .*, got \[\]"):
        load_labels(saved(tmp_path), network(), 4)
    with pytest.raises(CalibrationError, match="missing.npz: cannot be read"):
        load_labels(tmp_path / "missing.npz", network(), 4)
