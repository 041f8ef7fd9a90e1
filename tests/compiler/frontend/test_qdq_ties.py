# SPDX-License-Identifier: Apache-2.0
"""Against trying everything: each result that the integers of an 8-bit activation can have, in exact fractions."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from systolith.compiler.frontend.qdq_ties import _RULES, may_tie
from systolith.compiler.frontend.qdq_values import Pending
from systolith.compiler.verify_integer import ATTRIBUTES

DISTANCES = range(-255, 256)
WINDOW = {"mode": "average", "kernel": (2, 3)}


def pending(op: str, *scales: float, **more: Any) -> Pending:
    units = np.array(scales) if op in ("QAdd", "QConv", "QMove") else np.array(scales[0])
    return Pending(op, "n", ("x",), units, (1, 1), (1, 1), (), **more)


def tried(scales: tuple[float, ...], step: float, counts: range = range(1, 2)) -> bool:
    """Whether some multiple of a scale, over a count of elements, is a half."""
    values = (Fraction(scale) * n / count / Fraction(step) for scale in scales for count in counts for n in DISTANCES)
    return any(value.denominator == 2 for value in values)


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.75, 0.3, 1 / 256, 1 / 512, 3 / 1024])
@pytest.mark.parametrize("step", [1.0, 0.5, 0.3, 0.75, 0.173, 2.0, 255.0])
def test_one_operand(scale: float, step: float) -> None:
    assert may_tie(pending("QRequant", scale), step) is tried((scale,), step)
    assert may_tie(pending("QMove", scale, 0.3), step) is tried((scale, 0.3), step)
    largest = pending("QPool", scale, attributes={"mode": "max", "kernel": (2, 3)})
    assert may_tie(largest, step) is tried((scale,), step)


@pytest.mark.parametrize(("scale", "step"), [(0.3, 0.3), (0.3, 0.173), (1.0, 1 / 16), (0.75, 0.25)])
def test_means(scale: float, step: float) -> None:
    """Sums reach further than single elements; of an even number of elements."""
    ratio = Fraction(scale) / Fraction(step)
    found = any((ratio * n / count).denominator == 2 for count in range(1, 7) for n in range(255 * count + 1))
    assert may_tie(pending("QPool", scale, attributes=WINDOW), step) is found


@pytest.mark.parametrize(("scales", "step"), [((0.3, 0.3), 0.6), ((0.3, 0.3), 0.3), ((0.1, 0.17), 0.23), ((1, 3), 4.0)])
def test_sums(scales: tuple[float, float], step: float) -> None:
    left, right = (Fraction(scale) / Fraction(step) for scale in scales)
    found = any((left * a + right * b).denominator == 2 for a in range(-255, 256, 3) for b in range(-255, 256, 3))
    assert may_tie(pending("QAdd", *scales), step) is found


@pytest.mark.parametrize(("scale", "ties"), [(2.0**-9, True), (2.0**-11, True), (2.0**-12, False), (0.1, False)])
def test_layers_as_far_as_their_sums_reach(scale: float, ties: bool) -> None:
    """Four weights of 1 give at most 4 * 256 and a bias of 7."""
    constants = {"weight": np.ones((1, 4, 1, 1), np.int64), "bias": np.array([7])}
    assert may_tie(pending("QConv", scale, constants=constants), 1.0) is ties


@pytest.mark.parametrize(("scale", "ties"), [(1.0, True), (2.0**-7, True), (2.0**-9, False), (0.1, False)])
def test_products(scale: float, ties: bool) -> None:
    assert may_tie(pending("QMul", scale), 1.0) is ties


def test_tables_bounds_fillings_and_parts() -> None:
    assert may_tie(pending("QTable", 1.0, constants={"curve": np.array([0.1, 0.75])}), 0.5)
    assert not may_tie(pending("QTable", 1.0, constants={"curve": np.array([0.1, 0.7])}), 0.5)
    plain = pending("QRequant", 0.3)
    assert not may_tie(plain, 0.5)
    assert may_tie(plain.bounded(-math.inf, 0.25, "Clip"), 0.5)
    assert may_tie(pending("QMove", 0.3, attributes={"fill": 0.75}), 0.5)
    assert may_tie(pending("QAdd", 0.3, 0.3, parts=(plain, pending("QRequant", 0.25))), 0.5)
    assert not may_tie(pending("QAdd", 1.0, 1.0, parts=(plain, plain)), 0.5)


def test_matrix_products_reach_every_half_that_there_is() -> None:
    assert may_tie(pending("QMatMul", 2.0**-20), 1.0)
    assert not may_tie(pending("QMatMul", 3.0), 1.0)


def test_every_operator_that_rounds_has_a_rule() -> None:
    assert {*_RULES, "QTable"} == set(ATTRIBUTES) - {"QTranspose", "View"}
