# SPDX-License-Identifier: Apache-2.0
"""Read calibration samples, and any other input tensors, from .npz and .npy files into the network's layout."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .array_file import ArrayFileError, read_arrays
from .errors import CalibrationError
from .ir import Graph

__all__ = ["as_samples", "load_samples"]

_NAMES = ("x", "x_calib")
"""Array names that stand for the only input of a network, in the order they are looked for."""


def load_samples(path: Path, graph: Graph) -> dict[str, NDArray[Any]]:
    """Read samples for every input of a network.

    A ``.npy`` file holds the samples of the only input. A ``.npz`` file holds an array for each input under the input's
    name; for a network with one input ``x``, ``x_calib`` or the only array of the file will do.

    Args:
        path: the file.
        graph: the network, at either level.

    Returns:
        For each input samples (B, ...) in the network's layout, as :func:`as_samples` makes them.

    Raises:
        CalibrationError: the file cannot be read, an array is missing, or its shape, type or values do not fit.
    """
    arrays = _read(path)
    return {name: as_samples(_pick(arrays, graph, name, path), graph, name, str(path)) for name in graph.inputs}


def _read(path: Path) -> Mapping[str, NDArray[Any]]:
    expected = "expected a .npz or .npy file as numpy.savez or numpy.save writes it"
    if not path.is_file():
        raise CalibrationError(f"{path}: no such file; {expected}")
    try:
        return read_arrays(path)
    except ArrayFileError as error:
        raise CalibrationError(f"{path}: cannot be read ({error}); {expected}") from error


def _pick(arrays: Mapping[str, NDArray[Any]], graph: Graph, name: str, path: Path) -> NDArray[Any]:
    only = len(graph.inputs) == 1
    for candidate in (name, *(_NAMES if only else ())):
        if candidate in arrays:
            return arrays[candidate]
    if only and len(arrays) == 1:
        return next(iter(arrays.values()))
    names = f"{name!r}, {', '.join(map(repr, _NAMES))} or a single array" if only else repr(name)
    raise CalibrationError(f"{path}: no array for input {name!r}; expected {names}, got {sorted(arrays)}")


def as_samples(values: NDArray[Any], graph: Graph, name: str, source: str = "samples") -> NDArray[Any]:
    """Bring samples of one input into the network's layout.

    Accepted are, with the batch in front: the input's own shape (N, C, H, W) or (N, C); NHWC where the shape cannot be
    NCHW; images without the axis of a single channel; and one sample without a batch. Numbers become float32, unscaled,
    but for integers where the network's own input is integers: these stay what they are.

    Raises:
        CalibrationError: naming ``source``, the input, and the shapes expected and got.
    """
    shape = graph.tensors[name].shape
    where = f"{source}, input {name!r}"
    if values.dtype.kind not in "fiu":
        raise CalibrationError(f"{where}: expected numbers, got {values.dtype}")
    if 0 in values.shape:
        raise CalibrationError(f"{where}: expected at least 1 sample, got shape {list(values.shape)}")
    samples = _in_layout(values, shape)
    if samples is None:
        raise CalibrationError(f"{where}: expected shape {_expected(shape)}, got {list(values.shape)}")
    if values.dtype.kind in "iu" and name in graph.integer_io:
        return samples
    result = samples.astype(np.float32)
    if not np.isfinite(result).all():
        bad = int(np.count_nonzero(~np.isfinite(result)))
        raise CalibrationError(f"{where}: expected finite numbers, got {bad} NaN or infinite of {result.size}")
    return result


def _in_layout(values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any] | None:
    """The samples in the layout of ``shape``; None if they do not fit."""
    sizes = shape[1:]
    if values.shape[1:] == sizes and values.ndim == len(shape):
        return values
    if values.shape == sizes:
        return values[None]
    if len(shape) != 4:
        return None
    channels, height, width = sizes
    if channels == 1 and values.shape[1:] == (height, width) or values.shape == (height, width) and channels == 1:
        return values.reshape(-1, *sizes)
    if values.shape[-3:] == (height, width, channels) and values.ndim in (3, 4):
        return np.moveaxis(values.reshape(-1, height, width, channels), 3, 1)
    return None


def _expected(shape: tuple[int, ...]) -> str:
    own = f"[samples, {', '.join(map(str, shape[1:]))}]"
    if len(shape) != 4:
        return own
    channels, height, width = shape[1:]
    return f"{own} (or channels last: [samples, {height}, {width}, {channels}])"
