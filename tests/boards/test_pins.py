# SPDX-License-Identifier: Apache-2.0
"""The complete board top at its serial pins, the real client on the other end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from systolith.api.bundled import DIGITS, network_file
from systolith.compiler.borders import engine_inputs
from systolith.compiler.interp_int import run_integer
from systolith.compiler.ir import Graph
from systolith.compiler.pipeline import compile_network
from systolith.spec.arch import PRESETS
from systolith.testbench.runner.cache import cache_folder
from tests.support.board_bench import board_build, run_client
from tests.support.graph_builder import Limits
from tests.support.programs import random_case
from tests.support.random_graphs import random_graph, random_table_graph
from tests.support.simulators import COMPILED, needs

ARCH = PRESETS["tiny"]

IMAGES = 3


@pytest.mark.parametrize("make", [random_graph, random_table_graph])
@pytest.mark.parametrize("simulator", COMPILED)
def test_random_program(simulator: str, make: Callable[[int, Limits], Graph], tmp_path: Path) -> None:
    program, samples = random_case(5, ARCH, make=make)
    top = board_build(ARCH, simulator, cache_folder() / "simulators")
    folder = tmp_path / "job"
    folder.mkdir()
    results = run_client(top, program, [sample.inputs for sample in samples], folder)
    for sample, result in zip(samples, results, strict=True):
        for name, expected in sample.expected.items():
            np.testing.assert_array_equal(result[name], expected)


@pytest.mark.sim
@needs("verilator")
def test_digits(tmp_path: Path) -> None:
    """The bundled network, with images of its test set, through nothing but the serial line."""
    with np.load(DIGITS) as data:
        calibration, images = data["x_calib"], data["x_test"][:IMAGES]
    compiled = compile_network(network_file("digits_cnn"), ARCH, lambda graph: {graph.inputs[0]: calibration})
    network = compiled.network
    feeds = [engine_inputs(network, {network.inputs[0]: image[None]}) for image in images]
    top = board_build(ARCH, "verilator", cache_folder() / "simulators")
    results = run_client(top, compiled.program, feeds, tmp_path)
    for feed, result in zip(feeds, results, strict=True):
        expected = run_integer(network, feed, acc_bits=ARCH.acc_bits, act_bits=ARCH.act_bits)
        for name in network.outputs:
            np.testing.assert_array_equal(result[name], expected[name])
