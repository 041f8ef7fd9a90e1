# SPDX-License-Identifier: Apache-2.0
"""Functions of each element between DequantizeLinear and QuantizeLinear: a table of their values.

A function of one tensor of few bits is known by its values at all of that tensor's integers, its *curve*. So is a
function of several tensors that are functions of one: ``x * sigmoid(x)``, even where ``sigmoid(x)`` was quantised. The
QuantizeLinear after it turns the curve into the table of a QTable.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from systolith.spec.arch import TABLE_BITS

from ..elementwise import evaluate, nearest_defined
from ..fixed_np import Ints
from ..ir import Node
from .qdq_constants import refuse
from .qdq_values import Activation, FloatNumbers, Pending, Reals, Shape, Value, Weights
from .qdq_walk import Walk

__all__ = ["curve_of", "function", "is_curve", "is_function", "is_number", "numbers_of"]


def is_curve(value: Value) -> bool:
    """Whether a value is a function that waits for its quantisation."""
    return isinstance(value, Pending) and value.op == "QTable"


def is_number(value: Value) -> bool:
    """Whether an operand is a constant, float or dequantised."""
    return isinstance(value, Weights | FloatNumbers)


def numbers_of(value: Value) -> Reals:
    """The real numbers of a constant operand, of one scale or with scales by axis."""
    if isinstance(value, FloatNumbers):
        return value.numbers
    if not isinstance(value, Weights):
        raise TypeError(f"expected a constant, got {type(value).__name__}")
    shape = [-1 if axis == value.axis else 1 for axis in range(value.codes.ndim)]
    return np.asarray(value.codes * (value.scale.reshape(shape) if value.scale.ndim else value.scale))


def function(walk: Walk, node: Node) -> Value:
    """An elementwise operator on functions of one tensor and single numbers.

    Raises:
        UnsupportedModel: operands that are functions of different tensors, of unequal shapes, or constants with more
            than one element.
    """
    curves, roots, shapes = _operands(walk, node)
    if len(roots) != 1 or len(shapes) != 1:
        accepted = "functions of one tensor, such as x * sigmoid(x), and constants"
        raise refuse(node, "it combines two computed tensors", accepted)
    (root,), (shape,) = roots, shapes
    _check_bits(walk, node, root)
    return _pending(walk, node, root, shape, evaluate(node, curves))


def is_function(walk: Walk, node: Node) -> bool:
    """Whether an elementwise operator's computed operands are functions of one tensor."""
    _, roots, shapes = _operands(walk, node)
    return len(roots) == len(shapes) == 1


def _operands(walk: Walk, node: Node) -> tuple[list[Reals], set[str], set[Shape]]:
    """The operands' curves, and the tensors and shapes of those that are computed."""
    values = [walk.value(node, index) for index in range(len(node.inputs))]
    curves = [_operand(walk, node, index) for index in range(len(node.inputs))]
    roots = {root for root, _ in curves if root}
    shapes = {value.shape for value in values if isinstance(value, Activation | Pending)}
    return [curve for _, curve in curves], roots, shapes


def _check_bits(walk: Walk, node: Node, root: str) -> None:
    bits = walk.qparams(root).bits
    if bits > TABLE_BITS:
        problem = f"a table of {1 << bits} values, for an activation of {bits} bits"
        accepted = f"functions of activations of at most {TABLE_BITS} bits"
        raise refuse(node, problem, accepted, f"quantise activations to {TABLE_BITS} bits")


def _operand(walk: Walk, node: Node, index: int) -> tuple[str, Reals]:
    """The tensor that an operand is a function of, and its curve; a constant is a function of nothing."""
    value = walk.value(node, index)
    if not is_number(value):
        return curve_of(walk, node, index)
    numbers = numbers_of(value)
    if numbers.size != 1:
        raise refuse(node, f"a constant of shape {list(numbers.shape)}", "a single number")
    return "", numbers.reshape(())


def curve_of(walk: Walk, node: Node, index: int) -> tuple[str, Reals]:
    """The integer-level tensor that input ``index`` is a function of, and its value at each of that one's integers."""
    value = walk.value(node, index)
    if isinstance(value, Pending) and value.op == "QTable":
        return value.inputs[0], np.clip(value.constants["curve"], value.low, value.high)
    activation = walk.in_shape(node, walk.real(node, index))
    root, codes = _codes(walk, activation.tensor)
    return root, np.asarray(activation.qparams.scale * (codes - activation.qparams.zero_point), dtype=np.float64)


def _codes(walk: Walk, tensor: str) -> tuple[str, Ints]:
    """The tensor behind the tables before ``tensor``, and the integer of ``tensor`` at each of its integers."""
    producer = next((made for made in walk.nodes if tensor in made.outputs), None)
    if producer is None or producer.op != "QTable":
        qparams = walk.qparams(tensor)
        return tensor, np.arange(qparams.low, qparams.high + 1)
    root, codes = _codes(walk, producer.inputs[0])
    return root, walk.constants[producer.attributes["table"]][codes - walk.qparams(producer.inputs[0]).low]


def _pending(walk: Walk, node: Node, root: str, shape: Sequence[int], curve: Reals) -> Pending:
    if np.isnan(curve).all():
        raise refuse(node, "its result is not a number anywhere", "functions with real values")
    constants = {"curve": nearest_defined(curve)}
    natural, one = walk.tensors[root].shape, np.ones(1)
    return Pending("QTable", node.name, (root,), one, natural, tuple(shape), (node.op,), constants=constants)
