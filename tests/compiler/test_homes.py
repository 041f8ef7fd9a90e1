# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import pytest

from systolith.compiler.allocate import allocate
from systolith.compiler.choose import choose_layouts
from systolith.compiler.homes import find_homes
from systolith.compiler.ir import Graph, Move, Node, QParams, Run
from systolith.compiler.layout import Layout, plan_layouts
from systolith.compiler.lower import lower, lower_as
from systolith.compiler.model import predict
from systolith.compiler.moves import concat_moves, gather_moves, interleave_move, whole_move
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.link import Counter
from systolith.testbench.isa_model import IsaModel
from systolith.testbench.localise import locate_layer
from tests.support.graph_builder import GraphBuilder
from tests.support.lsb import assert_engine_agrees
from tests.support.programs import make_samples
from tests.support.random_homes import exact, home_builder, random_home_graph

ARCH = PRESETS["4x4"]


def moved(b: GraphBuilder, size: tuple[int, int, int], moves: tuple[Move, ...], *names: str) -> str:
    """A QMove of given moves."""
    return b.given("QMove", names, size, moves=moves, factors=(1.0,) * len(names), fill=3, lo=-128, hi=127)


def homes(graph: Graph, arch: Arch = ARCH) -> dict[str, tuple[str, int]]:
    found = find_homes(graph, plan_layouts(graph, arch), arch)
    return {name: (layout.home, layout.offset) for name, layout in found.items() if layout.home}


ARCHS = [PRESETS["tiny"].with_(weight_lines=1 << 16, act_lines=1 << 14), ARCH, PRESETS["8x8"]]


@pytest.mark.parametrize("arch", ARCHS, ids=lambda arch: arch.name)
def test_random_movement_at_home_equals_the_reference(arch: Arch) -> None:
    settled = 0
    for seed in range(24):
        graph = random_home_graph(seed, arch.cols)
        settled += len(homes(graph, arch))
        assert_engine_agrees(graph, arch, seed)
    assert settled > 12


@pytest.mark.parametrize("width", [5, 10])
def test_a_selection_of_a_single_row_is_padded_by_its_readers(width: int) -> None:
    """The padding below the row must not be what lies behind it in the source's memory."""
    b = home_builder()
    x = b.conv(b.input(4, 1, width), 4, single=(0, 1), same=True)
    columns = range(1, width, 3)
    y = moved(b, (4, 1, len(columns)), gather_moves(range(4), [0], columns), x)
    window = {"kernel": (3, 3), "strides": (1, 1), "pads": (1, 1, 1, 1), "count_include_pad": True}
    bounds = {"factor": 0.1, "lo": -128, "hi": 127}
    pool = b.given("QPool", (y,), (4, 1, len(columns)), mode="average", **window, **bounds)
    graph = exact(b.graph("selection", pool))
    assert y in homes(graph)
    for seed in range(4):
        assert_engine_agrees(graph, ARCH, seed)


def concatenated(height: int) -> tuple[Graph, tuple[str, str, str]]:
    """Two convolutions' results in one tensor that a third reads; and the names of the three tensors."""
    b = home_builder()
    x = b.input(4, height, 6)
    one, other = b.conv(x, 8, single=(0, 1), same=True), b.conv(x, 8, single=(0, 1), same=True)
    y = moved(b, (16, height, 6), concat_moves([(8, height, 6)] * 2, 0), one, other)
    return exact(b.graph("concat", b.conv(y))), (one, other, y)


def test_sequences_lie_side_by_side_like_maps() -> None:
    graph, _ = concatenated(height=1)
    line = {name: replace(one, shape=(*one.shape[:2], *one.shape[3:])) for name, one in graph.tensors.items()}
    assert homes(graph.with_(tensors=line)) == homes(graph) != {}


def test_parts_of_a_concat_lie_side_by_side() -> None:
    graph, (one, other, y) = concatenated(height=5)
    assert homes(graph) == {one: (y, 0), other: (y, 8)}
    program = lower(graph, ARCH)
    assert [layer.name for layer in program.layers] == [node.name for node in graph.nodes if node.op != "QMove"]
    copied = lower_as(graph, ARCH, choose_layouts(graph, ARCH))
    cycles = [predict(one).total[Counter.CYCLES] for one in (program, copied)]
    # the two parts are of 30 pixels in 2 vectors each, of 4 cycles
    assert cycles[1] - cycles[0] >= 2 * 2 * 30 * 4
    assert_engine_agrees(graph, ARCH)


def test_vectors_that_parts_would_share_are_copied() -> None:
    b = home_builder()
    x = b.input(4, 5, 6)
    one, other = b.conv(x, 6, single=(0, 1), same=True), b.conv(x, 8, single=(0, 1), same=True)
    y = moved(b, (14, 5, 6), concat_moves([(6, 5, 6), (8, 5, 6)], 0), one, other)
    assert homes(exact(b.graph("concat", b.conv(y)))) == {}


def test_phases_lie_between_each_other() -> None:
    b = home_builder()
    x = b.input(4, 3, 4)
    phases = [b.requant(b.conv(x, 5, single=(0, 1), same=True)) for _ in range(4)]
    places = [(0, 0), (0, 1), (1, 0), (1, 1)]
    moves = tuple(interleave_move(index, (5, 3, 4), place, (2, 2)) for index, place in enumerate(places))
    y = moved(b, (5, 6, 8), moves, *phases)
    graph = exact(b.graph("phases", b.conv(y)))
    found = find_homes(graph, plan_layouts(graph, ARCH), ARCH)
    assert found[phases[3]] == Layout(3, 4, 5, 16, 2 * 64, home=y, offset=64 + 8)
    assert_engine_agrees(graph, ARCH)


def test_a_selection_stays_where_it_is() -> None:
    b = home_builder()
    x = b.requant(b.input(12, 6, 6))
    moves = gather_moves(range(4, 10), [1, 3, 5], [2, 3, 4, 5])
    y = moved(b, (6, 3, 4), moves, x)
    graph = exact(b.graph("slice", b.conv(y), b.requant(x)))
    found = find_homes(graph, plan_layouts(graph, ARCH), ARCH)
    assert found[y] == Layout(3, 4, 6, 12, 2 * 72, home=x, offset=72 + 2 * 12 + 4)
    assert_engine_agrees(graph, ARCH)


@pytest.mark.parametrize("why", ["input", "output", "view", "twice", "scale", "bounds", "part", "rows"])
def test_what_must_be_copied(why: str) -> None:
    b = home_builder()
    x = b.input(8, 4, 4)
    one = x if why == "input" else b.requant(x)
    move = whole_move(0, (8, 4, 4))
    if why == "part":
        move = replace(move, columns=Run(0, 0, 3))
    moves = (move, replace(move, rows=Run(0, 4, 4))) if why == "twice" else (replace(move, rows=Run(0, 1, 4)),)
    y = moved(b, (8, 9, 4), moves, one)
    outputs = [b.conv(y), *([one] if why == "output" else [])]
    graph = exact(b.graph("copied", *outputs))
    if why == "view":
        view = Node("View", "view", (one,), ("seen",))
        tensors = {**graph.tensors, "seen": replace(graph.tensors[one], name="seen")}
        graph = graph.with_(nodes=(*graph.nodes, view), tensors=tensors, outputs=(*graph.outputs, "seen"))
    if why == "scale":
        graph = graph.with_(tensors={**graph.tensors, y: replace(graph.tensors[y], qparams=QParams(0.25))})
    if why == "bounds":
        tight = (replace(n, attributes={**n.attributes, "lo": 0}) if n.op == "QMove" else n for n in graph.nodes)
        graph = graph.with_(nodes=tuple(tight))
    arch = ARCH.with_(rows=8) if why == "rows" else ARCH
    if why == "rows":
        graph = graph.with_(outputs=(y,), nodes=tuple(n for n in graph.nodes if y not in n.inputs))
        nodes = (*graph.nodes, replace(b.nodes[-1], inputs=(one,)))
        graph = graph.with_(nodes=nodes, outputs=(y, b.nodes[-1].outputs[0]))
    assert homes(graph, arch) == {}


def test_a_home_is_left_where_memory_is_short() -> None:
    b = home_builder()
    early = b.requant(b.input(8, 8, 8))
    wide = b.conv(early, 32, single=(0, 1), same=True)
    late = b.conv(b.conv(wide, 8, single=(0, 1), same=True), 8, single=(0, 1), same=True)
    y = moved(b, (16, 8, 8), concat_moves([(8, 8, 8), (8, 8, 8)], 0), early, late)
    graph = exact(b.graph("short", b.conv(y)))
    # with both at home 16 channels are alive beside 32 and 8 others, without the early one 8
    assert set(homes(graph)) == {early, late}
    assert set(homes(graph, ARCH.with_(act_lines=50 * 64 // 4, act_segments=1))) == {late}


def test_partly_moved_tensors_are_located() -> None:
    b = home_builder()
    x = b.input(4, 4, 4)
    one = b.conv(x, 8, single=(0, 1), same=True)
    y = moved(b, (8, 6, 4), (replace(whole_move(0, (8, 4, 4)), rows=Run(0, 1, 4)),), one)
    graph = exact(b.graph("pad", b.conv(y)))
    assert homes(graph) == {one: (y, 4 * 8)}
    program = lower(graph, ARCH)
    (sample,) = make_samples(graph, ARCH, 0, 1)
    model = IsaModel(program)
    for tensor in program.inputs:
        model.load(tensor, sample.inputs[tensor.name])
    assert locate_layer(program, sample.layers, list(model.stores())) is None


def test_a_tensor_at_home_does_not_take_its_operand_s_place() -> None:
    b = home_builder()
    x = b.input(8, 4, 4)
    one = b.requant(x)
    y = moved(b, (8, 6, 4), (replace(whole_move(0, (8, 4, 4)), rows=Run(0, 1, 4)),), one)
    graph = exact(b.graph("pad", y))
    layouts = find_homes(graph, plan_layouts(graph, ARCH), ARCH)
    bases = allocate(graph, layouts, ARCH).bases
    assert bases[one] == bases[y] + 4 * 8
    first, second = sorted((x, y), key=lambda name: bases[name])
    assert bases[first] + layouts[first].elements <= bases[second]
