# SPDX-License-Identifier: Apache-2.0
"""Compares what came with what was expected, whole tensors and whole store traces, and finds the first difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith.testbench.isa_model import StoreTrace
from systolith.testbench.job import StoreLog

__all__ = ["StoreMismatch", "TensorMismatch", "compare_stores", "compare_tensors"]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class TensorMismatch:
    """The first of ``count`` differing elements, in memory order of the tensor's shape."""

    index: tuple[int, ...]
    expected: int
    got: int
    count: int

    def __str__(self) -> str:
        """One line for people."""
        return f"element {self.index}: expected {self.expected}, got {self.got} ({self.count} elements differ)"


def compare_tensors(expected: Ints, got: Ints) -> TensorMismatch | None:
    """The first difference of two integer tensors. Raises ValueError if their shapes differ."""
    if expected.shape != got.shape:
        raise ValueError(f"tensors of one shape are compared: expected {expected.shape}, got {got.shape}")
    places = np.argwhere(expected != got)
    if not len(places):
        return None
    index = tuple(int(position) for position in places[0])
    return TensorMismatch(index, int(expected[index]), int(got[index]), len(places))


@dataclass(frozen=True)
class StoreMismatch:
    """The first store that differs. Addresses are of elements; the lane is the first one that differs."""

    descriptor: int
    step: int
    """Position among the descriptor's stores."""
    lane: int
    expected_address: int | None
    """None: no store was expected any more."""
    expected: int | None
    got_address: int | None
    """None: the store never came."""
    got: int | None
    cycle: int | None


def _differing(trace: StoreTrace, stores: StoreLog) -> StoreMismatch | None:
    """Compare one descriptor's stores with equally many of the log's."""
    wrong = (trace.addresses != stores.addresses)[:, None] | (trace.data != stores.data)
    if not wrong.any():
        return None
    step = int(wrong.any(axis=1).argmax())
    lane = int(wrong[step].argmax())
    return StoreMismatch(
        descriptor=trace.descriptor,
        step=step,
        lane=lane,
        expected_address=int(trace.addresses[step]) + lane,
        expected=int(trace.data[step, lane]),
        got_address=int(stores.addresses[step]) + lane,
        got=int(stores.data[step, lane]),
        cycle=int(stores.cycles[step]),
    )


def _missing(trace: StoreTrace, step: int) -> StoreMismatch:
    address, value = int(trace.addresses[step]), int(trace.data[step, 0])
    return StoreMismatch(trace.descriptor, step, 0, address, value, None, None, None)


def _surplus(last: StoreTrace, stores: StoreLog, position: int) -> StoreMismatch:
    address, value, cycle = stores.addresses[position], stores.data[position, 0], stores.cycles[position]
    return StoreMismatch(last.descriptor, len(last.addresses), 0, None, None, int(address), int(value), int(cycle))


def compare_stores(expected: Sequence[StoreTrace], got: StoreLog) -> StoreMismatch | None:
    """The first difference between the model's stores, one trace a descriptor, and those of the hardware.

    ``expected`` must not be empty.
    """
    position = 0
    for trace in expected:
        there = min(len(trace.addresses), len(got.addresses) - position)
        part = StoreTrace(trace.descriptor, trace.addresses[:there], trace.data[:there])
        mismatch = _differing(part, got[position : position + there])
        if mismatch is not None:
            return mismatch
        if there < len(trace.addresses):
            return _missing(trace, there)
        position += there
    return _surplus(expected[-1], got, position) if position < len(got.addresses) else None
