# SPDX-License-Identifier: Apache-2.0
import numpy as np

from systolith.spec.link import Counter
from systolith.testbench.tallies import TALLY_BITS, TallyLog

SIZE = len(Counter)


def record(**counts: int) -> int:
    """A record's raw bits."""
    return sum(value << (TALLY_BITS * Counter[name]) for name, value in counts.items())


def test_records_from_raw_bits() -> None:
    log = TallyLog.from_raw([record(CYCLES=3, WORK=0xFFFF_FFFF)], [False])
    assert log.counts.tolist() == [[3, *[0] * (SIZE - 2), 0xFFFF_FFFF]]
    assert log.ends.tolist() == [False]


def test_no_records_keep_their_shape() -> None:
    log = TallyLog.from_raw([], [])
    assert log.counts.shape == (0, SIZE)
    assert log.runs() == []


def test_what_follows_the_last_window_belongs_to_the_last_descriptor() -> None:
    raw = [record(ACTIVE=5), record(ACTIVE=1, DRAIN=2), record(DRAIN=9), record(VECTOR=4), record(CONTROL=1)]
    first, second = TallyLog.from_raw(raw, [False, False, True, False, True]).runs()
    assert [one[Counter.ACTIVE] for one in first] == [5, 1]
    assert [one[Counter.DRAIN] for one in first] == [0, 11]
    assert [(one[Counter.VECTOR], one[Counter.CONTROL]) for one in second] == [(4, 1)]


def test_a_run_without_descriptors_and_one_that_has_not_ended() -> None:
    log = TallyLog.from_raw([record(CONTROL=3), record(ACTIVE=5)], [True, False])
    assert log.runs() == [()]


def test_cutting_changes_nothing_in_the_log() -> None:
    log = TallyLog.from_raw([record(ACTIVE=5), record(DRAIN=9)], [False, True])
    before = log.counts.copy()
    log.runs()
    assert np.array_equal(log.counts, before)
