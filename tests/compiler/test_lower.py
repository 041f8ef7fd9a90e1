# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from systolith.compiler.errors import CapacityError, QuantisationError, UnsupportedModel
from systolith.compiler.interp_int import run_integer
from systolith.compiler.ir import Graph
from systolith.compiler.layout import plan_layouts
from systolith.compiler.lower import lower, lower_as
from systolith.compiler.passes.fuse_add import fuse_add
from systolith.compiler.passes.fuse_table import fuse_table
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.encoding import decode_program
from systolith.spec.isa import Op
from systolith.spec.link import Space
from systolith.testbench.isa_model import IsaModel, read_tensor
from tests.support.graph_builder import GraphBuilder, Limits
from tests.support.networks import NetworkBuilder, autoencoder, resnet8
from tests.support.random_graphs import random_feeds, random_graph, random_network, random_table_graph

_ROOM: dict[str, Any] = {"weight_lines": 1 << 16, "param_lines": 1024, "program_words": 1 << 14}

ARCHS = [
    PRESETS["tiny"].with_(**_ROOM),
    PRESETS["4x4"].with_(**_ROOM),
    PRESETS["8x8"].with_(**_ROOM),
    PRESETS["16x16"].with_(**_ROOM),
    Arch(name="4x8", rows=4, cols=8, act_lines=8192, acc_depth=64, act_segments=2, **_ROOM),
    Arch(name="16x4", rows=16, cols=4, lane_cycles=2, act_lines=2048, acc_depth=40, **_ROOM),
    Arch(name="8x2", rows=8, cols=2, act_lines=4096, acc_depth=33, act_granule=2, weight_rows=4, **_ROOM),
    PRESETS["4x4"].with_(name="granule of 2", lane_cycles=2, act_granule=2, acc_depth=33, **_ROOM),
    PRESETS["8x8"].with_(name="weights of 8 bits", narrow_weights=False, **_ROOM),
    PRESETS["tiny"].with_(
        name="weights of 4 bits", weight_bits=4, narrow_weights=False, dynamic_weights=False, **_ROOM
    ),
    PRESETS["tiny"].with_(
        name="activations of 16 bits", act_bits=16, tables=0, dynamic_weights=False, acc_bits=48, **_ROOM
    ),
    PRESETS["tiny"].with_(name="precise lanes", precision=2, **_ROOM),
]


def _check(graph: Graph, arch: Arch, seed: int) -> None:
    model = IsaModel(lower(graph, arch))
    for turn in range(2):
        feeds = random_feeds(graph, seed + turn)
        expected = run_integer(graph, feeds, acc_bits=arch.acc_bits, precision=arch.precision)
        results = model.run(feeds)
        for name in graph.outputs:
            np.testing.assert_array_equal(results[name], expected[name], f"{graph.name}, inference {turn}, seed {seed}")


@pytest.mark.parametrize("arch", ARCHS, ids=lambda arch: arch.name)
def test_programs_compute_what_the_graph_says(arch: Arch) -> None:
    for seed in range(40):
        limits = Limits(
            act_bits=arch.act_bits,
            weight_bits=arch.weight_bits,
            grouped=seed % 2 == 1,
            narrow=arch.narrow_weights,
            channels=40 if seed % 5 == 0 else 9,
        )
        _check(random_graph(seed, limits), arch, seed)


def test_random_networks_use_every_kind_of_descriptor() -> None:
    programs = [lower(random_network(seed), PRESETS["8x8"]) for seed in range(20)]
    made = [one for program in programs for one in decode_program(program.segments[Space.PROGRAM], program.arch)]
    kinds = {(one.op, one.depthwise, one.residual) for one in made}
    vector = {(Op.VECTOR, False, residual) for residual in (False, True)}
    assert kinds == vector | {(Op.MATRIX, *flags) for flags in itertools.product((False, True), repeat=2)}


@pytest.mark.parametrize("seed", range(4))
def test_intermediate_tensors_can_be_outputs(seed: int) -> None:
    graph = random_network(seed)
    _check(graph.with_(outputs=tuple(node.outputs[0] for node in graph.nodes)), PRESETS["8x8"], seed)


@pytest.mark.parametrize("name", ["4x4", "16x16", "32x32"])
def test_networks_of_full_size(name: str) -> None:
    _check(resnet8(), PRESETS[name], 0)
    _check(autoencoder(), PRESETS[name].with_(weight_lines=1 << 17, param_lines=4096), 0)


def test_every_layers_output_is_where_its_report_says() -> None:
    graph = random_network(5)
    program = lower(graph, PRESETS["4x4"])
    feeds = random_feeds(graph, 5)
    expected = run_integer(graph, feeds)
    owners = {index: layer for layer in program.layers for index in range(layer.first, layer.first + layer.count)}
    model = IsaModel(program)
    for tensor in program.inputs:
        model.load(tensor, feeds[tensor.name])
    for trace in model.stores():
        layer = owners[trace.descriptor]
        if trace.descriptor == layer.first + layer.count - 1:
            np.testing.assert_array_equal(read_tensor(model.activations, layer.output), expected[layer.output.name])


def _one_conv(limits: Limits | None = None) -> Graph:
    builder = GraphBuilder(rng=np.random.default_rng(0), limits=limits or Limits())
    return builder.graph("one", builder.conv(builder.input(4, 4, 4)))


def test_another_activation_width_is_refused() -> None:
    with pytest.raises(QuantisationError, match=r"tensor 'x0' has 4 bits, arch 'tiny' computes with 8; .*act_bits=4"):
        lower(_one_conv(Limits(act_bits=4)), PRESETS["tiny"])


def test_batches_are_refused() -> None:
    graph = _one_conv()
    tensors = {**graph.tensors, "x0": replace(graph.tensors["x0"], shape=(2, 4, 4, 4))}
    with pytest.raises(UnsupportedModel, match=r"'x0' \(tensor\): shape \(2, 4, 4, 4\); accepted: \(1, C\)"):
        lower(graph.with_(tensors=tensors), PRESETS["tiny"])


@pytest.mark.parametrize(("part", "op"), [("residual", "QConv"), ("residual", "QAdd"), ("pool", "QRequant")])
def test_an_arch_without_the_unit_is_refused(part: str, op: str) -> None:
    builder = GraphBuilder(rng=np.random.default_rng(0))
    x = builder.input(2, 4, 4)
    made = {"QConv": lambda: builder.conv(x, residual=x), "QAdd": lambda: builder.add(x, x)}
    graph = builder.graph("g", made.get(op, lambda: builder.requant(x))())
    with pytest.raises(UnsupportedModel, match=rf"\({op}\): arch 'tiny' was built without '{part}'; .*{part}=true"):
        lower(graph, PRESETS["tiny"].with_(**{part: False}))


def test_what_does_not_fit_packed_is_lowered_plain() -> None:
    net = NetworkBuilder(rng=np.random.default_rng(0))
    graph = net.graph("few", net.layer(net.input(64, 6, 6), 2, pad=(1, 1, 1, 1)))
    arch = PRESETS["16x16"]
    packed, plain = lower(graph, arch), lower_as(graph, arch, plan_layouts(graph, arch))
    lines = [program.notes["memory"]["weights"]["lines"] for program in (packed, plain)]
    assert lines[0] > lines[1]
    small = arch.with_(weight_lines=lines[1])
    assert lower(graph, small).segments[Space.WEIGHTS] == plain.segments[Space.WEIGHTS]
    with pytest.raises(CapacityError, match=f"weights memory: {lines[1]} lines are needed"):
        lower(graph, arch.with_(weight_lines=lines[1] - 8))


@pytest.mark.parametrize("name", ["tiny", "8x8", "16x16"])
@pytest.mark.parametrize("seed", range(6))
def test_tables_stand_alone_and_at_the_end_of_layers(name: str, seed: int) -> None:
    arch = PRESETS[name].with_(tables=8, **_ROOM)
    graph = random_network(seed, Limits(tables=True))
    for one in (graph, fuse_table(fuse_add(graph))):
        _check(one, arch, seed)


def test_tables_are_refused_by_an_arch_without() -> None:
    graph = random_table_graph(0)
    message = (
        r"node 'qtable0' \(Table\): it needs a table .* arch '16x16' has none; accepted: .*tables=8.*'?tiny, 4x4, 8x8"
    )
    with pytest.raises(UnsupportedModel, match=message):
        lower(graph, PRESETS["16x16"])


def test_tables_by_integers_of_another_width_are_refused() -> None:
    graph = fuse_table(_tabled())
    (node,) = graph.nodes
    inner = replace(node.attributes["inner"], bits=7)
    graph = graph.with_(nodes=(replace(node, attributes={**node.attributes, "inner": inner}),))
    with pytest.raises(QuantisationError, match=r"what node 'qconv0' looks up in its table has 7 bits, arch 'tiny'"):
        lower(graph, PRESETS["tiny"])


def _tabled() -> Graph:
    builder = GraphBuilder(rng=np.random.default_rng(0))
    return builder.graph("tabled", builder.table(builder.conv(builder.input(4, 4, 4))))
