# SPDX-License-Identifier: Apache-2.0
"""Run calibration samples through a float network and keep what quantisation asks about its tensors."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import CalibrationError
from .float_ops import padded_windows
from .interp import run_float
from .ir import Graph, Node

__all__ = ["BINS", "CHUNK", "Observation", "bin_range", "observe"]

Floats = NDArray[np.float64]
Data = Mapping[str, NDArray[Any]]

BINS = 2048
"""Resolution of the histograms: 8 bins to a step of an 8-bit tensor that uses its whole range."""

CHUNK = 20
"""Samples run at once; bounds the memory, not the result."""

_POSITIONS = 256
"""Positions of a sample that a covariance is taken from, evenly spread: neighbours tell the same."""


@dataclass(frozen=True)
class Observation:
    """What was seen of a network's tensors."""

    samples: int
    extremes: Mapping[str, tuple[float, float]]
    """Smallest and largest value of each tensor."""
    peaks: Mapping[str, Floats]
    """Largest magnitude of each channel of each tensor, (C,)."""
    counts: Mapping[str, NDArray[np.int64]]
    """For each tensor a histogram of :data:`BINS` bins over :func:`bin_range` of its extremes."""
    means: Mapping[str, Floats]
    """For each Conv and Gemm, by node name: the mean of what each element of its kernel meets, (C, kh, kw); for a
    ConvTranspose that of its input, (C, 1, 1)."""
    covariances: Mapping[str, Floats]
    """For layers as asked: the covariance of what the kernel meets, (group, K, K) with K = C / group * kh * kw."""


def observe(graph: Graph, data: Data, layers: Collection[str] = ()) -> Observation:
    """Run all samples, twice: the histograms need the extremes.

    Args:
        graph: a prepared float-level graph.
        data: for each graph input an array (B, ...), all with the same B.
        layers: the Conv and Gemm nodes, by name, whose covariances are wanted; they take K * K numbers each.

    Raises:
        CalibrationError: no samples, or values that are not finite in the data or computed from it.
    """
    count = _count(data)
    first = _FirstLook(graph, layers)
    for tensors in _runs(graph, data):
        first.add(tensors)
    _check_finite(graph, first.extremes)
    counts = {name: np.zeros(BINS, np.int64) for name in first.extremes}
    for tensors in _runs(graph, data):
        for name, values in tensors.items():
            counts[name] += np.histogram(values, BINS, bin_range(*first.extremes[name]))[0]
    means = {name: total / count for name, total in first.sums.items()}
    covariances = {name: moments.covariance() for name, moments in first.moments.items()}
    return Observation(count, first.extremes, first.peaks, counts, means, covariances)


def bin_range(low: float, high: float) -> tuple[float, float]:
    """A range that numpy can cut into bins in float32, for nearly constant tensors too."""
    width = max(high - low, 1e-3 * max(abs(low), abs(high)), 1e-30)
    return low, low + width


def _count(data: Data) -> int:
    counts = {name: len(values) for name, values in data.items()}
    if not counts or len(set(counts.values())) != 1 or 0 in counts.values():
        raise CalibrationError(
            f"calibration needs the same number of samples, at least 1, for each input, got {counts}"
        )
    return next(iter(counts.values()))


def _runs(graph: Graph, data: Data) -> Iterator[dict[str, NDArray[Any]]]:
    """All tensors of the graph, chunk by chunk."""
    for start in range(0, _count(data), CHUNK):
        yield run_float(graph, {name: values[start : start + CHUNK] for name, values in data.items()}, graph.tensors)


class _FirstLook:
    """Extremes and peaks of tensors, and the moments of the layers' inputs, summed over chunks."""

    def __init__(self, graph: Graph, layers: Collection[str]) -> None:
        self._layers = [node for node in graph.nodes if node.op in ("Conv", "ConvTranspose", "Gemm")]
        self.extremes: dict[str, tuple[float, float]] = {}
        self.peaks: dict[str, Floats] = {}
        self.sums: dict[str, Floats] = {}
        self.moments = {
            node.name: _Moments() for node in self._layers if node.name in layers and node.op != "ConvTranspose"
        }

    def add(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        """Take in a chunk."""
        for name, values in tensors.items():
            low, high = self.extremes.get(name, (np.inf, -np.inf))
            self.extremes[name] = min(low, float(values.min())), max(high, float(values.max()))
            peak = _peaks(values)
            self.peaks[name] = np.maximum(self.peaks.get(name, peak), peak)
        for node in self._layers:
            windows = _windows(node, tensors[node.inputs[0]])
            total = windows.mean(axis=(2, 3), dtype=np.float64).sum(axis=0)
            self.sums[node.name] = self.sums.get(node.name, 0.0) + total
            if node.name in self.moments:
                self.moments[node.name].add(_rows(node, windows))


def _peaks(values: NDArray[Any]) -> Floats:
    rest = tuple(axis for axis in range(values.ndim) if axis != 1)
    return np.asarray(np.abs(values).max(axis=rest if values.ndim > 1 else None), np.float64).reshape(-1)


def _windows(node: Node, x: NDArray[Any]) -> NDArray[Any]:
    """What a layer's kernel meets, (N, C, out_h, out_w, kh, kw)."""
    if node.op == "Gemm":
        return x.reshape(*x.shape, 1, 1, 1, 1)
    if node.op == "ConvTranspose":
        return x[..., None, None]
    given = node.attributes
    return padded_windows(x, given["kernel_shape"], given["strides"], given["pads"], given["dilations"])


def _rows(node: Node, windows: NDArray[Any]) -> Floats:
    """Windows as vectors by group, (group, vectors, K), of at most so many positions a sample."""
    group = node.attributes.get("group", 1)
    count, channels, height, width, kh, kw = windows.shape
    step = max(1, round((height * width / _POSITIONS) ** 0.5))
    kept = windows[:, :, ::step, ::step].reshape(count, group, channels // group, -1, kh * kw)
    rows = kept.transpose(1, 0, 3, 2, 4).reshape(group, -1, channels // group * kh * kw)
    return rows.astype(np.float64)


class _Moments:
    """First and second moments of vectors (group, vectors, K)."""

    def __init__(self) -> None:
        self._count = 0
        self._sum: Floats = np.zeros(())
        self._products: Floats = np.zeros(())

    def add(self, rows: Floats) -> None:
        self._count += rows.shape[1]
        self._sum = self._sum + rows.sum(axis=1)
        self._products = self._products + rows.transpose(0, 2, 1) @ rows

    def covariance(self) -> Floats:
        mean = self._sum / self._count
        return np.asarray(self._products / self._count - mean[:, :, None] * mean[:, None, :])


def _check_finite(graph: Graph, ranges: Mapping[str, tuple[float, float]]) -> None:
    bad = next((name for name in graph.tensors if not np.isfinite(ranges[name]).all()), None)
    if bad is not None:
        raise CalibrationError(
            f"tensor {bad!r} is {ranges[bad][0]:g}..{ranges[bad][1]:g} on the calibration data; accepted: finite "
            "values; check the data's scale and the network's weights"
        )
