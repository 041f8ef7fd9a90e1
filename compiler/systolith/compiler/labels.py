# SPDX-License-Identifier: Apache-2.0
"""Read labelled data: samples with the classes, or the values, that a network should answer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .array_file import ArrayFileError, read_arrays
from .calibration_data import as_samples, load_samples
from .errors import CalibrationError
from .ir import Graph

__all__ = ["LabelledData", "calibration_classes", "load_labelled", "load_labels"]

Array = NDArray[Any]

_PAIRS = (("x_test", "y_test"), ("x", "y"), ("x", "labels"))
"""Names of samples and their labels in one file, in the order they are looked for."""

_BESIDE = {"x": ("y", "labels"), "x_calib": ("y_calib",)}
"""Where the classes of calibration samples are, by the samples' name, in the order these are looked for."""


@dataclass(frozen=True)
class LabelledData:
    """Samples for every input, (B, ...), and their classes (B,); None where there are none."""

    samples: Mapping[str, Array]
    labels: Array | None

    def __len__(self) -> int:
        return len(next(iter(self.samples.values())))


def load_labelled(path: Path, graph: Graph, labels: Path | None = None) -> LabelledData:
    """Read test data.

    A ``.npz`` file holds ``x`` and ``y``, or ``x_test`` and ``y_test``; else samples are found as
    :func:`~systolith.compiler.calibration_data.load_samples` finds them, and ``y`` goes with them.

    Args:
        path: a .npz or .npy file.
        graph: the network.
        labels: another file with the classes.

    Raises:
        CalibrationError: a file cannot be read or does not fit.
    """
    arrays = _read(path)
    for samples_name, labels_name in _PAIRS if len(graph.inputs) == 1 else ():
        if samples_name in arrays and labels_name in arrays:
            name = graph.inputs[0]
            samples = {name: as_samples(arrays[samples_name], graph, name, str(path))}
            break
    else:
        samples, labels_name = load_samples(path, graph), "y"
    count = len(next(iter(samples.values())))
    if labels is not None:
        return LabelledData(samples, load_labels(labels, graph, count))
    found = arrays.get(labels_name)
    return LabelledData(samples, None if found is None else _checked(found, graph, count, f"{path}, {labels_name!r}"))


def load_labels(path: Path, graph: Graph, count: int) -> Array:
    """Classes (B,) from a file of their own: a ``.npy``, or a ``.npz`` with ``y``, ``labels`` or a single array.

    Raises:
        CalibrationError: it cannot be read, or does not hold ``count`` classes of the network.
    """
    arrays = _read(path)
    names = [name for name in ("y", "labels", *arrays) if name in arrays]
    if len(arrays) != 1 and names[:1] not in (["y"], ["labels"]):
        raise CalibrationError(
            f"{path}: no labels; expected an array 'y', 'labels' or a single one, got {sorted(arrays)}"
        )
    return _checked(arrays[names[0]], graph, count, f"{path}, {names[0]!r}")


def calibration_classes(path: Path, graph: Graph, count: int, labels: Path | None = None) -> Array | None:
    """The classes (B,) of ``count`` calibration samples, from ``labels`` or beside them; None where there are none.

    Raises:
        CalibrationError: as :func:`load_labels`.
    """
    if labels is not None:
        return load_labels(labels, graph, count)
    arrays = _read(path)
    samples = next((name for name in (*graph.inputs[:1], *_BESIDE) if name in arrays), "x")
    beside = _BESIDE.get(samples, _BESIDE["x"])
    name = next((name for name in beside if name in arrays), None)
    return None if name is None else _checked(arrays[name], graph, count, f"{path}, {name!r}")


def _read(path: Path) -> Mapping[str, Array]:
    try:
        return read_arrays(path)
    except (ArrayFileError, OSError) as error:
        expected = "expected a .npz or .npy file as numpy.savez or numpy.save writes it"
        raise CalibrationError(f"{path}: cannot be read ({error}); {expected}") from error


def _checked(labels: Array, graph: Graph, count: int, where: str) -> Array:
    flat, classes = labels.reshape(-1), math.prod(graph.tensors[graph.outputs[0]].shape[1:])
    if labels.dtype.kind not in "iub" or flat.size != count or labels.shape[:1] != (count,):
        got = f"{labels.dtype} of shape {list(labels.shape)}"
        raise CalibrationError(f"{where}: expected a class number for each of {count} samples, got {got}")
    if not 0 <= flat.min(initial=0) <= flat.max(initial=0) < classes:
        raise CalibrationError(
            f"{where}: classes {flat.min()}..{flat.max()}; accepted: 0..{classes - 1}, one for each of the outputs"
        )
    return flat.astype(np.int64)
