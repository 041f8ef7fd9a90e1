# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from systolith.compiler.allocate import allocate
from systolith.compiler.errors import QuantisationError
from systolith.compiler.ir import Graph
from systolith.compiler.layout import plan_layouts
from systolith.compiler.matrix import plan_matrix
from systolith.compiler.plan import Context, LayerPlan
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.isa import Op
from tests.support.networks import NetworkBuilder

ARCH = PRESETS["8x8"]


def _conv(channels: int, size: int, outputs: int, kernel: int = 1, **options: Any) -> Graph:
    net = NetworkBuilder(rng=np.random.default_rng(0))
    return net.graph("conv", net.layer(net.input(channels, size, size), outputs, (kernel, kernel), **options))


def _plan(graph: Graph, arch: Arch = ARCH) -> LayerPlan:
    layouts = plan_layouts(graph, arch)
    return plan_matrix(graph.nodes[0], Context(graph, arch, layouts, allocate(graph, layouts, arch).bases))


def test_tiles_share_weights_and_cover_all_pixels() -> None:
    plan = _plan(_conv(16, 32, 20), ARCH.with_(acc_depth=100))
    pixels = [step.descriptor.loops[0].count * step.descriptor.loops[1].count for step in plan.steps]
    assert max(pixels) <= 100
    assert sum(pixels) == 32 * 32
    assert {step.weights for step in plan.steps} == {0}
    assert [step.descriptor.op for step in plan.steps] == [Op.MATRIX] * 11
    assert plan.weights[0].shape == (6, 8, 8)


def test_a_single_pass_keeps_nothing_and_needs_no_tiles() -> None:
    assert len(_plan(_conv(8, 32, 20), ARCH.with_(acc_depth=100)).steps) == 1
    drained = ARCH.with_(acc_depth=100, lane_cycles=2)
    assert len(_plan(_conv(8, 32, 20), drained).steps) == 11


def test_rows_wider_than_the_accumulator_are_split() -> None:
    plan = _plan(_conv(16, 32, 8), ARCH.with_(acc_depth=20))
    assert {step.descriptor.loops[0].count for step in plan.steps} == {16}


def test_work_adds_up_to_the_useful_products() -> None:
    for group in (1, 4, 12):
        plan = _plan(_conv(12, 9, 24, 3, pad=(1, 1, 1, 1), group=group))
        done = sum(
            step.descriptor.work * step.descriptor.loops[0].count * step.descriptor.loops[1].count
            for step in plan.steps
        )
        assert done == plan.macs == 81 * 24 * (12 // group) * 9


def test_pads_become_negative_starts() -> None:
    descriptor = _plan(_conv(3, 8, 8, 3, pad=(1, 2, 1, 2))).steps[0].descriptor
    assert (descriptor.row_start, descriptor.col_start) == (-24, -6)
    assert (descriptor.plane, descriptor.row_len) == (192, 24)


def test_a_depthwise_layer_is_one_descriptor_with_diagonal_weights() -> None:
    plan = _plan(_conv(16, 8, 16, 3, group=16))
    assert len(plan.steps) == 1
    assert plan.steps[0].descriptor.loops[5].count == 2
    assert all(np.array_equal(one, np.diag(np.diag(one))) for one in plan.weights[0])


def test_groups_that_share_no_regular_distance_get_their_own_descriptors() -> None:
    plan = _plan(_conv(9, 4, 36, 1, group=3))
    assert [step.descriptor.loops[5].count for step in plan.steps] == [2, 2, 1]
    assert [step.param_line for step in plan.steps] == [0, 2, 4]


def test_wide_groups_step_with_their_blocks() -> None:
    plan = _plan(_conv(32, 4, 32, 1, group=2))
    assert [(step.descriptor.col_start, step.descriptor.loops[5].count) for step in plan.steps] == [(0, 2), (16, 2)]


def test_weights_wider_than_the_arch_are_refused() -> None:
    with pytest.raises(QuantisationError, match=r"node 'conv0' \(QConv\): weights reach .* holds -8..7; quantise to 4"):
        _plan(_conv(8, 4, 8), ARCH.with_(weight_bits=4, narrow_weights=False, dynamic_weights=False))


def test_sums_wider_than_the_accumulator_are_refused() -> None:
    graph = _conv(64, 4, 8)
    with pytest.raises(QuantisationError, match="'conv0'.*the sum can need 21 bits, the accumulator .* has 20"):
        _plan(graph, ARCH.with_(acc_bits=20))


def test_the_bias_takes_the_zero_point_of_all_taps() -> None:
    graph = _conv(3, 4, 2, 2)
    zero = -7
    tensor = graph.tensors["x0"]
    assert tensor.qparams is not None
    shifted = replace(tensor, qparams=replace(tensor.qparams, zero_point=zero))
    plan = _plan(graph.with_(tensors={**graph.tensors, "x0": shifted}))
    weight, bias = graph.constant("t1.weight"), graph.constant("t1.bias")
    assert plan.tables[0].bias[:2].tolist() == (bias - zero * weight.sum(axis=(1, 2, 3))).tolist()
    assert plan.steps[0].descriptor.fill == zero
