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
from systolith.compiler.runtime import load_words, unpack_fields
from systolith.hdl.engine import Engine
from systolith.spec import link, timing
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.image import Program
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
    "single port": PRESETS["icebreaker"].with_(**SMALL),
    "bare": PRESETS["tiny"].with_(residual=False, pool=False, **SMALL),
}


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
    image = program.program()
    log = play(image, 8)
    check_stores(image, log, 8)
    assert counters_of(log, 0) == predict(image).total


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
    assert counters[Counter.CONTROL] == timing.START_LATENCY - 1
    assert counters[Counter.MEMORY] == counters[Counter.LANES] == counters[Counter.VECTOR] == 0


def test_results_leave_every_lane_cycles() -> None:
    arch = Arch(name="q4", rows=4, cols=4, lane_cycles=4, **SMALL)
    program = builder(arch, 6)
    program.matrix(pixels=(3, 3), reduction=(1, 1, 2))
    log = play(program.program(), 6)
    assert log.stores is not None
    assert set(np.diff(log.stores.cycles)) == {1}
    assert counters_of(log, 0)[Counter.LANES] == 8 * 3


@pytest.mark.parametrize("apart", [True, False])
def test_operands_in_the_other_segment_cost_nothing(apart: bool) -> None:
    arch = Arch(name="add", rows=4, cols=4, act_segments=2, **SMALL)
    program = builder(arch, 7)
    program.vector(taps=(1, 1, 1), pixels=(20, 1), residual=True)
    quarter = arch.act_depth // 4
    (descriptor,) = program.descriptors
    descriptor = replace(descriptor, base=0, apart=apart, res=replace(descriptor.res, base=2 * quarter))
    program.descriptors = [replace(descriptor, out=replace(descriptor.out, base=quarter))]
    image = program.program()
    log = play(image, 7)
    check_stores(image, log, 7)
    counters = counters_of(log, 0)
    assert counters[Counter.VECTOR] == 20
    assert counters == predict(image).total
    assert (counters[Counter.MEMORY] == 0) == apart
