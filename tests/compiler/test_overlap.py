# SPDX-License-Identifier: Apache-2.0
"""Leads are the largest that are safe: by the rule of :mod:`systolith.spec.isa`, told element by element, and on the
clock of the whole control, where no element is read before it is stored.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from systolith.compiler.nest import Stride, make_loops, make_walk
from systolith.compiler.overlap import overlap
from systolith.spec import timing
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.isa import Descriptor, Op, Walk, lead_free
from tests.support.engine_clock import EngineClock, windows
from tests.support.random_shapes import random_shape

PIXELS = 42
"""As many as a random shape has at most."""
SMALL: dict[str, Any] = {"act_lines": 256, "acc_depth": PIXELS}
ARCHS = [
    PRESETS["tiny"].with_(**SMALL),
    PRESETS["4x4"].with_(**SMALL),
    PRESETS["8x8"].with_(**SMALL),
    PRESETS["16x16"].with_(**SMALL),
    PRESETS["8x8"].with_(name="four cycles a vector", lane_cycles=4, act_segments=1, **SMALL),
    PRESETS["tiny"].with_(name="no residual", residual=False, **SMALL),
    PRESETS["16x16"].with_(name="a long way through the array", lane_cycles=2, act_segments=1, **SMALL),
    Arch(name="16x4", rows=16, cols=4, lane_cycles=2, **SMALL),
]


# ---------------------------------------------------------------------- the rule, element by element


def _visited(start: int, counts: Sequence[int], steps: Sequence[int]) -> Iterator[int]:
    """A hardware walk: one addition an iteration."""
    position = start
    for indices in itertools.product(*(range(count) for count in reversed(counts))):
        yield position
        for level, index in enumerate(indices[::-1]):
            if index != counts[level] - 1:
                position += steps[level]
                break


def _stored(descriptor: Descriptor, walk: Walk, arch: Arch) -> list[set[int]]:
    """Elements of a walk, store by store."""
    across, down = descriptor.loops[0].count, descriptor.loops[1].count
    if descriptor.op == Op.VECTOR:
        across, down = descriptor.loops[3].count, descriptor.loops[4].count
    elif descriptor.depthwise:
        across = len(range(0, descriptor.last_x + 1, descriptor.skip_x + 1))
        down = len(range(0, descriptor.last_y + 1, descriptor.skip_y + 1))
    size = 1 << arch.act_addr_bits
    places = _visited(walk.base, (across, down, descriptor.loops[5].count), (walk.x, walk.y, walk.block))
    return [{(place + lane) % size for lane in range(arch.cols)} for place in places]


def _read(descriptor: Descriptor, arch: Arch) -> list[set[int]]:
    """Elements that meet weights or are pooled, window by window. Below a raster's taps all weights are 0."""
    counts, size = [loop.count for loop in descriptor.loops], 1 << arch.act_addr_bits
    rows = _visited(descriptor.row_start, counts, [loop.row_step for loop in descriptor.loops])
    cols = _visited(descriptor.col_start, counts, [loop.col_step for loop in descriptor.loops])
    lanes = arch.rows if descriptor.op == Op.MATRIX and not descriptor.depthwise else arch.cols
    return [
        {
            (descriptor.base + row + col + lane) % size
            for lane in range(lanes)
            if 0 <= row < descriptor.plane and 0 <= col + lane < descriptor.row_len
        }
        for row, col in zip(rows, cols, strict=True)
    ]


def _earliest(descriptor: Descriptor, arch: Arch, *, paced: bool) -> list[int]:
    """When each window is issued, after the beginning, if nothing but weights (``paced``) is waited for."""
    cycles, cycle, start = [], timing.START_LATENCY - 1, -1000
    for window in windows(descriptor):
        cycle += 1
        if window.starts and paced:
            cycle = max(cycle, start + timing.pass_cycles(arch, 0))
            start = cycle
        cycles.append(cycle)
    return cycles


def _first_sum(descriptor: Descriptor, arch: Arch) -> int:
    """Its earliest cycle, after the beginning."""
    issued, made = _earliest(descriptor, arch, paced=True), list(windows(descriptor))
    vector = descriptor.op == Op.VECTOR
    if arch.buffered and not vector:
        filled = next(cycle for cycle, one in zip(issued, made, strict=True) if one.pixels)
        return filled + timing.sum_cycles(arch, vector=False) + 1 + timing.DRAIN_LATENCY
    result = next(cycle for cycle, one in zip(issued, made, strict=True) if one.result)
    return result + timing.sum_cycles(arch, vector=vector)


def _distances(program: Sequence[Descriptor], number: int, arch: Arch) -> list[int]:
    """Least cycles from each store of a descriptor to its last.

    Where residual operands or stores may delay windows, a pass that waits for weights catches up: only windows count.
    """
    descriptor, pace = program[number], arch.lane_cycles
    operands = any(one.residual for one in program[max(0, number - 1) : number + 1]) and not descriptor.apart
    paced = not (descriptor.depthwise or operands or arch.act_single_port)
    made = zip(_earliest(descriptor, arch, paced=paced), windows(descriptor), strict=True)
    results = [cycle for cycle, window in made if window.result]
    if arch.buffered and descriptor.op == Op.MATRIX:
        results = list(range(0, len(results) * pace, pace))
    if len(results) > 1 and descriptor.op == Op.VECTOR:
        results = [index * max(pace, results[1] - results[0]) for index in range(len(results))]
    return [results[-1] - result for result in results]


def _is_safe(program: Sequence[Descriptor], number: int, lead: int, arch: Arch) -> bool:
    """Whether a descriptor may begin in cycle 0 when the last store of those before is made in cycle ``lead``."""
    descriptor, before = program[number], program[number - 1]
    drained = arch.buffered and descriptor.op == before.op == Op.MATRIX
    if not drained and _first_sum(descriptor, arch) < lead + 2:
        return False
    latest: dict[int, int] = {}
    for elements, distance in zip(
        _stored(before, before.out, arch), _distances(program, number - 1, arch), strict=True
    ):
        latest |= dict.fromkeys(elements, lead - distance)
    issued = _earliest(descriptor, arch, paced=not descriptor.depthwise)
    return all(
        latest.get(element, -1) < cycle + timing.READ_LATENCY
        for elements, cycle in zip(_read(descriptor, arch), issued, strict=False)
        for element in elements
    )


def _random(rng: np.random.Generator, arch: Arch) -> list[Descriptor]:
    return [random_shape(rng, arch) for _ in range(rng.integers(2, 5))]


@pytest.mark.parametrize("arch", ARCHS, ids=lambda arch: arch.name)
def test_leads_are_the_largest_that_are_safe(arch: Arch) -> None:
    free = lead_free(arch)
    for seed in range(25):
        program = overlap(_random(np.random.default_rng(seed), arch), arch)
        for number, descriptor in enumerate(program[1:], 1):
            lead, where = descriptor.lead, f"seed {seed}, descriptor {number}, lead {descriptor.lead}"
            if lead == free:
                assert arch.buffered, where
                assert descriptor.op == program[number - 1].op == Op.MATRIX, where
                continue
            assert _is_safe(program, number, lead, arch), where
            # a raster's outputs lie farther apart than is made use of
            loose = lead == free - 1 or program[number - 1].depthwise
            assert loose or not _is_safe(program, number, lead + 1, arch), where


def _pointwise(out: int, source: int, pixels: int, arch: Arch, *, blocks: int = 1, pitch: int = 0) -> Descriptor:
    """A convolution of a line of pixels, each ``pitch`` elements (R by default) of which it takes R."""
    pitch, cols = pitch or arch.rows, arch.cols
    return Descriptor(
        op=Op.MATRIX,
        loops=make_loops([Stride(pixels, col=pitch), *[Stride()] * 4, Stride(blocks)]),
        base=source,
        plane=1,
        row_len=pixels * pitch,
        out=make_walk(out, (pixels, blocks * cols), (1, 0), (blocks, cols)),
    )


def _pair(pixels: int) -> list[Descriptor]:
    """Two layers, the second on the first one's output."""
    arch = PRESETS["8x8"]
    return overlap([_pointwise(0, 8192, pixels, arch), _pointwise(4096, 0, pixels, arch)], arch)


@pytest.mark.parametrize(("pixels", "lead"), [(4, 5), (12, 13), (14, 15), (15, 16), (16, 17), (40, 18)])
def test_a_known_case_to_the_cycle(pixels: int, lead: int) -> None:
    """Pixel 0, stored ``pixels - 1`` cycles before the last, is read 3 cycles after the beginning, and so on: at most
    ``pixels - 1 + 3 - 1`` cycles may be left. The first sum comes after 2 + 5 + (1 + 4 + 7) + 1 cycles; 2 less may be.
    """
    assert [one.lead for one in _pair(pixels)] == [0, lead]


@pytest.mark.parametrize(
    ("residual", "single_port", "lead"),
    [((), False, 28), ((0,), False, 17), ((1,), False, 17), ((), True, 17)],
    ids=["undisturbed", "operand of the one before", "own operand", "single port"],
)
def test_passes_that_wait_for_weights_catch_up_where_they_are_disturbed(
    residual: tuple[int, ...], single_port: bool, lead: int
) -> None:
    """Blocks of 4 pixels take 8 cycles for their weights. From block 0 of 4 to the last store that is 24 cycles and
    more, and the first sum is what is waited for; but 3 x 4 at least, 3 pixels and 2 cycles where windows are late.
    """
    arch = PRESETS["16x16"].with_(act_segments=1, act_single_port=single_port, residual=not single_port)
    first, second = (_pointwise(place * 4096, 8192, 4, arch, blocks=4) for place in (0, 1))
    made = [replace(one, residual=number in residual) for number, one in enumerate((first, second))]
    third = _pointwise(12288, 4096, 4, arch, pitch=4 * arch.cols)
    assert overlap([*made, third], arch)[2].lead == lead


# ---------------------------------------------------------------------- weights from activations


def _product(first_row: int, rows: int, arch: Arch, *, blocks: int = 1, fresh: bool = True) -> list[int]:
    """Leads of a line of ``rows`` C-vectors stored into the weight memory, and of a MATRIX whose weights begin there.

    They are those of the program's first MATRIX and begin with line 0.
    """
    store = Descriptor(
        op=Op.VECTOR,
        loops=make_loops([*[Stride()] * 3, Stride(rows, col=arch.cols), Stride(), Stride()]),
        to_weights=True,
        out=make_walk(first_row, (rows, 1), (1, 0), (1, 0)),
    )
    use = replace(_pointwise(4096, 8192, 12, arch, blocks=blocks), fresh=fresh)
    return [one.lead for one in overlap([store, use], arch)]


@pytest.mark.parametrize(("rows", "lead"), [(2, 1), (3, 2), (4, 2), (5, 3), (8, 4)])
def test_rows_are_stored_before_their_line_is_fetched(rows: int, lead: int) -> None:
    """Of 2 rows a line, line 0 is fetched 2 cycles after the beginning, after the stores: 1 cycle may be left. A third
    row is in line 1, fetched a cycle later, but then line 0 is complete a cycle before the last store. And so on.
    """
    assert _product(0, rows, PRESETS["8x8"]) == [0, lead]


def test_a_pass_s_weights_are_fetched_with_the_pass_before() -> None:
    """The first is in use 4 cycles after the start, the second's fetched then: 5 cycles may be left to its row 1."""
    arch = PRESETS["8x8"]
    assert _product(arch.rows, 2, arch, blocks=2) == [0, 1 + timing.pass_cycles(arch, 0)]
    assert _product(2 * arch.rows, 2, arch, blocks=3) == [0, 1 + timing.pass_cycles(arch, 0) + 12]


def test_weights_that_lie_elsewhere_or_are_not_fresh_bind_nothing() -> None:
    arch = PRESETS["8x8"]
    free = timing.sum_cycles(arch, vector=False) + timing.START_LATENCY - 2
    assert _product(arch.rows, 2, arch) == _product(0, 2, arch, fresh=False) == [0, free]


def test_a_store_of_weights_leaves_the_activations_alone() -> None:
    """Rows have the numbers of elements that the next descriptor reads."""
    arch = PRESETS["8x8"]
    store = replace(_pointwise(0, 4096, 12, arch), to_weights=True)
    leads = [
        [one.lead for one in overlap([first, _pointwise(4096, 0, 12, arch)], arch)] for first in (store, _pair(12)[0])
    ]
    assert leads[0][1] > leads[1][1]


# ---------------------------------------------------------------------- the clock


def _early_accesses(program: Sequence[Descriptor], arch: Arch) -> list[str]:
    """What is read before it is stored in a real run, and sums that come too early."""
    clock = EngineClock(arch, program)
    clock.run()
    stores, reads = iter(clock.stores), iter(clock.reads)
    written: dict[int, int] = {}
    last, early = -10, []
    for number, descriptor in enumerate(program):
        read = [next(reads) for _ in windows(descriptor)]
        for window, (elements, cycle) in enumerate(zip(_read(descriptor, arch), read, strict=False)):
            if any(written.get(element, -1) >= cycle for element in elements):
                early.append(f"descriptor {number}, window {window}")
        made = [(next(stores), elements) for elements in _stored(descriptor, descriptor.out, arch)]
        sums = [cycle - timing.store_cycles(arch) for cycle, _ in made]
        if sums[0] < last + 2:
            early.append(f"descriptor {number}, first sum")
        if descriptor.residual:
            for summed, elements in zip(sums, _stored(descriptor, descriptor.res, arch), strict=True):
                if any(written.get(element, -1) >= summed + timing.lanes_after_sum(arch) - 1 for element in elements):
                    early.append(f"descriptor {number}, operand")
        written |= {element: cycle for cycle, elements in made for element in elements}
        last = made[-1][0]
    return early


@pytest.mark.parametrize("arch", ARCHS, ids=lambda arch: arch.name)
def test_nothing_is_read_before_it_is_stored(arch: Arch) -> None:
    for seed in range(40):
        program = overlap(_random(np.random.default_rng(seed), arch), arch)
        assert not _early_accesses(program, arch), f"seed {seed}"


def test_the_clock_notices_a_descriptor_that_begins_too_early() -> None:
    first, second = _pair(12)
    late = [lead for lead in range(32) if _early_accesses([first, replace(second, lead=lead)], PRESETS["8x8"])]
    assert late[0] == second.lead + 1


def _behind_two_banks(arch: Arch, second: Descriptor) -> list[str]:
    """What a descriptor reads early of the first of two blocks, both of which wait for the drain when it begins."""
    first = _pointwise(0, arch.act_depth // 2, arch.acc_depth, arch, blocks=2)
    return _early_accesses(overlap([first, second], arch), arch)


@pytest.mark.parametrize("pixels", range(4, 40))
@pytest.mark.parametrize("outside", [1, 2, 3, 4])
def test_sums_in_the_array_are_longer_under_way_than_accumulators(pixels: int, outside: int) -> None:
    """A kernel whose first rows are padding finds a free bank, and a block whose drain has not begun."""
    arch = PRESETS["16x16"].with_(lane_cycles=2, acc_depth=64, act_lines=1024)
    first, second = (_pointwise(place, arch.act_depth // 2 - place, pixels, arch) for place in (0, arch.act_depth // 2))
    nest = [Stride(pixels, col=arch.rows), Stride(), Stride(), Stride(), Stride(outside + 1, row=1)]
    rows = replace(second, row_start=-outside, loops=make_loops(nest))
    assert not _early_accesses(overlap([first, rows], arch), arch)


@pytest.mark.parametrize("depth", range(8, 64))
def test_a_bank_that_is_free_is_not_yet_stored(depth: int) -> None:
    arch = PRESETS["8x8"].with_(lane_cycles=8, acc_depth=depth, act_lines=1024)
    assert not _behind_two_banks(arch, _pointwise(arch.act_depth // 2, 0, depth, arch, pitch=16))


@pytest.mark.parametrize("depth", range(8, 64))
@pytest.mark.parametrize("high", [2, 3, 4])
def test_rasters_begin_before_they_wait_for_a_bank(depth: int, high: int) -> None:
    arch = PRESETS["8x8"].with_(lane_cycles=8, acc_depth=depth, act_lines=1024)
    wide = depth // high
    second = _pointwise(arch.act_depth // 2, 0, depth, arch, pitch=16)
    nest = [Stride(wide, col=16), Stride(high, col=wide * 16)]
    lag = min(arch.tap_rows - 1, high - 1) * wide
    raster = replace(second, depthwise=True, loops=make_loops(nest), lag=lag, last_x=wide - 1)
    assert not _behind_two_banks(arch, raster)


# ---------------------------------------------------------------------- segments


def _with_operand(base: int, arch: Arch, source: int = 0) -> Descriptor:
    """64 elements of input, and an operand of as many at ``base``."""
    one = _pointwise(arch.act_depth // 4, source, 64 // arch.rows, arch)
    return replace(one, residual=True, res=replace(one.out, base=base))


@pytest.mark.parametrize(("offset", "apart"), [(-64, False), (-8, False), (0, True), (64, True)])
def test_operands_are_apart_when_no_segment_holds_both(offset: int, apart: bool) -> None:
    arch = PRESETS["8x8"]
    half = arch.act_depth // 2
    assert [one.apart for one in overlap([_with_operand(half + offset, arch)], arch)] == [apart]
    # and the other way round: the input ends where the upper segment begins, or reaches into it
    assert [one.apart for one in overlap([_with_operand(half, arch, half - 64 - offset)], arch)] == [offset >= 0]


def test_operands_of_the_descriptor_before_are_still_read() -> None:
    arch = PRESETS["8x8"]
    low, high = _with_operand(8, arch), _with_operand(arch.act_depth // 2, arch)
    alone = _pointwise(arch.act_depth // 4, 0, 8, arch)
    assert [one.apart for one in overlap([high, alone, low, alone, alone], arch)] == [True, True, False, False, True]


def test_one_segment_is_never_apart() -> None:
    arch = PRESETS["8x8"]
    for other in (arch.with_(act_segments=1), arch.with_(residual=False)):
        assert not overlap([_pointwise(0, 4096, 8, other)], other)[0].apart


@pytest.mark.parametrize("arch", [one for one in ARCHS if one.act_segments == 2 and one.residual], ids=lambda a: a.name)
def test_promised_segments_are_not_shared(arch: Arch) -> None:
    half, promised = 1 << (arch.act_addr_bits - 1), 0
    for seed in range(40):
        program = overlap(_random(np.random.default_rng(seed), arch), arch)
        operands = [_stored(one, one.res, arch) if one.residual else [] for one in program]
        for number, one in enumerate(program):
            read = {element // half for elements in _read(one, arch) for element in elements}
            taken = {
                element // half for part in operands[max(0, number - 1) : number + 1] for e in part for element in e
            }
            assert not (one.apart and read & taken), f"seed {seed}, descriptor {number}"
            promised += one.apart and bool(taken)
    assert promised
