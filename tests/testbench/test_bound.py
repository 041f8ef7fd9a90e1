# SPDX-License-Identifier: Apache-2.0
from systolith.spec.arch import PRESETS
from systolith.spec.encoding import decode_program
from systolith.spec.link import Space
from systolith.testbench.bound import cycle_bound
from tests.support.programs import random_case
from tests.support.random_graphs import random_network

SEED = 1


def test_every_window_has_its_cycles() -> None:
    program, _ = random_case(SEED, PRESETS["4x4"], count=1, make=random_network)
    windows = 0
    for descriptor in decode_program(program.segments[Space.PROGRAM], program.arch):
        count = 1
        for loop in descriptor.loops:
            count *= loop.count
        windows += count
    assert cycle_bound(program) > windows * program.arch.lane_cycles
