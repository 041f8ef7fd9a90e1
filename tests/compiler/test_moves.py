# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from systolith.compiler.ir import Move, Run
from systolith.compiler.moves import (
    NOTHING,
    concat_moves,
    gather_moves,
    interleave_move,
    transpose_move,
    whole_move,
)

RUNS: list[tuple[list[int], int]] = [
    ([0, 1, 2, 3], 1),
    ([3, 2, 1], 1),
    ([7, 5, 3], 1),
    ([0, 0, 0, 0, 1, 2, 3, 3], 3),
    ([0, 0, 1, 1, 2, 2, 3, 3], 2),
    ([0, 0, 0, 1, 1, 1, 2, 2, 2], 3),
    ([0, 0, 1, 2, 2, 3, 4, 4, 5], 3),
    ([NOTHING, NOTHING, 0, 1, 2, NOTHING], 1),
    ([5], 1),
]
"""Sources of an axis, and how many runs bring them."""


def positions(run: Run) -> list[tuple[int, int]]:
    return [(run.target + i * run.target_step, run.source + i * run.source_step) for i in range(run.count)]


def gathered(moves: Sequence[Move], x: NDArray[np.int64], shape: tuple[int, int, int]) -> NDArray[np.int64]:
    """What the moves bring, element by element; -9 where none does."""
    y = np.full(shape, -9)
    for move in moves:
        for channel, source in positions(move.channels):
            for row, down in positions(move.rows):
                for column, across in positions(move.columns):
                    assert y[channel, row, column] == -9
                    y[channel, row, column] = x[source, across, down] if move.transposed else x[source, down, across]
    return y


@pytest.mark.parametrize(("index", "count"), RUNS)
def test_an_axis_is_few_runs(index: list[int], count: int) -> None:
    moves = gather_moves([0], index, [0])
    assert len(moves) == count
    found = dict(pair for move in moves for pair in positions(move.rows))
    assert found == {target: source for target, source in enumerate(index) if source != NOTHING}
    assert all(move.rows.target_step > 0 for move in moves)


def test_channels_never_step() -> None:
    moves = gather_moves([0, 2, 4, 5, 6, 6, NOTHING, 1], [0], [0])
    assert [(m.channels.source, m.channels.target, m.channels.count) for m in moves] == [
        (0, 0, 1),
        (2, 1, 1),
        (4, 2, 3),
        (6, 5, 1),
        (1, 7, 1),
    ]
    assert {(move.channels.source_step, move.channels.target_step) for move in moves} == {(1, 1)}


def test_a_gather_selects_by_axis() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 1000, (4, 5, 6))
    for _ in range(20):
        index = [rng.integers(-1, size, rng.integers(1, 9)).tolist() for size in x.shape]
        index = [axis if any(place != NOTHING for place in axis) else [0] for axis in index]
        shape = (len(index[0]), len(index[1]), len(index[2]))
        expected = x[np.ix_(*index)]
        for axis, places in enumerate(index):
            missing = np.array(places) == NOTHING
            expected[(slice(None),) * axis + (missing,)] = -9
        np.testing.assert_array_equal(gathered(gather_moves(*index), x, shape), expected)


@pytest.mark.parametrize("axis", range(3))
def test_concat(axis: int) -> None:
    parts = [np.arange(24).reshape(2, 3, 4), np.arange(100, 124).reshape(2, 3, 4)]
    expected = np.concatenate(parts, axis)
    moves = concat_moves([(2, 3, 4), (2, 3, 4)], axis)
    assert [move.input for move in moves] == [0, 1]
    shape = (expected.shape[0], expected.shape[1], expected.shape[2])
    result = [gathered([move], part, shape) for move, part in zip(moves, parts, strict=True)]
    np.testing.assert_array_equal(np.maximum(*result), expected)


def test_whole_interleaved_and_transposed() -> None:
    x = np.arange(24).reshape(2, 3, 4)
    np.testing.assert_array_equal(gathered([whole_move(0, (2, 3, 4))], x, (2, 3, 4)), x)
    np.testing.assert_array_equal(gathered([transpose_move((2, 3, 4))], x, (2, 4, 3)), x.swapaxes(1, 2))
    spread = gathered([interleave_move(0, (2, 3, 4), (1, 0), (2, 3))], x, (2, 6, 12))
    np.testing.assert_array_equal(spread[:, 1::2, ::3], x)
    assert np.count_nonzero(spread != -9) == 24
