# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from systolith.api.roofline.traffic import KINDS, Access, descriptor_traffic, total_traffic
from systolith.compiler.lower import lower
from systolith.compiler.model import predict
from systolith.spec.arch import PRESETS
from systolith.spec.encoding import decode_program
from systolith.spec.image import Program
from systolith.spec.isa import Op
from systolith.spec.link import Counter, Space
from systolith.testbench.isa_model import IsaModel
from tests.support.networks import NetworkBuilder
from tests.support.random_graphs import random_requant_graph, random_table_graph

NAMES = ["digits_cnn", "digits_mlp", "resnet8"]


class Counting(np.ndarray[Any, Any]):
    """A memory that counts the elements read from it."""

    read = 0

    def __getitem__(self, key: Any) -> Any:
        found = np.asarray(self)[key]
        Counting.read += found.size
        return found


def _traffic(program: Program) -> list[dict[str, Access]]:
    return [
        descriptor_traffic(one, program.arch) for one in decode_program(program.segments[Space.PROGRAM], program.arch)
    ]


@pytest.mark.parametrize("name", NAMES)
def test_activation_traffic_is_what_the_isa_model_does(programs: dict[str, Program], name: str) -> None:
    """Every element that the model reads and stores, descriptor by descriptor, counted at its memory."""
    program = programs[name]
    model = IsaModel(program)
    model.activations = model.activations.view(Counting)
    bits, stores = program.arch.act_bits, model.stores()
    for moved in _traffic(program):
        Counting.read = 0
        trace = next(stores)
        assert 8 * (moved["windows"].bytes + moved["residuals"].bytes) == Counting.read * bits
        assert 8 * moved["stores"].bytes == trace.data.size * bits
        assert moved["params"].count == moved["stores"].count * program.arch.lane_cycles
        assert moved["stores"].count == len(trace.addresses)


@pytest.mark.parametrize("name", NAMES)
def test_windows_are_the_issues_that_the_cycle_model_counts(programs: dict[str, Program], name: str) -> None:
    parts = predict(programs[name]).descriptors
    issued = [part[Counter.ACTIVE] + part[Counter.VECTOR] for part in parts]
    assert [moved["windows"].count for moved in _traffic(programs[name])] == issued


@pytest.mark.parametrize("name", NAMES)
def test_each_tile_reads_its_layers_weights_once(programs: dict[str, Program], name: str) -> None:
    program = programs[name]
    _, read = total_traffic(_traffic(program))["weights"]
    assert read == sum(layer.weight_bytes * layer.count for layer in program.layers)
    assert program.name != "digits_cnn" or read == 4 * len(program.segments[Space.WEIGHTS])


def test_a_line_of_narrow_weights_is_read_once_for_each_part() -> None:
    """So that the weight port gives a line a cycle, whatever the width, and its roof holds."""
    net = NetworkBuilder(rng=np.random.default_rng(0))
    x = net.layer(net.input(8, 4, 4), 8, (1, 1), weight_bits=4)
    program = lower(net.graph("net", net.layer(net.layer(x, 8, (1, 1)), 8, (1, 1), weight_bits=2)), PRESETS["8x8"])
    assert [moved["weights"].bytes for moved in _traffic(program)] == [64, 64, 64]
    assert [layer.weight_bytes for layer in program.layers] == [32, 64, 16]


def test_residual_operands_are_read_where_there_are_any(programs: dict[str, Program]) -> None:
    program = programs["resnet8"]
    made = decode_program(program.segments[Space.PROGRAM], program.arch)
    for one, moved in zip(made, _traffic(program), strict=True):
        assert moved["residuals"].count == (moved["stores"].count if one.residual else 0)
    assert any(one.residual for one in made)


def test_partial_sums_and_widths_by_hand() -> None:
    """3 x 3 on 16 channels: 9 taps of 16 in windows of 4 are 36 passes; 4 blocks of 4 of 16 channels; 5 x 5 pixels."""
    net = NetworkBuilder(rng=np.random.default_rng(0))
    arch = PRESETS["4x4"].with_(acc_bits=30)
    program = lower(net.graph("net", net.layer(net.input(16, 7, 7), 16)), arch)
    (moved,) = _traffic(program)
    assert moved["windows"] == Access(25 * 36 * 4, 4 * 8)
    assert moved["sums_written"] == moved["sums_read"] == Access(25 * 36 * 4, 4 * 30)
    assert moved["stores"] == Access(25 * 4, 4 * 8)
    assert moved["weights"] == Access(4 * 36 * 4, 4 * 8)
    assert moved["sums_read"].bytes == 25 * 36 * 4 * 15


def test_vector_descriptors_have_no_weights_and_no_sums(pooled: Program) -> None:
    (moved,) = _traffic(pooled)
    (one,) = decode_program(pooled.segments[Space.PROGRAM], pooled.arch)
    assert one.op == Op.VECTOR
    assert set(moved) == set(KINDS)
    assert moved["windows"] == Access(16, 8 * 8)
    assert [moved[kind].count for kind in ("weights", "sums_written", "sums_read", "residuals")] == [0, 0, 0, 0]


def test_a_table_is_looked_up_for_every_element() -> None:
    program = lower(random_table_graph(1), PRESETS["8x8"])
    (moved,) = _traffic(program)
    assert moved["entries"] == Access(moved["stores"].count * 8, 8)
    (plain,) = _traffic(lower(random_requant_graph(1), PRESETS["8x8"]))
    assert plain["entries"].count == 0
