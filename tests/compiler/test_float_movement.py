# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from systolith.compiler.float_movement import argmax, concat, pad, take

X = np.arange(12.0).reshape(2, 6)


def test_argmax_of_equals() -> None:
    x = np.array([[3.0, 1.0, 3.0]])
    assert argmax(x, 1, keepdims=False, last=False).tolist() == [0]
    assert argmax(x, 1, keepdims=True, last=True).tolist() == [[2]]
    assert argmax(x, 1, keepdims=True, last=True).dtype == np.int64


def test_concat_repeats_a_single_sample() -> None:
    assert concat([X, np.array([[7.0]])], 1)[:, -1].tolist() == [7, 7]
    assert concat([X, X[:1]], 0).shape == (3, 6)


@pytest.mark.parametrize(
    ("start", "step", "count", "expected"),
    [(1, 2, 2, [1, 3]), (5, -2, 3, [5, 3, 1]), (3, 1, 0, []), (0, 1, None, [0, 1, 2, 3, 4, 5])],
)
def test_take(start: int, step: int, count: int | None, expected: list[int]) -> None:
    assert take(X, (0, start), (1, step), (None, count))[0].tolist() == expected


def test_pad_lists_all_beginnings_first() -> None:
    assert pad(X, (1, 0, 0, 2), "constant", 9.0)[:, -3:].tolist() == [[9, 9, 9], [5, 9, 9], [11, 9, 9]]
    assert pad(X, (0, 1, 0, 0), "edge", 9.0)[1].tolist() == [6, 6, 7, 8, 9, 10, 11]
    assert pad(X, (0, 0, 0, 2), "reflect", 9.0)[0, -3:].tolist() == [5, 4, 3]
    assert pad(X, (0, 0, 0, 2), "wrap", 9.0)[0, -3:].tolist() == [5, 0, 1]
