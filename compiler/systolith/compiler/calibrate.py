# SPDX-License-Identifier: Apache-2.0
"""Calibration: the range of real values each tensor's integers shall cover, found by running samples.

Three methods. ``min-max`` covers everything seen. ``percentile`` leaves out a share of the values at each end. ``mse``
takes the range whose quantisation has the smallest mean squared error, clipping included (Nagel et al., *A White Paper
on Neural Network Quantization*, 2021, section 3.1). The network's inputs are always covered completely.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import CalibrationError
from .float_ops import padded_windows
from .interp import run_float
from .ir import Graph, Node
from .quantise_config import Method, QuantiseConfig

__all__ = ["Calibration", "calibrate"]

Ranges = dict[str, tuple[float, float]]

BINS = 2048
"""Resolution of the histograms: 8 bins to a step of an 8-bit tensor that uses its whole range."""

CHUNK = 20
"""Samples run at once; bounds the memory, not the result."""

_SHARES = np.linspace(1.0, 0.3, 57)
"""Shares of the seen range that ``mse`` tries at either end."""


@dataclass(frozen=True)
class Calibration:
    """What calibration found: ``(low, high)`` of each tensor, with ``low <= 0 <= high``."""

    ranges: Mapping[str, tuple[float, float]]
    means: Mapping[str, NDArray[np.float64]]
    """For each Conv and Gemm, by node name: the mean of what each element of its kernel meets, (C, kh, kw); for a
    ConvTranspose that of its input, (C, 1, 1)."""
    samples: int
    method: Method


def calibrate(graph: Graph, data: Mapping[str, NDArray[Any]], config: QuantiseConfig) -> Calibration:
    """Run calibration samples and choose a range for every tensor.

    Args:
        graph: a prepared float-level graph.
        data: for each graph input an array (B, ...), all with the same B.
        config: method, percentile and bits.

    Raises:
        CalibrationError: no samples, or values that are not finite in the data or computed from it.
    """
    count = _count(data)
    extremes, means = _first_look(graph, data)
    ranges = dict(extremes)
    if config.method != "min-max":
        counts = _histograms(graph, data, extremes)
        ranges |= {
            name: _choose(counts[name], *extremes[name], config) for name in extremes if name not in graph.inputs
        }
    return Calibration(_with_zero(ranges), means, count, config.method)


def _count(data: Mapping[str, NDArray[Any]]) -> int:
    counts = {name: len(values) for name, values in data.items()}
    if not counts or len(set(counts.values())) != 1 or 0 in counts.values():
        raise CalibrationError(
            f"calibration needs the same number of samples, at least 1, for each input, got {counts}"
        )
    return next(iter(counts.values()))


def _runs(graph: Graph, data: Mapping[str, NDArray[Any]]) -> Iterator[dict[str, NDArray[Any]]]:
    """All tensors of the graph, chunk by chunk."""
    for start in range(0, _count(data), CHUNK):
        yield run_float(graph, {name: values[start : start + CHUNK] for name, values in data.items()}, graph.tensors)


def _first_look(graph: Graph, data: Mapping[str, NDArray[Any]]) -> tuple[Ranges, dict[str, NDArray[np.float64]]]:
    """Smallest and largest value of each tensor, and the mean inputs of the layers with weights."""
    ranges: Ranges = {}
    sums: dict[str, NDArray[np.float64]] = {}
    layers = [node for node in graph.nodes if node.op in ("Conv", "ConvTranspose", "Gemm")]
    for tensors in _runs(graph, data):
        for name, values in tensors.items():
            low, high = ranges.get(name, (np.inf, -np.inf))
            ranges[name] = min(low, float(values.min())), max(high, float(values.max()))
        for node in layers:
            sums[node.name] = sums.get(node.name, 0.0) + _sum_of_means(node, tensors[node.inputs[0]])
    _check_finite(graph, ranges)
    return ranges, {name: total / _count(data) for name, total in sums.items()}


def _sum_of_means(node: Node, x: NDArray[Any]) -> NDArray[np.float64]:
    """Over samples the sum, over positions the mean of a layer's inputs, (C, kh, kw)."""
    if node.op == "Gemm":
        return np.asarray(x.sum(axis=0, dtype=np.float64)).reshape(-1, 1, 1)
    if node.op == "ConvTranspose":
        return np.asarray(x.mean(axis=(2, 3), dtype=np.float64, keepdims=True).sum(axis=0))
    given = node.attributes
    windows = padded_windows(x, given["kernel_shape"], given["strides"], given["pads"], given["dilations"])
    return np.asarray(windows.mean(axis=(2, 3), dtype=np.float64).sum(axis=0))


def _check_finite(graph: Graph, ranges: Ranges) -> None:
    bad = next((name for name in graph.tensors if not np.isfinite(ranges[name]).all()), None)
    if bad is not None:
        raise CalibrationError(
            f"tensor {bad!r} is {ranges[bad][0]:g}..{ranges[bad][1]:g} on the calibration data; accepted: finite "
            "values; check the data's scale and the network's weights"
        )


def _histograms(graph: Graph, data: Mapping[str, NDArray[Any]], extremes: Ranges) -> dict[str, NDArray[np.int64]]:
    counts = {name: np.zeros(BINS, np.int64) for name in extremes}
    for tensors in _runs(graph, data):
        for name, values in tensors.items():
            counts[name] += np.histogram(values, BINS, _bin_range(*extremes[name]))[0]
    return counts


def _bin_range(low: float, high: float) -> tuple[float, float]:
    """A range that numpy can cut into bins in float32, for nearly constant tensors too."""
    width = max(high - low, 1e-3 * max(abs(low), abs(high)), 1e-30)
    return low, low + width


def _choose(counts: NDArray[np.int64], low: float, high: float, config: QuantiseConfig) -> tuple[float, float]:
    edges = np.linspace(*_bin_range(low, high), BINS + 1)
    if config.method == "percentile":
        return _percentile(counts, edges, config.percentile)
    return _least_error(counts, edges, (min(low, 0.0), max(high, 0.0)), 1 << config.act_bits)


def _percentile(counts: NDArray[np.int64], edges: NDArray[np.float64], percentile: float) -> tuple[float, float]:
    below = np.concatenate([[0.0], np.cumsum(counts) / counts.sum()])
    outside = 1 - percentile / 100
    return float(np.interp(outside, below, edges)), float(np.interp(1 - outside, below, edges))


def _least_error(
    counts: NDArray[np.int64], edges: NDArray[np.float64], full: tuple[float, float], levels: int
) -> tuple[float, float]:
    """The best of a grid of ranges; an end that is zero stays."""
    centres, weights = (edges[:-1] + edges[1:]) / 2, counts / counts.sum()
    lows = full[0] * (_SHARES if full[0] < 0 else _SHARES[:1])
    highs = full[1] * (_SHARES if full[1] > 0 else _SHARES[:1])
    used = weights > 0
    best = min(
        ((_error(centres[used], weights[used], low, highs, levels), low) for low in lows),
        key=lambda item: float(item[0].min()),
    )
    return float(best[1]), float(highs[int(best[0].argmin())])


def _error(
    values: NDArray[np.float64], weights: NDArray[np.float64], low: float, highs: NDArray[np.float64], levels: int
) -> NDArray[np.float64]:
    """Mean squared error of quantising to ``[low, high]`` for each of ``highs``."""
    step = np.maximum((highs - low) / (levels - 1), 1e-300)[:, None]
    zero = np.rint(-low / step)
    near = (np.clip(np.rint(values / step) + zero, 0, levels - 1) - zero) * step
    return np.asarray(((near - values) ** 2) @ weights)


def _with_zero(ranges: Ranges) -> Ranges:
    """Zero is always representable: padding and a fused Relu need it exactly."""
    return {name: (min(low, 0.0), max(high, 0.0)) for name, (low, high) in ranges.items()}
