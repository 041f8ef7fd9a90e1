# SPDX-License-Identifier: Apache-2.0
"""Figures of accuracy: shares with their confidence interval, and a network's outputs beside those of another."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from systolith.compiler.quality import classes, decibel, relative_error

__all__ = ["classified", "compared", "reconstructed", "wilson"]

Array = NDArray[Any]
Figures = dict[str, Any]

_Z = 1.959964
"""The normal distribution's two-sided 95 % point."""


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share (Wilson, 1927): 0..1; (0, 1) for no samples."""
    if count == 0:
        return 0.0, 1.0
    share, square = hits / count, _Z * _Z / count
    centre = (share + square / 2) / (1 + square)
    half = _Z * math.sqrt(share * (1 - share) / count + square / (4 * count)) / (1 + square)
    return max(0.0, centre - half), min(1.0, centre + half)


def classified(outputs: Array, labels: Array) -> Figures:
    """How many of the samples are classified as labelled."""
    hits = int((classes(outputs) == labels).sum())
    low, high = wilson(hits, len(labels))
    return {"correct": hits, "of": len(labels), "top1": hits / len(labels), "interval95": [low, high]}


def reconstructed(outputs: Array, inputs: Array) -> Figures:
    """How far an autoencoder's outputs are from its inputs: the mean over samples of the mean squared difference."""
    errors = ((outputs.astype(np.float64) - inputs) ** 2).reshape(len(outputs), -1).mean(axis=1)
    return {"mean_squared_error": float(errors.mean())}


def compared(integer: Array, exact: Array, labels: Array | None) -> Figures:
    """An integer network's outputs beside the float network's."""
    same = classes(integer) == classes(exact)
    low, high = wilson(int(same.sum()), len(same))
    figures: Figures = {
        "snr": decibel(relative_error(integer, exact)),
        "agreement": float(same.mean()),
        "agreement_interval95": [low, high],
    }
    return figures if labels is None else figures | _changes(classes(integer) == labels, classes(exact) == labels)


def _changes(after: Array, before: Array) -> Figures:
    """The drop in points with the 95 % interval of a paired difference."""
    worse, better, count = int((before & ~after).sum()), int((after & ~before).sum()), len(before)
    drop = (worse - better) / count
    half = _Z * math.sqrt(worse + better - (worse - better) ** 2 / count) / count
    return {
        "turned_wrong": worse,
        "turned_right": better,
        "drop_points": 100 * drop,
        "drop_interval95": [100 * (drop - half), 100 * (drop + half)],
    }
