# SPDX-License-Identifier: Apache-2.0
"""The cycle model against a clock-by-clock rendering of the same rules; RTL runs hold both to the hardware."""

from __future__ import annotations

import itertools
from collections import Counter as Tally
from collections.abc import Iterator

import numpy as np
import pytest

from systolith.compiler.lower import lower
from systolith.compiler.model import predict, predict_descriptors
from systolith.spec import timing
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.isa import Descriptor, Loop, Op, Walk, section_words
from systolith.spec.link import Counter
from tests.support.networks import autoencoder, resnet8

ARCHS = [
    PRESETS["tiny"],
    PRESETS["8x8"],
    PRESETS["4x4"].with_(act_segments=1),
    PRESETS["tiny"].with_(act_single_port=True, residual=False),
    PRESETS["8x8"].with_(act_single_port=True, residual=False, lane_cycles=2, weight_rows=1),
    Arch(name="weights rule", rows=32, cols=2, psum_spacing=4, weight_rows=1, act_lines=1024),
]


def _tags(descriptor: Descriptor) -> Iterator[tuple[bool, bool]]:
    """(starts a pass, makes a result) of each window, in issue order."""
    counts = [loop.count for loop in descriptor.loops]
    vector = descriptor.op == Op.VECTOR
    for outer_first in itertools.product(*(range(count) for count in reversed(counts))):
        index = outer_first[::-1]
        reduction = (0, 1, 2) if vector else (2, 3, 4)
        starts = not vector and index[0] == index[1] == 0
        yield starts, all(index[level] == counts[level] - 1 for level in reduction)


class _Clock:
    """The front end, one cycle after the other."""

    def __init__(self, arch: Arch) -> None:
        self.arch = arch
        self.cycle = 0
        self.weights = timing.pass_cycles(arch, 0) - 1
        self.counts: Tally[Counter] = Tally()

    def _pass(self, cause: Counter) -> None:
        self.counts[cause] += 1
        self.cycle += 1

    def control(self, cycles: int) -> None:
        for _ in range(cycles):
            self._pass(Counter.CONTROL)

    def issue(self, descriptor: Descriptor) -> None:
        """All windows of a descriptor."""
        arch, vector = self.arch, descriptor.op == Op.VECTOR
        steps = 1 if vector else arch.lane_cycles
        sum_after = timing.FETCH_LATENCY + (
            timing.VECTOR_LATENCY if vector else timing.matrix_latency(arch) + timing.ACCUMULATOR_LATENCY
        )
        store_after = sum_after + timing.lanes_after_sum(arch) + timing.lane_latency(arch) - 1
        meet = not descriptor.apart
        busy: set[int] = set()
        lanes, started, since = 0, -1, 0
        for starts, last in _tags(descriptor):
            since = 1 if starts else since + 1
            while True:
                if starts and self.cycle < self.weights:
                    self._pass(Counter.WEIGHTS)
                elif last and not vector and self.cycle < lanes:
                    self._pass(Counter.LANES)
                elif self.cycle in busy:
                    self._pass(Counter.MEMORY)
                else:
                    break
            if starts:
                self.weights = self.cycle + max(arch.pass_lines, timing.MIN_PASS)
                started = self.cycle
            elif not vector:
                # this pixel, the pass's number since - 1, comes again that many cycles after the next pass's first
                self.weights = max(self.weights, self.cycle + timing.MIN_PASS - (since - 1))
            if last:
                lanes = self.cycle + arch.lane_cycles
                for step in range(steps):
                    busy |= {self.cycle + sum_after + step} if descriptor.residual and meet else set()
                    busy |= {self.cycle + store_after + step} if arch.act_single_port else set()
            self._pass(Counter.VECTOR if vector else Counter.ACTIVE)
        assert vector or started >= 0

    def drain(self, descriptor: Descriptor) -> int:
        """Until the last store; returns its length."""
        cycles = timing.drain_cycles(self.arch, vector=descriptor.op == Op.VECTOR)
        for _ in range(cycles):
            self._pass(Counter.DRAIN)
        return cycles


def _pixels(descriptor: Descriptor) -> int:
    return descriptor.loops[0].count * descriptor.loops[1].count


def _expected(descriptors: list[Descriptor], arch: Arch) -> dict[Counter, int]:
    clock = _Clock(arch)
    front, back = section_words(arch)
    clock.control(front + back + 1)
    for index, descriptor in enumerate(descriptors):
        clock.issue(descriptor)
        drain = clock.drain(descriptor)
        if index < len(descriptors) - 1:
            clock.control(max(0, timing.FETCH_LATENCY + 1 + front - drain) + back)
        else:
            clock.control(max(0, timing.FETCH_LATENCY + 1 - drain))
    counts = dict.fromkeys(Counter, 0) | dict(clock.counts)
    counts[Counter.CYCLES] = clock.cycle
    counts[Counter.WORK] = sum(one.work * _pixels(one) for one in descriptors if one.op == Op.MATRIX)
    return counts


def _random_descriptor(rng: np.random.Generator, arch: Arch) -> Descriptor:
    counts = rng.integers(1, 4, 6)
    counts[rng.integers(0, 6)] = rng.integers(1, 30)
    half = 1 << (arch.act_addr_bits - 1)
    return Descriptor(
        op=Op.MATRIX if rng.random() < 0.6 else Op.VECTOR,
        loops=tuple(Loop(int(count)) for count in counts),
        residual=bool(rng.random() < 0.5),
        res=Walk(base=int(rng.choice([0, half]))),
        work=7,
    )


@pytest.mark.parametrize("arch", ARCHS, ids=lambda arch: arch.name)
def test_random_programs_take_the_cycles_of_the_rules(arch: Arch) -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        descriptors = [_random_descriptor(rng, arch) for _ in range(rng.integers(1, 5))]
        parts = list(predict_descriptors(descriptors, arch))
        total = {counter: sum(part[counter] for part in parts) for counter in Counter}
        assert total == _expected(descriptors, arch), f"seed {seed}"


def test_every_cycle_has_one_cause() -> None:
    prediction = predict(lower(resnet8(), PRESETS["8x8"]))
    for part in (*prediction.descriptors, prediction.total):
        causes = [part[counter] for counter in Counter if counter not in (Counter.CYCLES, Counter.WORK)]
        assert sum(causes) == part[Counter.CYCLES]


def test_a_drain_belongs_to_the_descriptor_that_waits_for_it() -> None:
    arch = PRESETS["8x8"]
    matrix, vector = (Descriptor(op=op, loops=(Loop(5),) * 6) for op in (Op.MATRIX, Op.VECTOR))
    drains = [timing.drain_cycles(arch, vector=False), timing.drain_cycles(arch, vector=True)]
    parts = list(predict_descriptors([matrix, vector, matrix], arch))
    assert [part[Counter.DRAIN] for part in parts] == [0, drains[0], drains[1] + drains[0]]


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
