# SPDX-License-Identifier: Apache-2.0
import math
from dataclasses import replace

import numpy as np
import pytest

from systolith.compiler.errors import UnsupportedModel
from systolith.compiler.frontend.qdq_values import Pending, same_image
from systolith.compiler.ir import QParams
from systolith.compiler.verify_integer import ADD_LIMIT, FACTOR_LIMIT

GRID = QParams(0.5, 10)


def pending(op: str = "QRequant", scales: float | list[float] = 0.5, grid: QParams | None = GRID) -> Pending:
    limit = ADD_LIMIT if op == "QAdd" else FACTOR_LIMIT
    return Pending(op, "n", ("x",), np.array(scales), (1, 2), (1, 2), (op[1:],), grid=grid, limit=limit)


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ((1, 3, 1, 1), (1, 3), True),
        ((1, 3, 1, 2), (1, 3, 2), True),
        ((1, 3, 2, 1), (1, 3, 2), False),
        ((1, 3, 2), (1, 6), False),
        ((1, 2, 3, 4, 5), (1, 2, 3, 4, 5), True),
        ((1, 1, 2, 3, 4), (1, 2, 3, 4), False),
    ],
)
def test_shapes_of_one_image(left: tuple[int, ...], right: tuple[int, ...], same: bool) -> None:
    assert same_image(left, right) is same_image(right, left) is same


def test_bounds_compose_as_the_functions_do() -> None:
    value = pending().bounded(0, math.inf, "Relu").bounded(-3, 6, "Clip").bounded(7, 9, "Clip")
    assert (value.low, value.high) == (7, 7)
    assert value.origin == ("Requant", "Relu", "Clip", "Clip")


@pytest.mark.parametrize(
    ("low", "high", "exact"),
    [(0, math.inf, True), (0.25, math.inf, False), (-1e9, 1e9, True), (-3.5, 6, True), (0, 6.1, False)],
)
def test_limits_on_the_grid_need_no_rounding(low: float, high: float, exact: bool) -> None:
    value = pending().bounded(low, high, "Clip")
    assert value.exact_grid() == (GRID if exact else None)


def test_a_layers_result_has_no_grid() -> None:
    assert pending(grid=None).exact_grid() is None


def test_a_positive_factor_reaches_everything_that_is_real() -> None:
    part = pending("QConv", [0.5, 1.0], None)
    move = replace(pending("QMove", [0.5]).bounded(-1, 3, "Clip"), attributes={"fill": 0.5}, parts=(part,)).times(4)
    assert (move.scales.tolist(), move.low, move.high, move.grid) == ([2.0], -4, 12, None)
    assert (move.attributes, move.parts[0].scales.tolist()) == ({"fill": 2.0}, [2.0, 4.0])
    curve = replace(pending("QTable"), constants={"curve": np.array([-1.0, 0.25])}).times(2)
    assert curve.node_constants("y", QParams(0.5))["y.table"].tolist() == [-4, 1]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(-math.inf, math.inf, (-138, 117)), (0, 6, (0, 12)), (0.25, 0.75, (0, 2)), (500, 600, (117, 117))],
)
def test_bounds_become_integers_relative_to_the_zero_point(low: float, high: float, expected: tuple[int, int]) -> None:
    node = pending().bounded(low, high, "Clip").node("y", GRID)
    assert (node.attributes["lo"], node.attributes["hi"]) == expected


def test_factors_are_ratios_of_scales() -> None:
    assert pending().node("y", QParams(0.25)).attributes["factor"] == 2.0
    add = pending("QAdd", [0.5, 1.0]).node("y", QParams(0.25)).attributes["add"]
    assert (add.m_own, add.m_res, add.lo, add.hi) == (2.0, 4.0, -128, 127)
    conv = pending("QConv", [0.5, 1.0])
    assert conv.node("y", QParams(2.0)).attributes["factor"] == "y.factor"
    assert conv.node_constants("y", QParams(2.0))["y.factor"].tolist() == [0.25, 0.5]


@pytest.mark.parametrize(
    ("op", "scales", "limit"), [("QRequant", 2.0, 4), ("QConv", [0.1, 2.0], 4), ("QAdd", [4, 1], 8)]
)
def test_factors_beyond_the_lanes_are_refused(op: str, scales: float | list[float], limit: int) -> None:
    with pytest.raises(UnsupportedModel, match=rf"a scale ratio of {limit}; accepted: less than {limit}; quantise the"):
        pending(op, scales).node("y", QParams(0.5))
