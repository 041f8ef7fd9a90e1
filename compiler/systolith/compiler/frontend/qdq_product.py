# SPDX-License-Identifier: Apache-2.0
"""Matrix products of two quantised tensors in a QDQ network, and what turns their operands.

The engine multiplies the integers themselves, so both zero points must be 0 (of unsigned integers 128).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..ir import Node, Tensor
from .qdq_constants import refuse
from .qdq_values import Activation, ConstantCodes, FloatNumbers, Value, Weights
from .qdq_walk import Walk

__all__ = ["exchange", "is_of_two", "product_of_two"]


def is_of_two(walk: Walk, node: Node) -> bool:
    """Whether a product's second operand is computed by the network."""
    return not isinstance(walk.value(node, 1), ConstantCodes | FloatNumbers | Weights)


def product_of_two(walk: Walk, node: Node) -> Value:
    """``MatMul`` of (1, M, K) and (1, K, N) as a ``QMatMul``, whose second operand is what the windows bring."""
    left, right = (walk.in_shape(node, walk.real(node, index)) for index in range(2))
    if len(left.shape) != 3 or len(right.shape) != 3:
        shapes = " and ".join(str(list(operand.shape)) for operand in (left, right))
        raise refuse(node, f"a product of shapes {shapes}", "(1, M, K) times (1, K, N), or a constant matrix")
    for operand in (left, right):
        if operand.qparams.zero_point:
            own = operand.qparams.zero_point + operand.qparams.offset
            accepted = "zero points of 0, or of 128 where integers are unsigned, on both sides"
            raise refuse(node, f"{operand.tensor!r} has the zero point {own}", accepted, "quantise both symmetrically")
    turned = next((one for one in walk.nodes if one.op == "QTranspose" and left.tensor in one.outputs), None)
    attributes = {} if turned is None else {"transposed": True}
    unit = np.array(left.qparams.scale * right.qparams.scale)
    pending = walk.layer("QMatMul", node, (right, left), unit, attributes)
    return pending if turned is None else replace(pending, inputs=(right.tensor, turned.inputs[0]))


def exchange(walk: Walk, node: Node, operand: Activation) -> Activation:
    """Channels and pixels exchanged, as a ``QTranspose`` that keeps the integers."""
    name, shape = node.outputs[0], walk.source.tensors[node.outputs[0]].shape
    walk.tensors[name] = Tensor(name, shape, operand.qparams)
    walk.nodes.append(Node("QTranspose", node.name, (operand.tensor,), (name,), {}, (node.op,)))
    return Activation(name, shape, operand.qparams, real=operand.real)
