# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from systolith.compiler.errors import QuantisationError, UnsupportedModel
from systolith.compiler.interp_int import run_integer
from systolith.compiler.ir import Graph, Move, Node, QParams, Run, Tensor
from systolith.compiler.layout import plan_layouts
from systolith.compiler.lower import lower
from systolith.compiler.movement import plan_movement
from systolith.compiler.movement_parts import parts_of
from systolith.compiler.plan import Context, LayerPlan
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.fixed import LaneWidths, make_scaler
from systolith.spec.isa import Op
from systolith.testbench.isa_model import IsaModel
from tests.support.programs import limits_for
from tests.support.random_graphs import random_feeds, random_move_graph

ARCH = PRESETS["4x4"]
ARCHS = [
    PRESETS["tiny"].with_(acc_depth=16),
    ARCH.with_(dim_bits=4, acc_depth=16),
    PRESETS["8x8"],
    ARCH.with_(name="granule of 2", act_granule=2, lane_cycles=2),
    Arch(name="three passes", rows=4, cols=8, act_granule=4, act_lines=4096, param_lines=1024, acc_depth=16),
    Arch(name="16 bits", rows=4, cols=4, act_bits=16, acc_bits=48, act_lines=4096),
]


@pytest.mark.parametrize("arch", ARCHS, ids=lambda arch: arch.name)
def test_random_moves_equal_the_reference(arch: Arch) -> None:
    for seed in range(24):
        graph = random_move_graph(seed, limits_for(arch, channels=3 * arch.cols))
        feeds = random_feeds(graph, seed)
        expected = run_integer(graph, feeds, acc_bits=arch.acc_bits)
        got = IsaModel(lower(graph, arch)).run(feeds)
        for name in graph.outputs:
            np.testing.assert_array_equal(got[name], expected[name], f"seed {seed}")


def test_random_moves_store_vectors_in_every_way() -> None:
    kinds = set()
    for seed in range(40):
        graph = random_move_graph(seed, limits_for(ARCH, channels=3 * ARCH.cols))
        ctx = Context(graph, ARCH, plan_layouts(graph, ARCH), dict.fromkeys(graph.tensors, 0))
        node = next(node for node in graph.nodes if node.op == "QMove")
        kinds |= {(part.adds, part.constant) for part in parts_of(node, ctx)}
    assert kinds == {(False, False), (True, False), (False, True), (True, True)}


def _graph(*moves: Move, target: tuple[int, ...], source: tuple[int, ...] = (1, 6, 4, 4), **changes: Any) -> Graph:
    names = [f"x{index}" for index in range(1 + max(move.input for move in moves))]
    attributes = {"moves": moves, "factors": (0.5,) * len(names), "fill": 0, "lo": -90, "hi": 90, **changes}
    node = Node("QMove", "m", tuple(names), ("y",), attributes, ("Concat",))
    tensors = {name: Tensor(name, source, QParams(1.0, 3)) for name in names}
    tensors["y"] = Tensor("y", target, QParams(2.0, -7))
    return Graph("g", tuple(names), ("y",), (node,), tensors)


def _plan(graph: Graph, arch: Arch = ARCH) -> LayerPlan:
    ctx = Context(graph, arch, plan_layouts(graph, arch), {"x0": 0, "x1": 4096, "y": 8192})
    return plan_movement(graph.nodes[0], ctx)


def _whole(index: int, at: int) -> Move:
    return Move(index, Run(0, at, 6), Run(0, 0, 4), Run(0, 0, 4))


def test_a_move_is_one_descriptor_with_a_tap_a_pixel() -> None:
    graph = _graph(Move(0, Run(2, 0, 4), Run(3, 0, 2, -2), Run(0, 1, 3, 0)), target=(1, 4, 2, 4))
    fill, copy = _plan(graph).steps
    made = copy.descriptor
    assert (made.op, made.residual, made.fill, made.out_zero, made.lo, made.hi) == (Op.VECTOR, False, 3, -7, -90, 90)
    assert [loop.count for loop in made.loops] == [1, 1, 1, 3, 2, 1]
    # x keeps the column; y goes two rows of four pixels of six channels back
    assert (made.row_start, made.col_start) == (3 * 24, 2)
    assert (made.loops[3].col_step, made.loops[4].row_step) == (0, -2 * 24)
    assert (made.out.base, made.out.x) == (8192 + 4, 4)
    assert (fill.descriptor.plane, fill.descriptor.row_len) == (0, 0)


def test_transposing_exchanges_the_loops_steps() -> None:
    graph = _graph(Move(0, Run(0, 0, 6), Run(0, 0, 3), Run(1, 0, 3), transposed=True), target=(1, 6, 3, 3))
    (step,) = _plan(graph).steps
    loops = step.descriptor.loops
    assert (step.descriptor.row_start, step.descriptor.col_start) == (24, 0)
    assert (loops[3].row_step, loops[3].col_step) == (24, 0)
    assert (loops[4].row_step, loops[4].col_step) == (-2 * 24, 6)


def test_shared_vectors_add_what_they_hold() -> None:
    plan = _plan(_graph(_whole(0, 0), _whole(1, 6), target=(1, 12, 4, 4)))
    assert [step.descriptor.residual for step in plan.steps] == [False, True, False]
    adding = plan.steps[1].descriptor
    assert (adding.res, adding.res_zero) == (adding.out, -7)
    assert (adding.m_own, adding.m_res) == (1 << 14, 1 << 14)
    assert (adding.lo_sum, adding.hi_sum) == (-128 + 7, 127 + 7)
    # lane 0 begins two channels before the source's first
    assert (adding.col_start, plan.steps[2].descriptor.col_start) == (-2, 2)
    scaler = make_scaler(0.5, LaneWidths(8, 32))
    table = plan.tables[plan.steps[1].params]
    assert table.bias.tolist() == [0, 0, -3, -3]
    assert table.multiplier.tolist() == [0, 0, scaler.multiplier, scaler.multiplier]


def test_equal_tables_are_kept_once() -> None:
    moves = [Move(0, Run(0, 0, 6), Run(0, y, 4, 1, 2), Run(0, x, 4, 1, 2)) for y in range(2) for x in range(2)]
    plan = _plan(_graph(*moves, target=(1, 6, 8, 8)))
    assert (len(plan.steps), len(plan.tables)) == (4, 1)


def test_reads_off_the_granule_go_through_the_array() -> None:
    arch = ARCH.with_(act_granule=2, acc_depth=8)
    graph = _graph(Move(0, Run(1, 0, 5), Run(0, 0, 4), Run(0, 0, 4)), target=(1, 5, 4, 4))
    plan = _plan(graph, arch)
    # two passes of four rows hold the five elements from which four lanes are taken; eight pixels a tile
    assert [step.descriptor.op for step in plan.steps] == [Op.MATRIX] * 2
    assert [loop.count for loop in plan.steps[0].descriptor.loops] == [4, 2, 2, 1, 1, 2]
    (weights,) = plan.weights
    assert weights.shape == (4, 4, 4)
    assert [tuple(place) for place in np.argwhere(weights[:2].reshape(8, 4))] == [(1, 0), (2, 1), (3, 2), (4, 3)]
    assert [tuple(place) for place in np.argwhere(weights[2:].reshape(8, 4))] == [(1, 0)]


def test_a_shared_vector_without_residual_adds_is_refused() -> None:
    arch = ARCH.with_(residual=False)
    graph = _graph(_whole(0, 0), _whole(1, 6), target=(1, 12, 4, 4))
    message = r"'m' \(Concat\): channel 6 of its result shares a vector of 4 .*'4x4' was built without 'residual'"
    with pytest.raises(UnsupportedModel, match=message):
        _plan(graph, arch)
    assert _plan(_graph(_whole(0, 0), _whole(1, 8), target=(1, 14, 4, 4)), arch).steps


def test_a_factor_that_the_lanes_cannot_hold_is_refused() -> None:
    graph = _graph(_whole(0, 0), target=(1, 6, 4, 4), factors=(4.5,))
    with pytest.raises(QuantisationError, match=r"'m' \(QMove\), output channel 0: a rescaling factor must be below 4"):
        _plan(graph)
