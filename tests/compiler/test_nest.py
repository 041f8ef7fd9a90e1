# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools

import numpy as np
import pytest

from systolith.compiler.nest import Span, Stride, extremes, make_loops, make_walk, relative_steps, split_evenly
from systolith.spec.isa import LOOPS, Descriptor, Loop, Op


def _walked(start: int, counts: list[int], steps: list[int]) -> list[int]:
    """The positions a hardware walk visits: one addition an iteration."""
    position, visited = start, []
    last = [count - 1 for count in counts]
    for indices in itertools.product(*(range(count) for count in reversed(counts))):
        visited.append(position)
        innermost_first = indices[::-1]
        for level, index in enumerate(innermost_first):
            if index != last[level]:
                position += steps[level]
                break
    return visited


@pytest.mark.parametrize("seed", range(10))
def test_relative_steps_visit_what_the_strides_say(seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts, strides = rng.integers(1, 4, 4).tolist(), rng.integers(-9, 10, 4).tolist()
    expected = [
        5 + sum(index * stride for index, stride in zip(indices[::-1], strides, strict=True))
        for indices in itertools.product(*(range(count) for count in reversed(counts)))
    ]
    assert _walked(5, counts, relative_steps(counts, strides)) == expected


def test_loops_of_one_iteration_have_no_step() -> None:
    assert relative_steps([1, 2], [7, 3]) == [0, 3]


def test_make_loops_fills_up_with_single_iterations() -> None:
    loops = make_loops([Stride(3, col=2), Stride(2, row=10)])
    assert loops == (Loop(3, 0, 2), Loop(2, 10, -4), *[Loop()] * (LOOPS - 2))


def test_make_walk_folds_the_return_trips() -> None:
    walk = make_walk(100, (3, 4), (2, 50), (2, 2))
    assert (walk.base, walk.x, walk.y, walk.block) == (100, 4, 50 - 8, 2 - 8 - 50)


def test_extremes_of_a_walk_that_goes_back_and_forth() -> None:
    loops = make_loops([Stride(3, col=4), Stride(2, row=10, col=-20)])
    descriptor = Descriptor(op=Op.MATRIX, row_start=-10, col_start=1, loops=loops)
    assert extremes(descriptor) == ((-10, 0), (-19, 9))


@pytest.mark.parametrize(("size", "limit", "expected"), [(10, 4, [4, 3, 3]), (8, 8, [8]), (9, 8, [5, 4]), (1, 5, [1])])
def test_split_evenly(size: int, limit: int, expected: list[int]) -> None:
    parts = list(split_evenly(Span(3, 3 + size), limit))
    assert [part.count for part in parts] == expected
    assert [parts[0].start, parts[-1].stop] == [3, 3 + size]
    assert all(one.stop == other.start for one, other in itertools.pairwise(parts))
