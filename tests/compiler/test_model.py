# SPDX-License-Identifier: Apache-2.0
"""The cycle model against a cycle-by-cycle rendering of the same rules; RTL runs hold both to the hardware."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from systolith.compiler.lower import lower
from systolith.compiler.model import predict, predict_descriptors
from systolith.compiler.overlap import overlap
from systolith.spec import timing
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.isa import Descriptor, Loop, Op, Section, lead_free, section_lines
from systolith.spec.link import Counter
from tests.support.engine_clock import EngineClock, windows
from tests.support.networks import autoencoder, resnet8
from tests.support.random_shapes import random_shape

SMALL = {"act_lines": 256}
ARCHS = [
    PRESETS["tiny"].with_(**SMALL),
    PRESETS["4x4"].with_(**SMALL),
    PRESETS["8x8"].with_(**SMALL),
    PRESETS["4x4"].with_(name="one segment", act_segments=1, **SMALL),
    PRESETS["tiny"].with_(name="single port", act_single_port=True, residual=False, **SMALL),
    PRESETS["8x8"].with_(name="straight single port", act_single_port=True, residual=False, **SMALL),
    Arch(name="weights rule", rows=32, cols=2, psum_spacing=4, weight_rows=1, act_lines=256),
]


def _work(descriptor: Descriptor) -> int:
    """Useful MACs of a block are counted once, for all blocks."""
    results = sum(window.result for window in windows(descriptor))
    return descriptor.work * results // descriptor.loops[5].count if descriptor.op == Op.MATRIX else 0


def _random_program(rng: np.random.Generator, arch: Arch) -> list[Descriptor]:
    """Leads are at most what is safe: the engine's conduct is defined only then."""
    shapes = [random_shape(rng, arch) for _ in range(rng.integers(1, 7))]
    shapes = [replace(one, fresh=one.op == Op.MATRIX and bool(rng.random() < 0.2)) for one in shapes]
    return [
        replace(one, lead=int(rng.integers(0, one.lead + 1))) if rng.random() < 0.3 else one
        for one in overlap(shapes, arch)
    ]


@pytest.mark.parametrize("arch", ARCHS, ids=lambda arch: arch.name)
def test_random_programs_take_the_cycles_of_the_rules(arch: Arch) -> None:
    for seed in range(60):
        program = _random_program(np.random.default_rng(seed), arch)
        expected = EngineClock(arch, program).run()
        for number, (got, want) in enumerate(zip(predict_descriptors(program, arch), expected, strict=True)):
            total = {Counter.CYCLES: sum(want.values()), Counter.WORK: _work(program[number])}
            assert got == dict.fromkeys(Counter, 0) | dict(want) | total, f"seed {seed}, descriptor {number}"


def test_a_descriptor_that_may_begin_at_any_time_waits_for_none() -> None:
    arch = ARCHS[1]
    descriptor = replace(random_shape(np.random.default_rng(0), arch), lead=lead_free(arch))
    first, second = predict_descriptors([descriptor, descriptor], arch)
    assert first[Counter.DRAIN] == 0 < second[Counter.DRAIN]


def test_every_cycle_has_one_cause() -> None:
    prediction = predict(lower(resnet8(), PRESETS["8x8"]))
    for part in (*prediction.descriptors, prediction.total):
        causes = [part[counter] for counter in Counter if counter not in (Counter.CYCLES, Counter.WORK)]
        assert sum(causes) == part[Counter.CYCLES]


def test_a_drain_belongs_to_the_descriptor_that_waits_for_it() -> None:
    """The front section is read while results are on their way; the last cycle of the drain is that of the store."""
    arch = PRESETS["8x8"]
    read = section_lines(arch)[Section.FRONT] + 1
    matrix, vector = (Descriptor(op=op, loops=(Loop(5),) * 6) for op in (Op.MATRIX, Op.VECTOR))
    drains = [timing.drain_cycles(arch, vector=False), timing.drain_cycles(arch, vector=True)]
    parts = list(predict_descriptors([matrix, vector, matrix], arch))
    assert [part[Counter.DRAIN] for part in parts] == [0, drains[0] - read, drains[1] - read + drains[0]]


def test_work_is_the_networks_useful_products() -> None:
    program = lower(resnet8(), PRESETS["4x4"])
    prediction = predict(program)
    for layer in program.layers:
        assert prediction.layer(layer.first, layer.count)[Counter.WORK] == layer.macs
    assert prediction.total[Counter.WORK] == 12_501_632


def test_a_dense_layer_is_bound_by_its_weights() -> None:
    arch = PRESETS["16x16"].with_(weight_lines=1 << 15)
    total = predict(lower(autoencoder(), arch)).total
    assert total[Counter.ACTIVE] == 1040
    assert total[Counter.ACTIVE] + total[Counter.WEIGHTS] >= 1030 * arch.pass_lines


@pytest.mark.parametrize("name", ["4x4", "8x8", "16x16"])
def test_a_network_is_predicted_in_20_ms(name: str) -> None:
    program = lower(resnet8(), PRESETS[name])
    times = []
    for _ in range(5):
        begin = time.process_time()
        predict(program)
        times.append(time.process_time() - begin)
    assert min(times) < 0.02
