# SPDX-License-Identifier: Apache-2.0
"""The moves of a QMove from what an operator does to indices; sizes are (channels, height, width)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from .ir import Move, Run

__all__ = ["NOTHING", "concat_moves", "gather_moves", "interleave_move", "transpose_move", "whole_move"]

Size = tuple[int, int, int]

NOTHING = -1
"""The source of an element that nothing is moved to."""

_LONGEST_PERIOD = 16
"""Resizing repeats its pattern of source steps after so many elements at most, where it is worth looking for one."""


def whole_move(index: int, size: Size) -> Move:
    """All of an input, where it is."""
    channels, height, width = size
    return Move(index, Run(0, 0, channels), Run(0, 0, height), Run(0, 0, width))


def concat_moves(sizes: Sequence[Size], axis: int) -> tuple[Move, ...]:
    """The inputs one behind another along an axis."""
    moves, at = [], 0
    for index, size in enumerate(sizes):
        runs = [Run(0, 0, length) for length in size]
        runs[axis] = replace(runs[axis], target=at)
        moves.append(Move(index, runs[0], runs[1], runs[2]))
        at += size[axis]
    return tuple(moves)


def interleave_move(index: int, size: Size, offset: tuple[int, int], step: tuple[int, int]) -> Move:
    """All of an input at every ``step``-th row and column of the target from ``offset`` on, (y, x) each."""
    rows, columns = (Run(0, offset[axis], size[axis + 1], 1, step[axis]) for axis in range(2))
    return Move(index, Run(0, 0, size[0]), rows, columns)


def transpose_move(size: Size) -> Move:
    """An input of size ``size`` with rows and columns exchanged."""
    channels, height, width = size
    return Move(0, Run(0, 0, channels), Run(0, 0, width), Run(0, 0, height), transposed=True)


def gather_moves(channels: Sequence[int], rows: Sequence[int], columns: Sequence[int]) -> tuple[Move, ...]:
    """``y[c, h, w] = x[channels[c], rows[h], columns[w]]``; where one of them is NOTHING, nothing is moved."""
    by_axis = [list(_segments(channels, 0, 1, only=1)), _runs(rows), _runs(columns)]
    return tuple(Move(0, one, two, three) for one in by_axis[0] for two in by_axis[1] for three in by_axis[2])


def _runs(index: Sequence[int]) -> list[Run]:
    """An axis as few runs: the elements as they come, or those of each residue of a period."""
    ways = [
        [run for first in range(period) for run in _segments(index, first, period)]
        for period in range(1, min(_LONGEST_PERIOD, len(index)) + 1)
    ]
    return min(ways, key=len)


def _segments(index: Sequence[int], first: int, period: int, only: int | None = None) -> Iterator[Run]:
    """Every ``period``-th element from ``first`` on in runs of a constant source step, which is ``only`` if given."""
    run: Run | None = None
    for target in range(first, len(index), period):
        source = index[target]
        grown = _grown(run, source, target, period, only)
        if run is not None and grown is None:
            yield run
        run = grown if grown is not None else None if source == NOTHING else Run(source, target, 1, 1, period)
    if run is not None:
        yield run


def _grown(run: Run | None, source: int, target: int, period: int, only: int | None) -> Run | None:
    """The run with one more element; None if it does not go on like this."""
    if run is None or source == NOTHING or run.target + run.count * period != target:
        return None
    step = run.source_step if run.count > 1 else source - run.source
    goes_on = source == run.source + run.count * step and only in (None, step)
    return replace(run, count=run.count + 1, source_step=step) if goes_on else None
