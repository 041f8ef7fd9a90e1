# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from systolith.compiler.allocate import allocate
from systolith.compiler.errors import UnsupportedModel
from systolith.compiler.ir import AddAttributes, Graph, Node, QParams, Tensor
from systolith.compiler.layout import plan_layouts
from systolith.compiler.plan import Context, LayerPlan
from systolith.compiler.vector import plan_vector
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.fixed import LaneWidths, make_scaler
from systolith.spec.isa import Op

ARCH = PRESETS["4x4"]


def _pool(mode: str, size: int, out: int, **changes: Any) -> Graph:
    window = {"kernel": (3, 3), "strides": (1, 1), "pads": (0, 0, 0, 0), "count_include_pad": True} | changes
    node = Node("QPool", "pool", ("x",), ("y",), {"mode": mode, **window, "factor": 1.0, "lo": -9, "hi": 9})
    tensors = {"x": Tensor("x", (1, 6, size, size), QParams(1.0, 3)), "y": Tensor("y", (1, 6, out, out), QParams(1.0))}
    return Graph("pool", ("x",), ("y",), (node,), tensors)


def _plan(graph: Graph, arch: Arch = ARCH) -> LayerPlan:
    layouts = plan_layouts(graph, arch)
    return plan_vector(graph.nodes[0], Context(graph, arch, layouts, allocate(graph, layouts, arch).bases))


def test_a_maximum_ignores_its_padding() -> None:
    plan = _plan(_pool("max", 8, 8, pads=(1, 1, 1, 1)))
    (step,) = plan.steps
    assert (step.descriptor.op, step.descriptor.maximum, step.descriptor.fill) == (Op.VECTOR, True, -128)
    assert [loop.count for loop in step.descriptor.loops] == [3, 3, 1, 8, 8, 2]
    assert plan.tables[0].bias.tolist() == [-3] * 6 + [0] * 2


def test_an_average_reads_the_zero_point_and_divides() -> None:
    plan = _plan(_pool("average", 8, 8, pads=(1, 1, 1, 1)))
    scaler = make_scaler(1 / 9, LaneWidths(8, 32))
    assert (len(plan.steps), plan.steps[0].descriptor.fill) == (1, 3)
    assert plan.tables[0].bias.tolist() == [-27] * 6 + [0] * 2
    assert plan.tables[0].multiplier.tolist() == [scaler.multiplier] * 6 + [0] * 2


def test_an_average_without_its_padding_is_cut_where_the_divisor_changes() -> None:
    plan = _plan(_pool("average", 8, 8, pads=(1, 1, 1, 1), count_include_pad=False))
    shapes = [tuple(step.descriptor.loops[level].count for level in (4, 3)) for step in plan.steps]
    assert shapes == [(1, 1), (1, 6), (1, 1), (6, 1), (6, 6), (6, 1), (1, 1), (1, 6), (1, 1)]
    assert [step.params for step in plan.steps] == [0, 1, 0, 1, 2, 1, 0, 1, 0]
    shifts = [make_scaler(1 / taps, LaneWidths(8, 32)).multiplier for taps in (4, 6, 9)]
    assert [int(table.multiplier[0]) for table in plan.tables] == shifts


def test_dilated_taps_are_counted_where_they_lie() -> None:
    plan = _plan(_pool("average", 8, 8, kernel=(1, 2), dilations=(1, 3), pads=(0, 1, 0, 2), count_include_pad=False))
    shapes = [(step.descriptor.loops[3].count, step.params) for step in plan.steps]
    assert shapes == [(1, 0), (5, 1), (2, 0)]
    assert [step.descriptor.loops[0].col_step for step in plan.steps] == [3 * 6] * 3


def test_maps_longer_than_a_loop_are_split() -> None:
    plan = _plan(_pool("max", 22, 20), ARCH.with_(dim_bits=4))
    assert [step.descriptor.loops[4].count for step in plan.steps] == [10, 10, 10, 10]


def test_an_add_is_an_identity_with_a_residual() -> None:
    tensors = {name: Tensor(name, (1, 4, 2, 2), QParams(1.0, zero)) for name, zero in (("a", 5), ("b", -6), ("y", 7))}
    node = Node("QAdd", "add", ("a", "b"), ("y",), {"add": AddAttributes(0.5, 0.5, -100, 100)})
    plan = _plan(Graph("add", ("a", "b"), ("y",), (node,), tensors))
    descriptor = plan.steps[0].descriptor
    assert (descriptor.residual, descriptor.res_zero, descriptor.out_zero) == (True, -6, 7)
    assert descriptor.loops[5].count == 1
    assert (descriptor.lo, descriptor.hi, descriptor.lo_sum, descriptor.hi_sum) == (-256, 255, -100, 100)
    assert plan.tables[0].bias.tolist() == [-5] * 4


def test_a_product_reads_a_single_pixel_again_and_again() -> None:
    shapes = {"a": (1, 6, 3, 5), "b": (1, 6, 1, 1), "y": (1, 6, 3, 5)}
    tensors = {name: Tensor(name, shape, QParams(1.0, 4)) for name, shape in shapes.items()}
    node = Node("QMul", "gate", ("a", "b"), ("y",), {"factor": 1.5, "lo": -20, "hi": 30})
    plan = _plan(Graph("gate", ("a", "b"), ("y",), (node,), tensors))
    descriptor = plan.steps[0].descriptor
    assert (descriptor.residual, descriptor.product, descriptor.res_zero, descriptor.m_res) == (True, True, 4, 0)
    assert (descriptor.res.x, descriptor.res.y, descriptor.res.block) == (0, 0, 4)
    assert (descriptor.lo, descriptor.hi, descriptor.lo_sum, descriptor.hi_sum) == (-1024, 1023, -20, 30)
    assert int(plan.tables[0].multiplier[0]) == make_scaler(1.5 / 4, LaneWidths(8, 32)).multiplier


def test_a_window_in_the_padding_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match=r"node 'pool' \(QPool\): a window .* outside.*smaller than the kernel"):
        _plan(_pool("max", 8, 12, pads=(3, 3, 3, 3)))


def test_a_table_is_an_identity_that_is_looked_up() -> None:
    tensors = {"x": Tensor("x", (1, 6, 2, 2), QParams(1.0, 5)), "y": Tensor("y", (1, 6, 2, 2), QParams(0.5, -9))}
    plan = _plan(Graph("table", ("x",), ("y",), (Node("QTable", "t", ("x",), ("y",), {"table": "f"}),), tensors))
    descriptor, scaler = plan.steps[0].descriptor, make_scaler(1.0, LaneWidths(8, 32))
    assert (descriptor.op, descriptor.lookup, descriptor.residual) == (Op.VECTOR, True, False)
    assert (descriptor.out_zero, descriptor.lo, descriptor.hi) == (5, -133, 122)
    assert plan.tables[0].bias.tolist() == [-5] * 6 + [0] * 2
    assert plan.tables[0].multiplier.tolist() == [scaler.multiplier] * 6 + [0] * 2
