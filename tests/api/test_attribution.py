# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from systolith.api.attribution import CAUSES, attribution, class_of, class_title, named
from systolith.spec.arch import PRESETS
from systolith.spec.link import Counter

NOT_WAITS = {Counter.CYCLES, Counter.ACTIVE, Counter.WORK}


def test_every_counter_of_a_cause_is_in_one_class() -> None:
    listed = [counter for _, members in CAUSES.values() for counter in members]
    assert sorted(listed) == sorted(set(Counter) - NOT_WAITS)


def test_classes_share_the_slots_as_their_counters_say() -> None:
    counters = dict.fromkeys(Counter, 0) | {
        Counter.CYCLES: 100,
        Counter.ACTIVE: 50,
        Counter.WORK: 64 * 40,
        Counter.WEIGHTS: 20,
        Counter.LANES: 5,
        Counter.DRAIN: 10,
        Counter.VECTOR: 8,
        Counter.CONTROL: 7,
    }
    expected = {"useful": 0.4, "idle": 0.1, "weight_load": 0.2, "memory_stall": 0, "drain": 0.15, "non_matrix": 0.15}
    assert attribution(counters, PRESETS["8x8"]) == pytest.approx(expected)
    assert named(counters)["work"] == 2560


def test_a_counter_that_no_class_lists_is_shown_and_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CAUSES, "drain", ("results", (Counter.DRAIN,)))
    assert class_of(Counter.LANES) == class_title("lanes") == "lanes"
    counters = dict.fromkeys(Counter, 0) | {Counter.CYCLES: 10, Counter.LANES: 4, Counter.DRAIN: 6}
    shares = attribution(counters, PRESETS["8x8"])
    assert (shares["lanes"], shares["drain"]) == (0.4, 0.6)
    assert sum(shares.values()) == pytest.approx(1)
