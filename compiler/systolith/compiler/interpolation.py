# SPDX-License-Identifier: Apache-2.0
"""Resizing as data movement and filters: what the float operator does to indices and to unit impulses, read off it.

Where a map grows by a whole factor, every so many elements of a result are the same weighted sum of their neighbours,
a *phase*; where it shrinks by one, all are. Elements beyond an end are copies of the end's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from .float_resize import ResizeRule
from .float_resize import resize as resize_array

__all__ = ["Filter", "Filters", "interpolation", "is_copy", "nearest_indices", "phase_weight", "whole_weights"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_FAR = 16
"""Periods from either end at which no interpolation looks beyond it."""


def nearest_indices(
    before: Sequence[int], after: Sequence[int], scales: Sequence[float], rule: ResizeRule
) -> list[list[int]]:
    """Which element is the nearest, for each one of the result, by axis."""
    return [
        resize_array(np.arange(old, dtype=np.float64), [new], [scale], [(0.0, 1.0)], rule).astype(int).tolist()
        for old, new, scale in zip(before, after, scales, strict=True)
    ]


@dataclass(frozen=True)
class Filter:
    """Interpolation along one axis: output ``factor * i + j`` is the sum of ``taps[j] * x[stride * i - before + t]``.

    Elements beyond an end count as the end's.
    """

    factor: int
    stride: int
    before: int
    after: int
    taps: Floats
    """(factor, taps)"""

    def read(self, size: int) -> list[int]:
        """The elements of an axis of ``size`` as the filter reads them, those beyond an end repeated."""
        return [min(max(index, 0), size - 1) for index in range(-self.before, size + self.after)]

    def count(self, size: int) -> int:
        """The elements of a phase, from ``size`` that are read."""
        return int(size - self.taps.shape[1]) // self.stride + 1


Filters = tuple[Filter, Filter]
"""Down and across."""


def interpolation(
    before: Sequence[int], after: Sequence[int], scales: Sequence[float], rule: ResizeRule
) -> Filters | None:
    """The resizing of a map (N, C, H, W) or sequence (N, C, L) as two filters; None if it is none of that kind."""
    if len(before) not in (3, 4) or before[1] != after[1]:
        return None
    inner = [(1, 1, 1.0), *zip(before[2:], after[2:], scales[2:], strict=True)][-2:]
    down, across = (_filter(*sizes, rule) for sizes in inner)
    return None if down is None or across is None else (down, across)


def _filter(before: int, after: int, scale: float, rule: ResizeRule) -> Filter | None:
    """The interpolation of an axis as a regular filter; None if it is none."""
    if after % before and before % after:
        return None
    factor, stride = max(after // before, 1), max(before // after, 1)
    count = after // factor
    taps, offset = _taps(factor, stride, rule)
    ahead, behind = max(0, -offset), max(0, stride * (count - 1) + offset + taps.shape[1] - before)
    # zeros around the taps, such that the first meets the first element and no output is left over
    rest = before + behind - stride * (count - 1) - offset - taps.shape[1]
    made = Filter(factor, stride, ahead, behind, np.pad(taps, ((0, 0), (ahead + offset, rest))))
    shares = _resized(before, after, scale, rule)
    return made if np.allclose(_shares(made, before, count), shares, atol=1e-5) else None


def _resized(before: int, after: int, scale: float, rule: ResizeRule) -> Floats:
    """What a Resize takes of each input, (outputs, inputs)."""
    return resize_array(np.eye(before), [None, after], [1.0, scale], [(0.0, 1.0)] * 2, rule).T


def _taps(factor: int, stride: int, rule: ResizeRule) -> tuple[Floats, int]:
    """What the outputs of one period take far from the ends, (factor, taps), and where the first lies from it."""
    shares = _resized(2 * _FAR * stride, 2 * _FAR * factor, factor / stride, rule)
    block = shares[_FAR * factor : (_FAR + 1) * factor]
    used = np.flatnonzero((np.abs(block) > 1e-6).any(axis=0))
    return block[:, used[0] : used[-1] + 1], int(used[0]) - stride * _FAR


def _shares(made: Filter, before: int, count: int) -> Floats:
    """What a filter takes of each input, (outputs, inputs)."""
    result = np.zeros((count, made.factor, before))
    for place, tap in product(range(count), range(made.taps.shape[1])):
        result[place, :, np.clip(made.stride * place - made.before + tap, 0, before - 1)] += made.taps[:, tap]
    return result.reshape(-1, before)


def phase_weight(phase: tuple[int, ...], filters: Filters) -> Floats:
    """What the elements of a phase (y, x) take of their neighbours, (taps down, taps across)."""
    return np.outer(filters[0].taps[phase[0]], filters[1].taps[phase[1]])


def is_copy(phase: tuple[int, ...], filters: Filters) -> bool:
    """Whether a phase is the input itself."""
    weight, still = phase_weight(phase, filters), all(one.stride == 1 for one in filters)
    return still and np.count_nonzero(weight) == 1 and bool(weight[filters[0].before, filters[1].before] == 1)


def whole_weights(weight: Floats, top: int) -> tuple[Ints, float]:
    """Weights as integers times a unit: exact where they are fractions with one small denominator."""
    for denominator in range(1, int(top / np.abs(weight).max()) + 1):
        scaled = weight * denominator
        if np.abs(scaled - np.rint(scaled)).max() < 1e-3:
            return np.rint(scaled).astype(np.int64), 1 / denominator
    unit = float(np.abs(weight).max()) / top
    return np.rint(weight / unit).astype(np.int64), unit
