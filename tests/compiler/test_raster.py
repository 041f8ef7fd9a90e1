# SPDX-License-Identifier: Apache-2.0
"""Planned axes against a simulation of what the depthwise feed sees along one axis."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from systolith.compiler.raster import Axis, AxisPlan, plan_axis

SLOTS = (1, 2, 3, 6, 9)
UNDEFINED = None
"""What lies beyond a raster's axis: another row, another pass, or nothing yet."""


def _random_axis(rng: np.random.Generator) -> Axis:
    """Any tile of any axis; pads up to more than the kernel's length, on either side."""
    kernel, stride = int(rng.integers(1, 16)), int(rng.integers(1, 4))
    return Axis(
        size=int(rng.integers(1, 21)),
        kernel=kernel,
        stride=stride,
        pad=int(rng.integers(0, kernel + 3)) if rng.random() < 0.8 else 0,
        first=int(rng.integers(0, 6)),
        outputs=int(rng.integers(1, 16)),
    )


def _stream(axis: Axis, plan: AxisPlan, group: int) -> dict[int, int]:
    """Input pixels of a group's raster by place."""
    return {place: plan.starts[group] + place * plan.step for place in range(plan.length)}


def _mask(plan: AxisPlan, slots: int, slot: int, place: int) -> bool:
    places = (0, 1, plan.last - 1, plan.last)
    return any(place == at and plan.masks >> (part * slots + slot) & 1 for part, at in enumerate(places))


def _wrong_taps(axis: Axis, plan: AxisPlan, slots: int) -> Iterator[str]:
    """Taps that do not read their pixel, or the fill where that lies outside the input."""
    streams = [_stream(axis, plan, group) for group in range(plan.groups)]
    for output in range(axis.outputs):
        place = output * (plan.skip + 1)
        seen = []
        for group, slot in itertools.product(range(plan.groups), range(slots)):
            tap = plan.taps[group][slot]
            if tap < 0:
                continue
            seen.append(tap)
            pixel = streams[group].get(place + plan.lag - (slots - 1 - slot), UNDEFINED)
            wanted = (axis.first + output) * axis.stride - axis.pad + tap
            if 0 <= wanted < axis.size:
                right = pixel == wanted and not _mask(plan, slots, slot, place)
            else:
                outside = pixel is not UNDEFINED and not 0 <= pixel < axis.size
                right = outside or _mask(plan, slots, slot, place)
            if not right:
                yield f"output {output}, tap {tap}: pixel {pixel}, not {wanted}"
        if sorted(seen) != list(range(axis.kernel)):
            yield f"output {output}: taps {seen}"


def _check(axis: Axis, plan: AxisPlan, slots: int) -> None:
    assert not list(_wrong_taps(axis, plan, slots)), (axis, plan)
    assert plan.last == (axis.outputs - 1) * (plan.skip + 1) < plan.length
    assert 0 <= plan.lag < slots
    # one loop of the nest visits all groups
    assert len(set(np.diff(plan.starts))) <= 1, (axis, plan)
    assert all(len(group) == slots for group in plan.taps)
    assert plan.groups == -(-axis.kernel // slots)


@pytest.mark.parametrize("slots", SLOTS)
@pytest.mark.parametrize("masked", [True, False])
def test_every_tap_of_every_output_reads_its_pixel(slots: int, masked: bool) -> None:
    for seed in range(400):
        axis = _random_axis(np.random.default_rng(seed))
        plan = plan_axis(axis, slots, masked=masked)
        _check(axis, plan, slots)
        assert masked or plan.masks == 0


def _regular_groups(kernel: int, slots: int) -> Iterator[tuple[tuple[int, ...], ...]]:
    """A kernel cut from its end, and from its start where the groups then have equal distances."""
    groups = -(-kernel // slots)
    ends = [list(range(kernel - 1 - (groups - 1) * slots, kernel, slots))]
    if groups == 2 or kernel % slots == 0:
        ends.append(sorted({*range(slots - 1, kernel, slots), kernel - 1}))
    for newest in ends:
        cut = []
        for before, last in zip([-1, *newest], newest, strict=False):
            cut.append(tuple(tap if tap > before else -1 for tap in range(last - slots + 1, last + 1)))
        yield tuple(cut)


def _needed_masks(axis: Axis, plan: AxisPlan, slots: int) -> int:
    """Padding that would read another row or pass. No other mask helps."""
    table = 0
    for output, slot, (group, taps) in itertools.product(range(axis.outputs), range(slots), enumerate(plan.taps)):
        place, tap = output * axis.stride, taps[slot]
        pixel = _stream(axis, plan, group).get(place + plan.lag - (slots - 1 - slot), UNDEFINED)
        if tap >= 0 and pixel is UNDEFINED and not 0 <= axis.origin + place + tap < axis.size:
            table |= sum(
                1 << (part * slots + slot) for part, at in enumerate((0, 1, plan.last - 1, plan.last)) if place == at
            )
    return table


def _is_possible(axis: Axis, slots: int, length: int, *, masked: bool) -> bool:
    """Whether any raster of a length is right with any lag, grouping and mask."""
    for taps, lag in itertools.product(_regular_groups(axis.kernel, slots), range(slots)):
        firsts = [next((slot, tap) for slot, tap in enumerate(group) if tap >= 0) for group in taps]
        plan = AxisPlan(
            length=length,
            step=1,
            lag=lag,
            last=axis.last,
            skip=axis.stride - 1,
            starts=tuple(axis.origin + tap - slot + slots - 1 - lag for slot, tap in firsts),
            taps=taps,
            masks=0,
        )
        if masked:
            plan = replace(plan, masks=_needed_masks(axis, plan, slots))
        if next(_wrong_taps(axis, plan, slots), None) is None:
            return True
    return False


@pytest.mark.parametrize("slots", [2, 3, 6])
@pytest.mark.parametrize("masked", [True, False])
def test_no_shorter_raster_is_possible(slots: int, masked: bool) -> None:
    for seed in range(80):
        axis = _random_axis(np.random.default_rng(seed))
        plan = plan_axis(axis, slots, masked=masked)
        shorter = range(axis.last + 1, plan.length)
        assert not [one for one in shorter if _is_possible(axis, slots, one, masked=masked)], (axis, plan)
        assert plan.length <= axis.last + slots


@pytest.mark.parametrize("size", [2, 3, 4, 5, 16, 49])
def test_a_same_convolution_of_3_taps_reads_nothing_extra(size: int) -> None:
    plan = plan_axis(Axis(size=size, kernel=3, stride=1, pad=1, first=0, outputs=size), 3)
    assert (plan.length, plan.lag, plan.starts) == (size, 1, (0,))
    # the tap before at the first place, the tap behind at the last
    assert plan.masks & 0b111 == 0b001
    assert plan.masks >> 9 == 0b100


def test_one_slot_visits_what_the_outputs_need() -> None:
    plan = plan_axis(Axis(size=9, kernel=4, stride=2, pad=1, first=3, outputs=2), 1)
    assert (plan.length, plan.step, plan.starts, plan.masks, plan.skip) == (2, 2, (5, 6, 7, 8), 0, 0)


def test_longer_kernels_are_cut_into_groups() -> None:
    plan = plan_axis(Axis(size=32, kernel=5, stride=1, pad=2, first=0, outputs=32), 3)
    # the groups lie on either side of the outputs, and share a lag
    assert (plan.groups, plan.length) == (2, 33)
    assert sorted(tap for group in plan.taps for tap in group if tap >= 0) == [0, 1, 2, 3, 4]
