# SPDX-License-Identifier: Apache-2.0
"""The whole engine against the ISA model, store by store, and against the cycle model, counter by counter."""

from __future__ import annotations

import random
from array import array
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from systolith.compiler.model import predict
from systolith.compiler.nest import Stride, make_loops
from systolith.compiler.runtime import load_words, unpack_fields
from systolith.hdl.engine import Engine
from systolith.spec import link, timing
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.encoding import decode_program, encode_program
from systolith.spec.image import Program
from systolith.spec.isa import Op
from systolith.spec.link import DONE, Counter, Space
from systolith.testbench.isa_model import IsaModel
from systolith.testbench.job import LinkJob, LinkLog
from systolith.testbench.pauses import Pauses
from systolith.testbench.runner.amaranth_sim import simulate
from tests.support.random_programs import ProgramBuilder, random_lines

SMALL: dict[str, Any] = {
    "act_lines": 256,
    "weight_lines": 512,
    "param_lines": 64,
    "acc_depth": 64,
    "program_words": 512,
}
ARCHES = {
    "tiny": PRESETS["tiny"].with_(**SMALL),
    "4x4": PRESETS["4x4"].with_(**SMALL),
    "8x4": Arch(name="8x4", rows=8, cols=4, weight_rows=2, lane_cycles=2, act_granule=2, **SMALL),
    "4x8": Arch(
        name="4x8", rows=4, cols=8, psum_spacing=2, act_segments=2, weight_bits=4, **(SMALL | {"act_lines": 128})
    ),
    "wide activations": Arch(name="16", rows=2, cols=2, psum_spacing=1, act_bits=16, acc_bits=48, **SMALL),
    "precise": Arch(name="precise", rows=2, cols=2, psum_spacing=1, precision=2, **SMALL),
    "a lane a column, tables": PRESETS["8x8"].with_(tables=4, act_bits=6, dynamic_weights=False, **SMALL),
    "single port": PRESETS["up5k"].with_(**SMALL),
    "bare": PRESETS["tiny"].with_(residual=False, pool=False, narrow_weights=False, **SMALL),
    "8x8": PRESETS["8x8"].with_(**(SMALL | {"act_lines": 128})),
}
DYNAMIC = {name: ARCHES[name].with_(dynamic_weights=True) for name in ("tiny", "4x4", "8x4", "bare")}


def builder(arch: Arch, seed: int) -> ProgramBuilder:
    return ProgramBuilder(arch, random.Random(seed))


def mixed(arch: Arch, seed: int) -> Program:
    """One descriptor of each kind, and short passes next to long ones."""
    program = builder(arch, seed)
    rng = program.rng
    program.matrix(pixels=(3, 2), reduction=(2, 1, 2), blocks=2)
    program.matrix(pixels=(rng.randint(1, 3), 1), reduction=(1, 3, 1), blocks=2, residual=arch.residual)
    if arch.pool:
        program.vector(taps=(2, 2, 1), pixels=(2, 2), blocks=2)
        program.vector(taps=(1, 1, 1), pixels=(3, 2), blocks=1, residual=arch.residual)
    program.matrix(pixels=(4, 2), reduction=(1, 1, 1), blocks=2, residual=arch.residual)
    if arch.depthwise:
        size = (arch.tap_cols + rng.randint(1, 2), arch.tap_rows + rng.randint(1, 2))
        program.depthwise(raster=size, reduction=(1, 1, 2), blocks=2)
        program.depthwise(raster=size, reduction=(1, 1, 1), blocks=2, residual=arch.residual)
    program.matrix(pixels=(5, 2), reduction=(1, 1, 1), blocks=1)
    return program.program()


def products(arch: Arch, seed: int) -> Program:
    """Weights that the run stores: in the first lines of the memory, behind others, one pass and several."""
    program = builder(arch, seed)
    rng = program.rng
    if seed % 2:
        program.matrix(pixels=(3, 1), reduction=(1, 1, 1), blocks=2)
    program.product(pixels=(1, 1), reduction=(1, 1, 1), rows=(2, 1))
    program.product(pixels=(rng.randint(1, 6), 2), reduction=(2, 1, 1), blocks=2, rows=(2, 3))
    program.matrix(pixels=(rng.randint(1, 6), 1), reduction=(1, 2, 1), blocks=1, residual=arch.residual)
    program.product(pixels=(rng.randint(1, 3), 1), reduction=(1, 1, 2), blocks=3, rows=(rng.randint(1, 4), 2))
    # what lies in the activation memory at the addresses that are rows
    program.matrix(pixels=(20, 1), reduction=(1, 1, 1))
    whole: dict[str, Any] = {"plane": 1, "row_len": arch.act_depth, "row_start": 0, "col_start": 0}
    loops = make_loops([Stride(20, col=arch.line), *[Stride()] * 5])
    program.descriptors[-1] = replace(program.descriptors[-1], base=0, loops=loops, **whole)
    return program.program()


def counters_words() -> list[int]:
    return link.read_command(Space.COUNTERS, 0, len(Counter))


def play(program: Program, seed: int, *, runs: int = 1, resets: tuple[int, ...] = (), pause: float = 0.0) -> LinkLog:
    """Load program and random activations, run, read the counters after each run."""
    arch = program.arch
    words = array("I", load_words(program))
    words.extend(link.write_command(Space.ACTIVATIONS, 0, arch.act_lines))
    words.extend(activations(arch, seed))
    for _ in range(runs):
        words.extend([*link.run_command(), *counters_words()])
    pauses = Pauses(probability=pause, seed=seed)
    job = LinkJob(arch=arch, words=words, record_stores=True, resets=resets, source=pauses, sink=pauses)
    log = simulate(Engine(arch=arch), job)
    assert not log.hung
    return log


def activations(arch: Arch, seed: int) -> array[int]:
    return random_lines(random.Random(seed + 1), Space.ACTIVATIONS, arch, arch.act_lines)


def expected_stores(program: Program, seed: int, runs: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    arch = program.arch
    model = IsaModel(program)
    lines = np.array(activations(arch, seed), dtype=np.uint32).reshape(arch.act_lines, -1)
    model.activations[:] = unpack_fields(lines, arch.act_bits, arch.line).ravel()
    traces = [trace for _ in range(runs) for trace in model.stores()]
    return np.concatenate([one.addresses for one in traces]), np.concatenate([one.data for one in traces])


def stores_agree(program: Program, log: LinkLog, seed: int) -> bool:
    addresses, data = expected_stores(program, seed, 1)
    assert log.stores is not None
    return np.array_equal(log.stores.addresses, addresses) and np.array_equal(log.stores.data, data)


def check_stores(program: Program, log: LinkLog, seed: int, runs: int = 1) -> None:
    addresses, data = expected_stores(program, seed, runs)
    assert log.stores is not None
    stores = log.stores[len(log.stores.addresses) - len(addresses) :]
    assert np.array_equal(stores.addresses, addresses)
    wrong = np.argwhere(stores.data != data)
    assert not len(wrong), f"seed {seed}, store {wrong[0][0]}: {stores.data[wrong[0][0]]}, not {data[wrong[0][0]]}"


def counters_of(log: LinkLog, run: int) -> dict[Counter, int]:
    size = 1 + len(Counter)
    answer = log.answers[run * size : (run + 1) * size]
    assert answer[0] == DONE
    return {counter: answer[1 + counter] for counter in Counter}


def check_play(program: Program, seed: int) -> LinkLog:
    """Play a program, and compare with both models."""
    log = play(program, seed)
    check_stores(program, log, seed)
    assert counters_of(log, 0) == predict(program).total
    return log


@pytest.mark.parametrize("name", ARCHES)
@pytest.mark.parametrize("seed", [1, 2])
def test_mixed_programs(name: str, seed: int) -> None:
    program = mixed(ARCHES[name], seed)
    log = play(program, seed)
    check_stores(program, log, seed)
    counters = counters_of(log, 0)
    assert counters == predict(program).total
    assert counters[Counter.CYCLES] == sum(
        counters[counter] for counter in Counter if counter not in (Counter.CYCLES, Counter.WORK)
    )


@pytest.mark.parametrize("name", DYNAMIC)
@pytest.mark.parametrize("seed", [1, 2])
def test_weights_that_the_run_stores(name: str, seed: int) -> None:
    program = products(DYNAMIC[name], seed)
    log = play(program, seed, runs=2)
    check_stores(program, log, seed, runs=2)
    assert [counters_of(log, run) for run in range(2)] == [predict(program).total] * 2


def test_runs_back_to_back_under_pauses_on_both_streams() -> None:
    program = mixed(ARCHES["4x4"], 3)
    log = play(program, 3, runs=3, pause=0.3)
    check_stores(program, log, 3, runs=3)
    assert counters_of(log, 0) == counters_of(log, 1) == counters_of(log, 2)


def test_reset_in_mid_run_leaves_nothing_behind() -> None:
    program = mixed(ARCHES["tiny"], 4)
    undisturbed = play(program, 4)
    assert undisturbed.stores is not None
    first, last = int(undisturbed.stores.cycles[0]), int(undisturbed.stores.cycles[-1])
    log = play(program, 4, resets=(first - 12, first + 2, (first + last) // 2, last - 7))
    check_stores(program, log, 4)
    assert counters_of(log, 0) == counters_of(undisturbed, 0)


def test_an_empty_program_ends_at_once() -> None:
    log = play(builder(ARCHES["tiny"], 0).program(), 0, runs=2)
    for run in range(2):
        counters = counters_of(log, run)
        assert counters == dict.fromkeys(Counter, 0) | {Counter.CYCLES: 1, Counter.DRAIN: 1}


def test_rasters_of_all_widths_follow_each_other() -> None:
    """Line buffers are left in the middle of a row, and the next descriptor's rows are shorter or longer."""
    arch = Arch(name="16x4", rows=16, cols=4, lane_cycles=2, line_depth=16, **(SMALL | {"weight_lines": 1024}))
    program = builder(arch, 8)
    for wide in (9, 4, 7, 3, 8, 5, 3, 3):
        program.depthwise(raster=(wide, 5), reduction=(1, 1, 1), blocks=2)
    check_play(program.program(), 8)


@pytest.mark.parametrize("pixels", [(1, 1), (2, 1), (3, 1), (4, 1), (3, 3)])
@pytest.mark.parametrize("weight_rows", [1, 2, 4])
def test_a_pass_takes_its_windows_or_its_weights_or_the_minimum(pixels: tuple[int, int], weight_rows: int) -> None:
    arch = Arch(name="q1", rows=8, cols=2, weight_rows=weight_rows, **SMALL)
    program = builder(arch, 5)
    program.matrix(pixels=pixels, reduction=(2, 1, 3), blocks=2)
    counters = counters_of(play(program.program(), 5), 0)
    windows, passes = pixels[0] * pixels[1], 12
    length = max(windows, arch.rows // weight_rows, timing.MIN_PASS)
    assert counters[Counter.ACTIVE] == windows * passes
    assert counters[Counter.WEIGHTS] == (length - windows) * (passes - 1)
    assert counters[Counter.DRAIN] == timing.drain_cycles(arch, vector=False)
    assert counters[Counter.CONTROL] == 0
    assert counters[Counter.MEMORY] == counters[Counter.LANES] == counters[Counter.VECTOR] == 0


def test_results_leave_every_lane_cycles() -> None:
    """A C-vector each, from the drain's first on; a single block waits for nothing."""
    arch = Arch(name="q4", rows=4, cols=4, lane_cycles=4, **SMALL)
    program = builder(arch, 6)
    program.matrix(pixels=(3, 3), reduction=(1, 1, 2))
    log = play(program.program(), 6)
    assert log.stores is not None
    assert len(log.stores.cycles) == 9
    assert set(np.diff(log.stores.cycles)) == {arch.lane_cycles}
    assert counters_of(log, 0)[Counter.LANES] == 0


@pytest.mark.parametrize("pixels", [(3, 3), (1, 1), (5, 2)])
def test_blocks_wait_for_a_bank_to_be_drained(pixels: tuple[int, int]) -> None:
    """Two blocks are filled at once; from then on blocks leave at the lanes' pace, and the array waits for them."""
    arch = Arch(name="q8", rows=2, cols=8, psum_spacing=2, lane_cycles=8, **SMALL)
    program = builder(arch, 6)
    program.matrix(pixels=pixels, reduction=(1, 1, 1), blocks=6)
    log = check_play(program.program(), 6)
    assert log.stores is not None
    steps, counters = set(np.diff(log.stores.cycles)), counters_of(log, 0)
    if pixels != (1, 1):
        assert counters[Counter.LANES] > 0
        assert steps == {arch.lane_cycles}
    assert min(steps) == arch.lane_cycles


@pytest.mark.parametrize("apart", [True, False])
def test_operands_in_the_other_segment_cost_nothing(apart: bool) -> None:
    arch = Arch(name="add", rows=4, cols=4, act_segments=2, **SMALL)
    program = builder(arch, 7)
    program.vector(taps=(1, 1, 1), pixels=(20, 1), residual=True)
    quarter = arch.act_depth // 4
    (descriptor,) = program.descriptors
    # the second quarter lies in the input's segment, the third in the other
    operand, result = (2 * quarter, quarter) if apart else (quarter, 2 * quarter)
    descriptor = replace(descriptor, base=0, res=replace(descriptor.res, base=operand))
    program.descriptors = [replace(descriptor, out=replace(descriptor.out, base=result))]
    image = program.program()
    assert decode_program(image.segments[Space.PROGRAM], arch)[0].apart == apart
    log = play(image, 7)
    check_stores(image, log, 7)
    counters = counters_of(log, 0)
    assert counters[Counter.VECTOR] == 20
    assert counters == predict(image).total
    assert (counters[Counter.MEMORY] == 0) == apart


PAIRS = {
    "straight": Arch(name="q1", rows=4, cols=4, **SMALL),
    "drained": Arch(name="q4", rows=4, cols=4, lane_cycles=4, **SMALL),
}
"""Engines whose array and vector unit look at as many elements as they store."""
FIRST_PIXELS = 6


def add(program: ProgramBuilder, kind: str, pixels: int = 5) -> None:
    """A descriptor that begins with a row of windows."""
    if kind == "vector":
        program.vector(taps=(1, 1, 1), pixels=(pixels, 1))
    elif kind == "matrix":
        program.matrix(pixels=(pixels, 1), reduction=(1, 1, 1))
    else:
        program.depthwise(raster=(pixels, 1), reduction=(1, 1, 1))
        program.descriptors[-1] = replace(program.descriptors[-1], mask_x=0, mask_y=0)


def reads_what_was_stored_last(program: ProgramBuilder, late: int) -> None:
    """Let the windows of the second descriptor go over the C-vectors stored by the first, the last one as ``late``."""
    first, second = program.descriptors
    unit = program.arch.cols
    loops = list(second.loops)
    pixels = 3 if second.op == Op.VECTOR else 0
    loops[pixels] = replace(loops[pixels], row_step=0, col_step=unit)
    tensor: dict[str, Any] = {"base": first.out.base, "plane": 1, "row_len": FIRST_PIXELS * unit, "row_start": 0}
    start = (FIRST_PIXELS - 1 - late) * unit
    program.descriptors[1] = replace(second, loops=tuple(loops), col_start=start, **tensor)


def with_lead(image: Program, more: int) -> tuple[Program, int]:
    """The program with so much more lead for its second descriptor, and that."""
    first, second = decode_program(image.segments[Space.PROGRAM], image.arch)
    changed = replace(second, lead=second.lead + more)
    words = array("I", encode_program([first, changed], image.arch))
    return replace(image, segments={**image.segments, Space.PROGRAM: words}), changed.lead


@pytest.mark.parametrize("first", ["matrix", "vector"])
@pytest.mark.parametrize("second", ["matrix", "vector", "depthwise"])
@pytest.mark.parametrize("name", PAIRS)
def test_a_descriptor_begins_before_the_stores_of_the_one_before(name: str, first: str, second: str) -> None:
    arch = PAIRS[name]
    program = builder(arch, 9)
    add(program, first)
    add(program, second)
    log = check_play(program.program(), 9)
    assert log.stores is not None
    count = program.descriptors[0].loops[0 if first == "matrix" else 3].count
    gap = log.stores.cycles[count] - log.stores.cycles[count - 1]
    # from its first window on, a descriptor needs longer to its first store than has passed since the store before
    assert gap < timing.drain_cycles(arch, vector=second == "vector")


@pytest.mark.parametrize(
    ("name", "second", "late"),
    [
        (name, second, late)
        for name in PAIRS
        for second in ("matrix", "vector", "depthwise")
        for late in (0, 2)
        # later windows of a VECTOR wait for the lanes, which the compiler does not count on
        if (name, second, late) != ("drained", "vector", 2)
    ],
)
@pytest.mark.parametrize("first", ["matrix", "vector"])
def test_leads_are_as_large_as_the_data_allow(name: str, first: str, second: str, late: int) -> None:
    """What was stored last is read in the cycle after its store; with one more cycle of lead it is read too early."""
    arch = PAIRS[name]
    program = builder(arch, 10)
    add(program, first, FIRST_PIXELS)
    add(program, second)
    reads_what_was_stored_last(program, late)
    image = program.program()
    fitting, lead = with_lead(image, 0)
    assert lead == timing.START_LATENCY + timing.READ_LATENCY - 1 + late
    check_play(fitting, 10)
    early, _ = with_lead(image, 1)
    assert not stores_agree(early, play(early, 10), 10)


@pytest.mark.parametrize("first", ["matrix", "vector"])
@pytest.mark.parametrize("name", PAIRS)
def test_leads_are_as_large_as_the_lanes_allow(name: str, first: str) -> None:
    """The first sum comes two cycles after the last store; one more cycle of lead and it meets the old parameters."""
    arch = PAIRS[name]
    program = builder(arch, 11)
    # long enough for all of the second to be read ahead
    add(program, first, 30)
    add(program, "vector")
    image = program.program()
    fitting, lead = with_lead(image, 0)
    assert lead == timing.START_LATENCY + timing.sum_cycles(arch, vector=True) - 2
    check_play(fitting, 11)
    early, _ = with_lead(image, 1)
    assert not stores_agree(early, play(early, 11), 11)
