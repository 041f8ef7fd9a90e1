# SPDX-License-Identifier: Apache-2.0
"""From the compiler's absolute strides to the relative steps of the hardware's loops and walks.

The engine keeps one address per walk: a loop that advances adds its step while all loops inside it wrap. A step
therefore contains the return trip of the inner loops, which is folded in here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith.spec.isa import LOOPS, Descriptor, Loop, Walk

__all__ = [
    "Span",
    "Stride",
    "coordinates",
    "extremes",
    "make_loops",
    "make_walk",
    "positions",
    "relative_steps",
    "split_evenly",
]


@dataclass(frozen=True)
class Stride:
    """A loop in absolute terms: ``count`` iterations, each ``row`` and ``col`` elements further than the one before."""

    count: int = 1
    row: int = 0
    col: int = 0


@dataclass(frozen=True)
class Span:
    """A half-open range of indices."""

    start: int
    stop: int

    @property
    def count(self) -> int:
        """Indices in the range."""
        return self.stop - self.start


def relative_steps(counts: Sequence[int], strides: Sequence[int]) -> list[int]:
    """Relative steps of nested loops, innermost first; a loop of one iteration never steps and gets 0."""
    steps: list[int] = []
    travelled = 0
    for count, stride in zip(counts, strides, strict=True):
        steps.append(stride - travelled if count > 1 else 0)
        travelled += (count - 1) * stride
    return steps


def make_loops(strides: Sequence[Stride]) -> tuple[Loop, ...]:
    """The descriptor's loops for strides given innermost first; missing outer loops run once."""
    nest = [*strides, *[Stride()] * (LOOPS - len(strides))]
    counts = [loop.count for loop in nest]
    rows = relative_steps(counts, [loop.row for loop in nest])
    cols = relative_steps(counts, [loop.col for loop in nest])
    return tuple(Loop(*parts) for parts in zip(counts, rows, cols, strict=True))


def make_walk(base: int, x: tuple[int, int], y: tuple[int, int], block: tuple[int, int]) -> Walk:
    """A store or residual walk; each loop is given as (count, absolute stride)."""
    counts, strides = zip(x, y, block, strict=True)
    return Walk(base, *relative_steps(counts, strides))


def _range(start: int, counts: Sequence[int], steps: Sequence[int]) -> tuple[int, int]:
    low = high = start
    travelled = 0
    for count, step in zip(counts, steps, strict=True):
        stride = step + travelled
        reach = (count - 1) * stride
        low, high = low + min(reach, 0), high + max(reach, 0)
        travelled += reach
    return low, high


def positions(start: int, counts: Sequence[int], steps: Sequence[int]) -> NDArray[np.int64]:
    """All positions of nested loops given by their relative steps, innermost fastest; (iterations,)."""
    flat = np.array([start], dtype=np.int64)
    travelled = 0
    for count, step in zip(counts, steps, strict=True):
        stride = step + travelled
        flat = (np.arange(count, dtype=np.int64)[:, None] * stride + flat).ravel()
        travelled += (count - 1) * stride
    return flat


def coordinates(descriptor: Descriptor) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and column coordinate of every window, in issue order; (windows,) each."""
    counts = [loop.count for loop in descriptor.loops]
    rows = positions(descriptor.row_start, counts, [loop.row_step for loop in descriptor.loops])
    return rows, positions(descriptor.col_start, counts, [loop.col_step for loop in descriptor.loops])


def extremes(descriptor: Descriptor) -> tuple[tuple[int, int], tuple[int, int]]:
    """Lowest and highest row and column coordinate that the nest visits: ((row, row), (col, col))."""
    counts = [loop.count for loop in descriptor.loops]
    rows = _range(descriptor.row_start, counts, [loop.row_step for loop in descriptor.loops])
    cols = _range(descriptor.col_start, counts, [loop.col_step for loop in descriptor.loops])
    return rows, cols


def split_evenly(span: Span, limit: int) -> Iterator[Span]:
    """The range in as few parts of at most ``limit`` as possible, as equal as possible."""
    parts = -(-span.count // limit)
    size, longer = divmod(span.count, parts)
    start = span.start
    for index in range(parts):
        stop = start + size + (index < longer)
        yield Span(start, stop)
        start = stop
