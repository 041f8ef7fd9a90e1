# SPDX-License-Identifier: Apache-2.0
"""The cycle model equals the RTL's counters, layer by layer and cause by cause: on the benchmark's networks and on
200 random layers, at 4 x 4, 8 x 8 and 16 x 16.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from systolith.api.bench_nets import ARRAYS
from systolith.api.bench_nets_runs import compile_fitting
from systolith.api.bench_networks.catalogue import NETWORKS
from systolith.api.network import random_inputs
from systolith.compiler.ir import Graph
from systolith.compiler.lower import lower
from systolith.compiler.model import predict
from systolith.compiler.runtime import RunResult
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.image import Program
from systolith.testbench.cycles import locate_cycles
from systolith.testbench.runner.backend import RtlSimulator
from tests.support.graph_builder import Limits
from tests.support.programs import limits_for
from tests.support.random_graphs import random_conv_graph, random_matmul_graph, random_move_graph, random_network
from tests.support.random_homes import random_home_graph
from tests.support.simulators import needs

LAYERS = 67
"""Random layers on each of the three arrays, at least."""
SEED = 300

pytestmark = [pytest.mark.sim, pytest.mark.slow, needs("verilator"), pytest.mark.parametrize("array", ARRAYS)]

Feeds = Mapping[str, NDArray[np.int64]]


def check(program: Program, result: RunResult) -> None:
    """Every descriptor's every counter, and the run's own."""
    predicted = predict(program)
    assert result.descriptors is not None
    place = locate_cycles(program, predicted.descriptors, result.descriptors)
    assert place is None, f"{program.name} on {program.arch.name}: {place}"
    assert result.counters == predicted.total


def bench_program(name: str, array: str, folder: Path) -> tuple[Program, Feeds]:
    model, data = folder / f"{name}.onnx", folder / f"{name}.npz"
    built = NETWORKS[name].build()
    onnx.save(built.model, model)
    np.savez(data, x=built.samples)
    compiled, _ = compile_fitting(model, PRESETS[array], data)
    return compiled.program, random_inputs(compiled.network, 1, SEED)[0]


def test_on_every_layer_of_the_benchmark(array: str, tmp_path: Path) -> None:
    for name in NETWORKS:
        program, feeds = bench_program(name, array, tmp_path)
        (result,) = RtlSimulator(program.arch, simulator="verilator").run(program, [feeds])
        check(program, result)


def random_programs(arch: Arch) -> list[tuple[Program, Sequence[Feeds]]]:
    """Networks, single convolutions in groups, data movement and products, until they have enough layers."""
    limits = replace(limits_for(arch, size=9, channels=3 * arch.cols, kernel=5), tables=arch.tables >= 8)
    grouped = Limits(**(vars(limits) | {"grouped": True}))
    cases: list[tuple[Program, Sequence[Feeds]]] = []
    layers, seed = 0, SEED
    while layers < LAYERS:
        makers = {0: partial(random_conv_graph, limits=grouped), 2: partial(random_move_graph, limits=limits)}
        makers |= {3: partial(random_home_graph, cols=arch.cols)} if seed % 8 == 3 else {}
        makers |= {3: partial(random_matmul_graph, limits=limits)} if seed % 8 == 7 else {}
        graph: Graph = makers.get(seed % 4, partial(random_network, limits=limits))(seed)
        program = lower(graph, arch)
        cases.append((program, random_inputs(graph, 1, seed)))
        layers, seed = layers + len(program.layers), seed + 1
    return cases


def test_on_random_layers(array: str) -> None:
    cases = random_programs(PRESETS[array])
    observed = RtlSimulator(PRESETS[array], simulator="verilator").observe_all(cases)
    for (program, _), (observation,) in zip(cases, observed, strict=True):
        check(program, observation.result)
