# SPDX-License-Identifier: Apache-2.0
"""Random data movement: what a QMove's ``moves`` may look like, for inputs of one size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from systolith.compiler.ir import Move, Run

__all__ = ["random_moves"]

Size = tuple[int, int, int]
"""Channels, height and width."""
Made = tuple[Size, tuple[Move, ...]]
Maker = Callable[[np.random.Generator, Size, int], Made]


def _joined(rng: np.random.Generator, size: Size, count: int) -> Made:
    """All inputs, one after another along an axis, in any order; with gaps in between and around."""
    axis = int(rng.choice(3, p=[0.6, 0.2, 0.2]))
    at, moves = 0, []
    for index in rng.permutation(count).tolist():
        at += int(rng.integers(0, 3)) * int(rng.integers(0, 2))
        runs = [Run(0, 0, length) for length in size]
        runs[axis] = replace(runs[axis], target=at)
        moves.append(Move(index, runs[0], runs[1], runs[2]))
        at += size[axis]
    at += int(rng.integers(0, 2))
    return _with_axis(size, axis, at), tuple(moves)


def _with_axis(size: Size, axis: int, length: int) -> Size:
    changed = list(size)
    changed[axis] = length
    return changed[0], changed[1], changed[2]


def _sampled(rng: np.random.Generator, length: int, *, stepping: bool) -> Run:
    """A part of an axis, of a spatial one in steps or backwards."""
    step = int(rng.choice([-2, -1, 1, 2, 3])) if stepping else 1
    first, last = sorted(rng.integers(0, length, 2).tolist())
    start = last if step < 0 else first
    return Run(start, 0, (last - first) // abs(step) + 1, step)


def _sliced(rng: np.random.Generator, size: Size, count: int) -> Made:
    """A box of one input, its rows and columns in steps; half of them transposed."""
    transposed = bool(rng.integers(0, 2))
    high, wide = (size[2], size[1]) if transposed else size[1:]
    channels = _sampled(rng, size[0], stepping=False)
    rows, columns = (_sampled(rng, length, stepping=True) for length in (high, wide))
    move = Move(int(rng.integers(0, count)), channels, rows, columns, transposed)
    return (channels.count, rows.count, columns.count), (move,)


def _edges(rng: np.random.Generator, length: int) -> list[Run]:
    """An axis with its first and last element repeated."""
    before, after = rng.integers(0, 3, 2).tolist()
    runs = [Run(0, 0, before, 0), Run(0, before, length), Run(length - 1, before + length, after, 0)]
    return [run for run in runs if run.count]


def _bordered(rng: np.random.Generator, size: Size, count: int) -> Made:
    """One input with its borders repeated in both spatial axes, perhaps under other channels."""
    ahead = int(rng.integers(0, 3))
    rows, columns = (_edges(rng, length) for length in size[1:])
    index = int(rng.integers(0, count))
    moves = tuple(Move(index, Run(0, ahead, size[0]), down, across) for down in rows for across in columns)
    height, width = (sum(run.count for run in runs) for runs in (rows, columns))
    return (size[0] + ahead, height, width), moves


def _interleaved(rng: np.random.Generator, size: Size, count: int) -> Made:
    """The inputs' pixels between each other; some places may stay empty."""
    sy, sx = rng.integers(1, 3, 2).tolist()
    places = [(y, x) for y in range(sy) for x in range(sx) if rng.integers(0, 5)] or [(0, 0)]
    channels, height, width = size
    moves = tuple(
        Move(index % count, Run(0, 0, channels), Run(0, y, height, 1, sy), Run(0, x, width, 1, sx))
        for index, (y, x) in enumerate(places)
    )
    return (channels, height * sy, width * sx), moves


_MAKERS: tuple[Maker, ...] = (_joined, _joined, _joined, _sliced, _bordered, _interleaved)


def random_moves(rng: np.random.Generator, size: Size, count: int) -> Made:
    """The result's (channels, height, width) and the moves from ``count`` inputs of (channels, height, width) ``size``.

    Some elements may stay without a move; targets never overlap.
    """
    return _MAKERS[int(rng.integers(0, len(_MAKERS)))](rng, size, count)
