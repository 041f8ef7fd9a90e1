# SPDX-License-Identifier: Apache-2.0
"""Which way each elementwise operator of a QDQ network goes: a layer's unit and bias, an add, or a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ..elementwise import BINARY, UNARY
from ..ir import Node
from .qdq_affine import add_constant, divide, multiply, negate, subtract
from .qdq_constants import refuse
from .qdq_table import function, is_curve, is_number
from .qdq_values import Value
from .qdq_walk import Walk

__all__ = ["ELEMENTWISE"]

Rule = Callable[[Walk, Node], Value]


def _constants(walk: Walk, node: Node) -> tuple[int, ...]:
    """Which operands are constant; none where another is a curve, as a table takes these in."""
    values = [walk.value(node, index) for index in range(len(node.inputs))]
    if any(is_curve(value) for value in values):
        return ()
    return tuple(index for index, value in enumerate(values) if is_number(value))


def _add(walk: Walk, node: Node) -> Value:
    constants = _constants(walk, node)
    if len(constants) == 1:
        (index,) = constants
        return add_constant(walk, node, 1 - index, walk.value(node, index))
    if any(is_curve(walk.value(node, index)) for index in range(2)):
        return function(walk, node)
    operands = tuple(walk.in_shape(node, walk.real(node, index)) for index in range(2))
    if operands[0].shape != operands[1].shape:
        shapes = " and ".join(str(list(operand.shape)) for operand in operands)
        raise refuse(node, f"an add of shapes {shapes}", "two operands of one shape")
    return walk.layer("QAdd", node, operands, np.array([operand.qparams.scale for operand in operands]), {})


def _affine(rule: Rule, *operands: tuple[int, ...]) -> Rule:
    """``rule`` where exactly these operands are constant, a table elsewhere."""

    def choose(walk: Walk, node: Node) -> Value:
        return rule(walk, node) if _constants(walk, node) in operands else function(walk, node)

    return choose


def _negative(walk: Walk, node: Node) -> Value:
    return function(walk, node) if is_curve(walk.value(node, 0)) else negate(walk, node)


ELEMENTWISE: Mapping[str, Rule] = {
    **dict.fromkeys((*UNARY, *BINARY), function),
    "Add": _add,
    "Div": _affine(divide, (1,)),
    "Mul": _affine(multiply, (0,), (1,)),
    "Neg": _negative,
    "Sub": _affine(subtract, (0,), (1,)),
}
"""The rule of each operator."""
