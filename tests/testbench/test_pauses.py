# SPDX-License-Identifier: Apache-2.0
from itertools import islice

import pytest

from systolith.testbench.pauses import Pauses


def test_never_by_default() -> None:
    pauses = Pauses()
    assert pauses.never
    assert list(islice(pauses.gaps(), 5)) == [0] * 5


def test_refuses_a_probability_outside_0_to_1() -> None:
    with pytest.raises(ValueError, match=r"pause probability must be in 0..1, got 1.5"):
        Pauses(probability=1.5)


def test_refuses_pauses_without_length() -> None:
    with pytest.raises(ValueError, match="the longest pause must be at least 1 cycle, got 0"):
        Pauses(longest=0)


def test_gaps_have_the_probability_and_lengths_asked_for() -> None:
    gaps = list(islice(Pauses(probability=0.25, longest=3, seed=1).gaps(), 4000))
    assert set(gaps) == {0, 1, 2, 3}
    assert 800 < sum(gap > 0 for gap in gaps) < 1200


def test_a_seed_reproduces_its_gaps() -> None:
    first, again, other = (list(islice(Pauses(probability=0.5, seed=seed).gaps(), 50)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
