# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from systolith.compiler.allocate import Placement, allocate
from systolith.compiler.errors import CapacityError
from systolith.compiler.ir import Graph, Node, Tensor
from systolith.compiler.layout import plan_layouts
from systolith.spec.arch import PRESETS, Arch
from tests.support.graph_builder import GraphBuilder
from tests.support.networks import resnet8
from tests.support.random_graphs import random_network

ARCH = PRESETS["8x8"]


def _place(graph: Graph, arch: Arch = ARCH) -> Placement:
    return allocate(graph, plan_layouts(graph, arch), arch)


def _chain(*, requants: int) -> Graph:
    builder = GraphBuilder(rng=np.random.default_rng(0))
    name = builder.conv(builder.input(8, 4, 4), residual=None, outputs=8)
    for _ in range(requants):
        name = builder.requant(name)
    return builder.graph("chain", name)


def _alive(graph: Graph) -> list[set[str]]:
    """Tensors that hold a value needed at each node or later, by definition."""
    alive = []
    for index, node in enumerate(graph.nodes):
        born = {*graph.inputs, *(name for other in graph.nodes[: index + 1] for name in other.outputs)}
        needed = {name for other in graph.nodes[index + 1 :] for name in other.inputs} | set(graph.outputs)
        alive.append((born & needed) | set(node.outputs))
    return alive


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", ["8x8", "tiny"])
def test_tensors_alive_together_never_overlap(seed: int, name: str) -> None:
    graph = random_network(seed, depth=6)
    arch = PRESETS[name]
    layouts, placement = plan_layouts(graph, arch), _place(graph, arch)
    for names in _alive(graph):
        ranges = sorted((placement.bases[name], placement.bases[name] + layouts[name].elements) for name in names)
        assert all(end <= start for (_, end), (start, _) in zip(ranges, ranges[1:], strict=False)), f"seed {seed}"
    assert placement.bound <= placement.peak <= placement.top <= arch.act_depth
    assert all(base % arch.line == 0 for base in placement.bases.values())


def _lifetime(graph: Graph, name: str) -> tuple[int, int]:
    """From making to last use, uses of views of it included, by definition."""
    made = next((index for index, node in enumerate(graph.nodes) if name in node.outputs), -1)
    last = len(graph.nodes) if name in graph.outputs else made
    for index, node in enumerate(graph.nodes):
        if name in node.inputs:
            through = _lifetime(graph, node.outputs[0])[1] if node.op == "View" else index
            last = max(last, index, through)
    return made, last


@pytest.mark.parametrize("seed", range(12))
def test_lifetimes_are_from_making_to_last_use(seed: int) -> None:
    graph = random_network(seed, depth=6)
    stored = {*graph.inputs, *(node.outputs[0] for node in graph.nodes if node.op != "View")}
    assert _place(graph).lifetimes == {name: _lifetime(graph, name) for name in stored}, f"seed {seed}"


def test_requantisation_takes_its_operands_place() -> None:
    graph = _chain(requants=3)
    bases = _place(graph).bases
    assert len({bases[node.outputs[0]] for node in graph.nodes}) == 1


def test_a_table_takes_its_operand_s_place() -> None:
    builder = GraphBuilder(rng=np.random.default_rng(0))
    name = builder.conv(builder.input(8, 4, 4))
    bases = _place(builder.graph("table", builder.table(name))).bases
    assert len({base for tensor, base in bases.items() if tensor != "x0"}) == 1


def test_a_value_needed_later_is_not_overwritten() -> None:
    graph = _chain(requants=2)
    first, second, third = (node.outputs[0] for node in graph.nodes)
    bases = _place(graph.with_(outputs=(first, third))).bases
    assert bases[second] == bases[third]
    assert bases[first] != bases[second]


def test_a_residual_operand_is_overwritten_unless_it_is_also_the_input() -> None:
    builder = GraphBuilder(rng=np.random.default_rng(0))
    x = builder.input(8, 4, 4)
    own = builder.conv(x, residual=x)
    bases = _place(builder.graph("own", own)).bases
    assert bases[own] != bases[x]
    other = builder.input(8, *builder.map_size(own)[1:])
    summed = builder.conv(own, residual=other)
    bases = _place(builder.graph("other", summed)).bases
    assert bases[summed] == bases[other]


def test_views_share_memory() -> None:
    graph = _chain(requants=0)
    (name,) = graph.outputs
    tensor = graph.tensors[name]
    view = Node("View", "same", (name,), ("view",))
    tensors = {**graph.tensors, "view": Tensor("view", tensor.shape, tensor.qparams)}
    bases = _place(graph.with_(nodes=(*graph.nodes, view), tensors=tensors, outputs=("view",))).bases
    assert bases["view"] == bases[name]


def test_a_view_s_uses_are_its_source_s() -> None:
    graph = _chain(requants=1)
    conv, requant = graph.nodes
    view = Node("View", "same", conv.outputs, ("view",))
    tensors = {**graph.tensors, "view": replace(graph.tensors[conv.outputs[0]], name="view")}
    nodes = (conv, view, replace(requant, inputs=("view",)))
    lifetimes = _place(graph.with_(nodes=nodes, tensors=tensors)).lifetimes
    assert lifetimes == {graph.inputs[0]: (-1, 0), conv.outputs[0]: (0, 2), requant.outputs[0]: (2, 3)}


def test_residual_operands_lie_in_the_other_segment() -> None:
    graph = resnet8()
    placement = _place(graph)
    border = ARCH.act_depth // 2
    for node in graph.nodes:
        if len(node.inputs) > 1:
            here, there = (placement.bases[name] >= border for name in node.inputs)
            assert here != there, node.name
    assert placement.peak == placement.bound


def test_a_full_memory_drops_the_preference_first() -> None:
    graph = resnet8()
    placement = _place(graph, ARCH.with_(act_lines=4096))
    assert placement.top == placement.bound == 4096 * 8


def test_too_little_memory_is_refused_with_numbers() -> None:
    message = r"do not fit: 32768 elements are needed, arch '8x8' has 16384, 16384 too many; .* 'conv1' with .* '4x4'"
    with pytest.raises(CapacityError, match=message):
        _place(resnet8(), ARCH.with_(act_lines=2048))
