# SPDX-License-Identifier: Apache-2.0
"""Cycles by cause of each descriptor, as counted beside the simulated engine.

A record is made when a descriptor's last window is issued and another when the run ends; it holds what was counted
since the one before. So a descriptor has its own windows and everything that was waited for before them, and the last
one also what follows its windows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from systolith.spec.link import Counter

__all__ = ["TALLY_BITS", "TallyLog"]

TALLY_BITS = 32
"""Bits of a count."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class TallyLog:
    """Records in the order made: counts (N, counters), ordered as :class:`Counter`, and whether a run ended (N,)."""

    counts: Ints
    ends: NDArray[np.bool_]

    @classmethod
    def from_raw(cls, raw: Iterable[int], ends: list[bool]) -> TallyLog:
        """From records whose counts lie side by side, counter 0 in the least significant bits."""
        mask, shifts = (1 << TALLY_BITS) - 1, range(0, TALLY_BITS * len(Counter), TALLY_BITS)
        rows = [[value >> shift & mask for shift in shifts] for value in raw]
        counts = np.array(rows, dtype=np.int64).reshape(-1, len(Counter))
        return cls(counts, np.array(ends, dtype=np.bool_))

    def runs(self) -> list[tuple[dict[Counter, int], ...]]:
        """The counts of each descriptor of each complete run."""
        bounds = [0, *(int(place) + 1 for place in np.flatnonzero(self.ends))]
        return [_descriptors(self.counts[start:stop]) for start, stop in pairwise(bounds)]


def _descriptors(records: Ints) -> tuple[dict[Counter, int], ...]:
    """One run's records as descriptors: what follows the last window belongs to the last descriptor."""
    rows = records[:-1].copy()
    rows[-1:] += records[-1]
    return tuple({counter: int(row[counter]) for counter in Counter} for row in rows)
