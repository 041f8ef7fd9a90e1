# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from systolith.compiler.errors import QuantisationError
from systolith.compiler.ir import AddAttributes, Node, QParams
from systolith.compiler.layout import Layout
from systolith.compiler.plan import Context
from systolith.compiler.scaling import check_accumulator, lane_fields, lane_table
from systolith.spec.arch import PRESETS
from systolith.spec.fixed import LaneWidths, make_add_multiplier, make_scaler
from tests.support.graph_builder import GraphBuilder

ARCH = PRESETS["tiny"]
WIDTHS = LaneWidths(ARCH.act_bits, ARCH.acc_bits)
NODE = Node("QAdd", "sum", ("x0", "x1"), ("t2",), {"add": AddAttributes(0.5, 0.25, -3, 4)})


def _context() -> Context:
    builder = GraphBuilder(rng=np.random.default_rng(3))
    graph = builder.graph("g", builder.add(builder.input(1, 1, 1), builder.input(1, 1, 1)))
    layouts = dict.fromkeys(graph.tensors, Layout(4, 4, 4, 4))
    return Context(graph, ARCH, layouts, {"x0": 0, "x1": 64})


def test_the_table_holds_scalers_and_zero_padding() -> None:
    table = lane_table(NODE, _context(), np.array([5, -6, 7]), [0.5, 0.001, 3.0], 4)
    scalers = [make_scaler(factor, WIDTHS) for factor in (0.5, 0.001, 3.0)]
    assert table.bias.tolist() == [5, -6, 7, 0]
    assert table.multiplier.tolist() == [*(scaler.multiplier for scaler in scalers), 0]
    assert table.shift.tolist() == [*(scaler.shift for scaler in scalers), 0]


def test_an_unrepresentable_factor_names_node_and_channel() -> None:
    with pytest.raises(QuantisationError, match=r"node 'sum' \(QAdd\), output channel 1: .* below 4, got 4.0"):
        lane_table(NODE, _context(), np.array([0, 0]), [1.0, 4.0], 2)


@pytest.mark.parametrize(
    ("low", "high", "bias"),
    [
        (-(1 << 31), (1 << 31) - 1, 0),
        (0, (1 << 31) - 11, 10),
        (-(1 << 31) + 10, 0, -10),
        (0, 0, -(1 << 31)),
    ],
)
def test_sums_up_to_the_accumulators_range_pass_and_one_more_is_refused(low: int, high: int, bias: int) -> None:
    def check(grow: int) -> None:
        lowest = low - grow if low or not high else low
        check_accumulator(NODE, _context(), np.array([lowest]), np.array([high + grow]), np.array([bias]))

    check(0)
    with pytest.raises(QuantisationError, match="output channel 0: the sum can need 33 bits.*has 32.*acc_bits=33"):
        check(1 if low or high else -bias)


def test_lane_fields_carry_the_add() -> None:
    ctx = _context()
    fields = lane_fields(NODE, ctx, -10, 10)
    assert fields == {
        "out_zero": ctx.qparams("t2").zero_point,
        "lo": -10,
        "hi": 10,
        "residual": True,
        "res_zero": ctx.qparams("x1").zero_point,
        "m_own": make_add_multiplier(0.5, WIDTHS),
        "m_res": make_add_multiplier(0.25, WIDTHS),
        "lo_sum": -3,
        "hi_sum": 4,
    }
    alone = Node("QRequant", "alone", ("x0",), ("t2",))
    assert set(lane_fields(alone, ctx, 0, 1)) == {"out_zero", "lo", "hi"}


def test_an_unrepresentable_residual_factor_names_the_node() -> None:
    node = Node("QAdd", "sum", ("x0", "x1"), ("t2",), {"add": AddAttributes(0.5, 8.0, -3, 4)})
    with pytest.raises(QuantisationError, match=r"node 'sum' \(QAdd\): .* below 8, got 8.0"):
        lane_fields(node, _context(), 0, 1)


def test_lanes_look_up_relative_to_what_is_in_front_of_the_table() -> None:
    node = replace(NODE, attributes={**NODE.attributes, "table": "t", "inner": QParams(1.0, -11)})
    fields = lane_fields(node, _context(), -10, 10)
    assert (fields["lookup"], fields["out_zero"]) == (True, -11)
