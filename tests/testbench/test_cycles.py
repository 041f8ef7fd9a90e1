# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from systolith.compiler.lower import lower
from systolith.compiler.model import predict
from systolith.spec.arch import PRESETS
from systolith.spec.link import Counter
from systolith.testbench.cycles import locate_cycles
from tests.support.random_graphs import random_network

PROGRAM = lower(random_network(3), PRESETS["tiny"])
EXPECTED = predict(PROGRAM).descriptors


def changed(index: int, **changes: int) -> list[dict[Counter, int]]:
    """The expected counters, some of one descriptor raised."""
    counts = [dict(one) for one in EXPECTED]
    for name, amount in changes.items():
        counts[index][Counter[name]] += amount
    return counts


def test_equal_counters_have_no_place() -> None:
    assert locate_cycles(PROGRAM, EXPECTED, changed(0)) is None


def test_the_first_descriptor_and_its_first_cause_are_named() -> None:
    layer = PROGRAM.layers[-1]
    got = changed(layer.first, CYCLES=2, MEMORY=1, LANES=1, WORK=5)
    place = locate_cycles(PROGRAM, EXPECTED, got)
    assert place is not None
    assert (place.layer, place.tile, place.descriptor, place.counter) == (layer.name, 0, layer.first, Counter.MEMORY)
    predicted = EXPECTED[layer.first][Counter.MEMORY]
    assert str(place) == (
        f"layer {layer.name!r}, tile 0 (descriptor {layer.first}): "
        f"counter MEMORY is {predicted + 1}, the cycle model says {predicted}"
    )


def test_work_alone_is_a_difference() -> None:
    place = locate_cycles(PROGRAM, EXPECTED, changed(0, WORK=1))
    assert place is not None
    assert place.counter == Counter.WORK


def test_runs_of_another_length_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match=rf"expected the counters of {len(EXPECTED)} descriptors, got 1"):
        locate_cycles(PROGRAM, EXPECTED, EXPECTED[:1])
