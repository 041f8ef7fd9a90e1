# SPDX-License-Identifier: Apache-2.0
"""From the histogram of a tensor to the range its integers shall cover.

``min-max`` covers everything seen. ``percentile`` leaves out a share of the values at each end. ``mse`` takes the range
whose quantisation has the smallest mean squared error, clipping included (Nagel et al., *A White Paper on Neural
Network Quantization*, 2021, section 3.1). ``entropy`` takes the range whose quantised distribution is nearest to the
tensor's own by the Kullback-Leibler divergence (Migacz, *8-bit Inference with TensorRT*, 2017), at either end in turn.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from .observe import BINS, bin_range
from .quantise_config import QuantiseConfig
from .response import Function, error_through

__all__ = ["Range", "choose_range"]

Floats = NDArray[np.float64]
Range = tuple[float, float]

_SHARES = np.linspace(1.0, 0.3, 57)
"""Shares of the seen range that are tried at either end."""


def choose_range(
    counts: NDArray[np.int64], low: float, high: float, config: QuantiseConfig, function: Function | None = None
) -> Range:
    """The range of a tensor seen in ``[low, high]`` with the histogram ``counts``; "auto" is as "mse" here.

    With "mse" the error is that of ``function``, where one is all that reads the tensor (:mod:`.response`).
    """
    edges = np.linspace(*bin_range(low, high), BINS + 1)
    if config.method == "min-max":
        return low, high
    if config.method == "percentile":
        return _percentile(counts, edges, config.percentile)
    full, levels = (min(low, 0.0), max(high, 0.0)), 1 << config.act_bits
    if config.method == "entropy":
        return _least_divergence(counts, edges, full, levels)
    return _least_error(counts, edges, full, levels, function)


def _percentile(counts: NDArray[np.int64], edges: Floats, percentile: float) -> Range:
    below = np.concatenate([[0.0], np.cumsum(counts) / counts.sum()])
    outside = 1 - percentile / 100
    return float(np.interp(outside, below, edges)), float(np.interp(1 - outside, below, edges))


def _ends(full: Range) -> tuple[Floats, Floats]:
    """The ends to try; one that is zero stays."""
    low, high = full
    return low * (_SHARES if low < 0 else _SHARES[:1]), high * (_SHARES if high > 0 else _SHARES[:1])


def _least_error(
    counts: NDArray[np.int64], edges: Floats, full: Range, levels: int, function: Function | None
) -> Range:
    """The best of a grid of ranges; of a third as many ends where each error takes a function's values."""
    centres, weights = (edges[:-1] + edges[1:]) / 2, counts / counts.sum()
    lows, highs = _ends(full)
    error: Callable[..., Floats] = _error
    if function is not None:
        lows, highs, error = lows[::3], highs[::3], partial(error_through, function)
    used = weights > 0
    best = min(
        ((error(centres[used], weights[used], low, highs, levels), low) for low in lows),
        key=lambda item: float(item[0].min()),
    )
    return float(best[1]), float(highs[int(best[0].argmin())])


def _error(values: Floats, weights: Floats, low: float, highs: Floats, levels: int) -> Floats:
    """Mean squared error of quantising to ``[low, high]`` for each of ``highs``."""
    step = np.maximum((highs - low) / (levels - 1), 1e-300)[:, None]
    zero = np.rint(-low / step)
    near = (np.clip(np.rint(values / step) + zero, 0, levels - 1) - zero) * step
    return np.asarray(((near - values) ** 2) @ weights)


def _least_divergence(counts: NDArray[np.int64], edges: Floats, full: Range, levels: int) -> Range:
    centres = (edges[:-1] + edges[1:]) / 2
    counts = _without_zeros(counts, edges)
    lows, highs = _ends(full)
    high = min(highs, key=lambda end: _divergence(counts, centres, (full[0], float(end)), levels))
    low = min(lows, key=lambda end: _divergence(counts, centres, (float(end), float(high)), levels))
    return float(low), float(high)


def _without_zeros(counts: NDArray[np.int64], edges: Floats) -> NDArray[np.int64]:
    """The histogram with the bin of zero as full as its neighbour.

    A Relu's zeros are exact at any range; as a peak of one bin they would make the narrowest range seem the best.
    """
    zero = min(max(int(np.searchsorted(edges, 0.0, side="right")) - 1, 0), BINS - 1)
    neighbour = zero + 1 if zero + 1 < BINS else zero - 1
    smooth = counts.copy()
    smooth[zero] = counts[neighbour]
    return smooth if smooth.any() else counts


def _divergence(counts: NDArray[np.int64], centres: Floats, ends: Range, levels: int) -> float:
    """KL divergence of the clipped histogram from itself with one value for all bins of a level."""
    low, high = ends
    inside = (centres >= low) & (centres <= high)
    if not counts[inside].any():
        return np.inf
    step = max((high - low) / (levels - 1), 1e-300)
    level = np.rint((centres[inside] - low) / step).astype(np.int64)
    kept = counts[inside].astype(np.float64)
    used = np.bincount(level, kept > 0)
    spread = (np.bincount(level, kept) / np.maximum(used, 1))[level] * (kept > 0)
    clipped = kept.copy()
    clipped[0] += counts[centres < low].sum()
    clipped[-1] += counts[centres > high].sum()
    return _kl(clipped, spread)


def _kl(wanted: Floats, got: Floats) -> float:
    """``sum(p * log(p / q))``; what ``got`` lacks counts as a thousandth of a sample."""
    p = wanted / wanted.sum()
    q = np.maximum(got, 1e-3) / got.sum()
    used = p > 0
    return float((p[used] * np.log(p[used] / q[used])).sum())
