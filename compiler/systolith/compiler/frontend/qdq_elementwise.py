# SPDX-License-Identifier: Apache-2.0
"""Which way each elementwise operator of a QDQ network goes: a layer's unit and bias, an add, or a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from ..elementwise import BINARY, UNARY
from ..ir import Node
from ..verify_integer import ADD_LIMIT, product_limit
from .qdq_affine import add_constant, divide, multiply, negate, subtract
from .qdq_constants import refuse
from .qdq_prelu import prelu
from .qdq_table import function, is_curve, is_function, is_number
from .qdq_values import Activation, Value
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
    return _pair(walk, node, "QAdd", _operands(walk, node))


def _multiply(walk: Walk, node: Node) -> Value:
    constants = _constants(walk, node)
    if constants in ((0,), (1,)):
        return multiply(walk, node)
    if is_function(walk, node):
        return function(walk, node)
    first, second = _operands(walk, node)
    if first.shape == second.shape and product_limit(first.qparams) < product_limit(second.qparams):
        first, second = second, first
    return _pair(walk, node, "QMul", (first, second))


def _operands(walk: Walk, node: Node) -> tuple[Activation, Activation]:
    """Two tensors: the first of the result's shape, the second too or a single pixel."""
    operands = [walk.in_shape(node, walk.real(node, index)) for index in range(2)]
    result = walk.source.tensors[node.outputs[0]].shape
    first, second = operands if operands[0].shape == result else reversed(operands)
    if first.shape != result or second.shape not in (result, (*result[:2], *[1] * len(result[2:]))):
        shapes = " and ".join(str(list(operand.shape)) for operand in operands)
        raise refuse(node, f"it combines {shapes}", "operands of one shape, or one that is a single pixel")
    return first, second


def _pair(walk: Walk, node: Node, op: str, operands: tuple[Activation, Activation]) -> Value:
    first, second = (operand.qparams for operand in operands)
    if op == "QMul":
        unit = np.array(first.scale * second.scale * (1 << first.bits))
        return replace(walk.layer(op, node, operands, unit, {}), limit=product_limit(first))
    return replace(walk.layer(op, node, operands, np.array([first.scale, second.scale]), {}), limit=ADD_LIMIT)


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
    "Mul": _multiply,
    "Neg": _negative,
    "PRelu": prelu,
    "Sub": _affine(subtract, (0,), (1,)),
}
"""The rule of each operator."""
