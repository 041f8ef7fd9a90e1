# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from systolith.testbench.isa_model import StoreTrace
from systolith.testbench.job import StoreLog
from systolith.testbench.scoreboard import compare_stores, compare_tensors


def traces() -> list[StoreTrace]:
    first = StoreTrace(0, np.array([0, 2]), np.array([[1, 2], [3, 4]]))
    return [first, StoreTrace(1, np.array([8]), np.array([[5, 6]]))]


def log(addresses: list[int], data: list[list[int]]) -> StoreLog:
    return StoreLog(np.arange(100, 100 + len(addresses)), np.array(addresses), np.array(data))


def test_equal_tensors() -> None:
    assert compare_tensors(np.arange(6), np.arange(6)) is None


def test_first_of_two_differing_elements() -> None:
    got = np.zeros((2, 3), dtype=np.int64)
    got[0, 2], got[1, 1] = 7, 8
    found = compare_tensors(np.zeros((2, 3), dtype=np.int64), got)
    assert str(found) == "element (0, 2): expected 0, got 7 (2 elements differ)"


def test_tensors_of_different_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \(2,\), got \(3,\)"):
        compare_tensors(np.zeros(2, dtype=np.int64), np.zeros(3, dtype=np.int64))


def test_equal_stores() -> None:
    assert compare_stores(traces(), log([0, 2, 8], [[1, 2], [3, 4], [5, 6]])) is None


def test_a_wrong_value() -> None:
    found = compare_stores(traces(), log([0, 2, 8], [[1, 2], [3, 4], [5, 7]]))
    assert found is not None
    assert (found.descriptor, found.step, found.lane, found.expected, found.got, found.cycle) == (1, 0, 1, 6, 7, 102)


def test_a_wrong_address() -> None:
    found = compare_stores(traces(), log([0, 4, 8], [[1, 2], [3, 4], [5, 6]]))
    assert found is not None
    assert (found.step, found.expected_address, found.got_address, found.cycle) == (1, 2, 4, 101)


def test_a_missing_store() -> None:
    found = compare_stores(traces(), log([0, 2], [[1, 2], [3, 4]]))
    assert found is not None
    assert (found.descriptor, found.expected_address, found.got_address, found.cycle) == (1, 8, None, None)


def test_a_store_too_many() -> None:
    found = compare_stores(traces(), log([0, 2, 8, 10], [[1, 2], [3, 4], [5, 6], [9, 9]]))
    assert found is not None
    assert (found.expected_address, found.got_address, found.got, found.cycle) == (None, 10, 9, 103)
