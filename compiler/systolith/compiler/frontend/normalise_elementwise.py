# SPDX-License-Identifier: Apache-2.0
"""Normalise elementwise operators: every attribute explicit, two operands where ONNX takes any number.

After: the operators of :mod:`systolith.compiler.elementwise`, numpy broadcasting. ``Sum`` becomes a chain of ``Add``,
``Mean`` the same and a ``Mul``; ``Min`` and ``Max`` of several tensors a chain of themselves. Refused: integer tensors,
whose arithmetic (division towards zero, overflow) is not that of floats, and broadcasting that mixes samples.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx

from ..elementwise import BINARY, UNARY
from ..ir import Node
from .lift import Rule
from .raw import Expansion, RawNode

__all__ = ["ELEMENTWISE_RULES"]

_FLOATS = (
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.BFLOAT16,
    onnx.TensorProto.DOUBLE,
    onnx.TensorProto.UNDEFINED,
)

_OVER_ALL = {"Max": "Max", "Mean": "Add", "Min": "Min", "Sum": "Add"}
"""Operators of any number of tensors, and what is done to two of them."""


def _check_float(raw: RawNode) -> None:
    """Only the first operand decides: an exponent may be an integer."""
    kind = raw.types.get(raw.inputs[0], onnx.TensorProto.UNDEFINED)
    if kind not in _FLOATS:
        name = onnx.TensorProto.DataType.Name(kind).lower()
        raise raw.refuse(f"it computes with {name} tensors", "float tensors", "cast to float in the model")


def _check_batch(raw: RawNode) -> None:
    """A constant must not add samples, nor broadcasting take the batch for another axis."""
    raw.keep_broadcast()
    result = raw.shape(raw.outputs[0])
    for name in raw.inputs:
        if name not in raw.parameters:
            kept = raw.shape(name)[:1] == result[:1]
            raw.keep_batch(kept, f"it broadcasts {name!r} of shape {list(raw.shape(name))} to {list(result)}")


def _unary(raw: RawNode) -> Node:
    _check_float(raw)
    given = {key: raw.attributes.get(key, default) for key, default in UNARY[raw.op].defaults.items()}
    return raw.node({key: value.decode() if isinstance(value, bytes) else value for key, value in given.items()})


def _binary(raw: RawNode) -> Node:
    _check_float(raw)
    _check_batch(raw)
    return raw.node()


def _over_all(raw: RawNode) -> Node | Expansion:
    """A chain of two-operand nodes; the last one, or the factor of a mean, has the node's name."""
    _check_float(raw)
    _check_batch(raw)
    if len(raw.inputs) == 1:
        return raw.node(op="Identity")
    if len(raw.inputs) == 2 and raw.op != "Mean":
        return raw.node(op=_OVER_ALL[raw.op])
    return _chain(raw)


def _chain(raw: RawNode) -> Expansion:
    (result, *_), first = raw.outputs, raw.inputs[0]
    steps = len(raw.inputs) - 1
    mean = raw.op == "Mean"
    partial = [result if step == steps and not mean else f"{result}:{step}" for step in range(1, steps + 1)]
    names = [raw.name if name == result else f"{raw.name}:{name}" for name in partial]
    operands = zip((first, *partial), raw.inputs[1:], strict=False)
    nodes = [
        Node(_OVER_ALL[raw.op], name, pair, (output,), {}, (raw.op,))
        for name, pair, output in zip(names, operands, partial, strict=True)
    ]
    shapes = [raw.shape(first)]
    for name in raw.inputs[1:]:
        shapes.append(np.broadcast_shapes(shapes[-1], raw.shape(name)))
    new = {name: shape for name, shape in zip(partial, shapes[1:], strict=True) if name != result}
    if not mean:
        return Expansion(tuple(nodes), new)
    share = f"{result}:share"
    scale = Node("Mul", raw.name, (partial[-1], share), (result,), {}, (raw.op,))
    return Expansion((*nodes, scale), new, {share: np.array(1 / (steps + 1), np.float32)})


ELEMENTWISE_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(UNARY, _unary),
    **dict.fromkeys(BINARY, _binary),
    **dict.fromkeys(_OVER_ALL, _over_all),
}
"""The rule of each operator."""
