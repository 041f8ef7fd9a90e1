# SPDX-License-Identifier: Apache-2.0
"""Closed forms against a clock that issues window after window (:mod:`tests.support.engine_clock`)."""

from __future__ import annotations

from collections import Counter as Tally
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from systolith.compiler.issue_model import IssueModel, output_pixels
from systolith.compiler.nest import Stride, make_loops
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.isa import Descriptor, Op, output_counts
from systolith.spec.link import Counter
from tests.support.engine_clock import IssueClock
from tests.support.random_shapes import random_shape

ARCHS = [
    PRESETS["tiny"],
    PRESETS["4x4"],
    PRESETS["8x8"],
    PRESETS["16x16"],
    PRESETS["tiny"].with_(name="single port", act_single_port=True, residual=False),
    PRESETS["8x8"].with_(name="straight single port", act_single_port=True, residual=False),
    PRESETS["8x8"].with_(name="two cycles a vector", lane_cycles=2, weight_rows=1),
    Arch(name="weights rule", rows=32, cols=2, psum_spacing=4, weight_rows=1, act_lines=256),
]


@dataclass(frozen=True)
class _Issue:
    """A descriptor whose windows are issued from cycle ``start`` on, and its sums taken from ``begun`` on."""

    descriptor: Descriptor
    start: int
    begun: int


Outcome = tuple[dict[Counter, int], int, int, int, int]
"""Cycles by cause, the next cycle and that of the next weights, the last store's and when it is known."""


def _modelled(
    arch: Arch, descriptors: list[Descriptor], rng: np.random.Generator
) -> tuple[list[_Issue], list[Outcome]]:
    """Issue descriptors with small gaps. Only two MATRIX may meet in the lanes, and only where accumulators wait."""
    model = IssueModel(arch, now=1, weights=7)
    schedule: list[_Issue] = []
    outcomes: list[Outcome] = []
    before = Op.END
    for descriptor in descriptors:
        drained = arch.buffered and before == descriptor.op == Op.MATRIX
        model.counts = Tally()
        model.now = max(model.now + int(rng.integers(1, 6)), 0 if drained else model.stored)
        schedule.append(_Issue(descriptor, model.now, model.stored + int(rng.integers(1, 4))))
        model.issue(descriptor, schedule[-1].begun, before == Op.MATRIX)
        before = descriptor.op
        outcomes.append((dict(+model.counts), model.now, model.weights, model.known, model.stored))
    return schedule, outcomes


def _clocked(arch: Arch, schedule: list[_Issue]) -> list[Outcome]:
    clock, begun = IssueClock(arch, cycle=1, weights=7), {one.begun for one in schedule}
    parts: list[tuple[dict[Counter, int], int, int]] = []

    def tick() -> Counter | None:
        if clock.cycle in begun:
            clock.release()
        return clock.tick()

    for one in schedule:
        while clock.cycle < one.start:
            tick()
        clock.begin(one.descriptor)
        counts: Tally[Counter] = Tally()
        while clock.pending:
            counts[tick() or Counter.CYCLES] += 1
        parts.append((dict(counts), clock.cycle, clock.weights))
    while clock.unknown:
        tick()
    return [(*part, *foreseen) for part, foreseen in zip(parts, clock.foreseen[1:], strict=True)]


@pytest.mark.parametrize("arch", ARCHS, ids=lambda arch: arch.name)
def test_windows_are_issued_as_by_the_clock(arch: Arch) -> None:
    for seed in range(60):
        rng = np.random.default_rng(seed)
        shapes = [random_shape(rng, arch) for _ in range(rng.integers(1, 6))]
        shapes = [replace(one, apart=bool(rng.random() < 0.3)) for one in shapes]
        shapes = [replace(one, fresh=one.op == Op.MATRIX and bool(rng.random() < 0.3)) for one in shapes]
        schedule, outcomes = _modelled(arch, shapes, rng)
        for number, (got, want) in enumerate(zip(outcomes, _clocked(arch, schedule), strict=True)):
            assert got == want, f"seed {seed}, descriptor {number}: {schedule[number]}"


def test_random_shapes_know_every_cause() -> None:
    """What the test above compares is not empty: every cause comes up where it can."""
    met: dict[str, Tally[Counter]] = {}
    for arch in ARCHS:
        for seed in range(60):
            rng = np.random.default_rng(seed)
            _, outcomes = _modelled(arch, [random_shape(rng, arch) for _ in range(rng.integers(1, 6))], rng)
            for outcome in outcomes:
                met.setdefault(arch.name, Tally()).update(outcome[0])
    always = {Counter.ACTIVE, Counter.WEIGHTS, Counter.VECTOR, Counter.MEMORY}
    for arch in ARCHS:
        assert set(met[arch.name]) == always | ({Counter.LANES} if arch.buffered else set()), arch.name


def _shape(op: Op, *counts: int, **fields: Any) -> Descriptor:
    return Descriptor(op=op, loops=make_loops([Stride(count) for count in counts]), **fields)


def test_output_pixels_of_each_kind() -> None:
    assert output_counts(_shape(Op.MATRIX, 5, 4, 3, 2)) == (5, 4)
    assert output_counts(_shape(Op.VECTOR, 5, 4, 3, 2, 6)) == (2, 6)
    raster = _shape(Op.MATRIX, 9, 8, depthwise=True, last_x=6, skip_x=2, last_y=7)
    assert (output_counts(raster), output_pixels(raster)) == ((3, 8), 24)


def test_blocks_wait_for_a_bank_where_the_drain_is_slower_than_the_array() -> None:
    """Banks are read 64 pixels of 4 cycles, blocks filled in 3 passes of 64; the first read is 14 cycles after the
    last window. The third block begins at 215 + 256 - 3 and not at 394, the fourth 256 later and not 192.
    """
    model = IssueModel(PRESETS["4x4"], now=10)
    model.issue(_shape(Op.MATRIX, 8, 8, 3, 1, 1, 4), 0, False)
    assert +model.counts == {Counter.ACTIVE: 4 * 3 * 64, Counter.LANES: (468 - 394) + (256 - 192)}


def test_fresh_weights_are_waited_for_from_the_start_on() -> None:
    """They are there 4 cycles after the start, where the first window could be issued a cycle after it."""
    model = IssueModel(PRESETS["8x8"], now=10, weights=2)
    model.issue(_shape(Op.MATRIX, 8, fresh=True), 0, False)
    assert +model.counts == {Counter.WEIGHTS: 3, Counter.ACTIVE: 8}


def test_last_passes_are_as_long_as_the_others_where_the_drain_keeps_up() -> None:
    model = IssueModel(PRESETS["4x4"], now=10)
    model.issue(_shape(Op.MATRIX, 8, 8, 5, 1, 1, 4), 0, False)
    assert (+model.counts, model.now) == ({Counter.ACTIVE: 4 * 5 * 64}, 10 + 4 * 5 * 64)
