# SPDX-License-Identifier: Apache-2.0
"""The elementwise operators of the float level: what each computes, with its attributes and their defaults.

Written from the ONNX operator specifications; the arithmetic is that of the first operand's dtype. Operands broadcast
as in numpy. Values that leave the reals (logarithm of a negative number, division by zero) become NaN or infinity
without a warning; calibration refuses them with the tensor's name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ir import Node

__all__ = ["BINARY", "ELEMENTWISE_ATTRIBUTES", "UNARY", "Unary", "evaluate", "nearest_defined", "run_steps"]

Floats = NDArray[Any]

_erf: Callable[[Floats], Floats] = np.frompyfunc(math.erf, 1, 1)


@dataclass(frozen=True)
class Unary:
    """A function of one tensor: called with the array and the attributes by name."""

    function: Callable[..., Floats]
    defaults: Mapping[str, float | str]
    """The ONNX attributes and what they are where left out."""


def _sigmoid(x: Floats) -> Floats:
    """Exact in relative terms on both sides: the exponential never overflows."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def _softplus(x: Floats) -> Floats:
    return np.asarray(np.logaddexp(x.dtype.type(0), x))


def _exponential(x: Floats, alpha: float) -> Floats:
    """``alpha * (exp(x) - 1)`` below zero, zero above."""
    return np.asarray(alpha * np.expm1(np.minimum(x, 0)))


def _gelu(x: Floats, approximate: str) -> Floats:
    if approximate == "tanh":
        return np.asarray(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))))
    return np.asarray(0.5 * x * (1 + _erf(x / math.sqrt(2)).astype(x.dtype)))


def _hard_sigmoid(x: Floats, alpha: float, beta: float) -> Floats:
    return np.clip(alpha * x + beta, 0, 1)


def _shrink(x: Floats, lambd: float, bias: float) -> Floats:
    return np.where(x < -lambd, x + bias, np.where(x > lambd, x - bias, 0))


UNARY: Mapping[str, Unary] = {
    "Abs": Unary(np.abs, {}),
    "Acos": Unary(np.arccos, {}),
    "Acosh": Unary(np.arccosh, {}),
    "Asin": Unary(np.arcsin, {}),
    "Asinh": Unary(np.arcsinh, {}),
    "Atan": Unary(np.arctan, {}),
    "Atanh": Unary(np.arctanh, {}),
    "Ceil": Unary(np.ceil, {}),
    "Celu": Unary(lambda x, alpha: np.maximum(x, 0) + _exponential(x / alpha, alpha), {"alpha": 1.0}),
    "Cos": Unary(np.cos, {}),
    "Cosh": Unary(np.cosh, {}),
    "Elu": Unary(lambda x, alpha: np.maximum(x, 0) + _exponential(x, alpha), {"alpha": 1.0}),
    "Erf": Unary(lambda x: _erf(x).astype(x.dtype), {}),
    "Exp": Unary(np.exp, {}),
    "Floor": Unary(np.floor, {}),
    "Gelu": Unary(_gelu, {"approximate": "none"}),
    "HardSigmoid": Unary(_hard_sigmoid, {"alpha": 0.2, "beta": 0.5}),
    "HardSwish": Unary(lambda x: x * _hard_sigmoid(x, 1 / 6, 0.5), {}),
    "LeakyRelu": Unary(lambda x, alpha: np.where(x < 0, alpha * x, x), {"alpha": 0.01}),
    "Log": Unary(np.log, {}),
    "Mish": Unary(lambda x: x * np.tanh(_softplus(x)), {}),
    "Neg": Unary(np.negative, {}),
    "Reciprocal": Unary(lambda x: 1 / x, {}),
    "Round": Unary(np.rint, {}),
    "Selu": Unary(
        lambda x, alpha, gamma: gamma * (np.maximum(x, 0) + _exponential(x, alpha)),
        {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875},
    ),
    "Shrink": Unary(_shrink, {"lambd": 0.5, "bias": 0.0}),
    "Sigmoid": Unary(_sigmoid, {}),
    "Sign": Unary(np.sign, {}),
    "Sin": Unary(np.sin, {}),
    "Sinh": Unary(np.sinh, {}),
    "Softplus": Unary(_softplus, {}),
    "Softsign": Unary(lambda x: x / (1 + np.abs(x)), {}),
    "Sqrt": Unary(np.sqrt, {}),
    "Swish": Unary(lambda x, alpha: x * _sigmoid(alpha * x), {"alpha": 1.0}),
    "Tan": Unary(np.tan, {}),
    "Tanh": Unary(np.tanh, {}),
    "ThresholdedRelu": Unary(lambda x, alpha: np.where(x > alpha, x, 0), {"alpha": 1.0}),
}
"""Operators of one operand."""

BINARY: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    "Add": np.add,
    "Div": np.divide,
    "Max": np.maximum,
    "Min": np.minimum,
    "Mul": np.multiply,
    "PRelu": lambda x, slope: np.where(x < 0, slope * x, x),
    "Pow": np.power,
    "Sub": np.subtract,
}
"""Operators of two operands, without attributes."""

_BOUNDED: Mapping[str, Callable[[Node, Floats], Floats]] = {
    "Clip": lambda node, x: np.clip(x, node.attributes["min"], node.attributes["max"]),
    "Identity": lambda node, x: x,
    "Relu": lambda node, x: np.maximum(x, 0),
}
"""Operators that are more often bounds of another node, but may be steps of a chain."""

ELEMENTWISE_ATTRIBUTES: Mapping[str, frozenset[str]] = {
    **{op: frozenset(unary.defaults) for op, unary in UNARY.items()},
    **{op: frozenset() for op in BINARY},
    "Elementwise": frozenset({"steps"}),
}
"""Each operator and the attributes it has after import."""


def evaluate(node: Node, operands: Sequence[Floats]) -> Floats:
    """One operator, a fused chain (``Elementwise``) included; the result has the first operand's dtype.

    Raises:
        KeyError: not an elementwise operator.
    """
    if node.op == "Elementwise":
        return run_steps(node, operands)
    with np.errstate(all="ignore"):
        return np.asarray(_compute(node, operands), dtype=operands[0].dtype)


def _compute(node: Node, operands: Sequence[Floats]) -> Floats:
    if node.op in BINARY:
        return BINARY[node.op](operands[0], operands[1])
    if node.op in _BOUNDED:
        return _BOUNDED[node.op](node, operands[0])
    return UNARY[node.op].function(operands[0], **{key: node.attributes[key] for key in UNARY[node.op].defaults})


def nearest_defined(y: Floats) -> Floats:
    """A function's values at integers in a row, (L,), with the nearest defined one in place of each NaN.

    Of two as near the later one. At least one value must be defined.
    """
    known, where = np.flatnonzero(~np.isnan(y)), np.arange(len(y))
    right = np.searchsorted(known, where).clip(max=len(known) - 1)
    left = np.maximum(right - 1, 0)
    nearer = np.abs(known[left] - where) < np.abs(known[right] - where)
    return np.asarray(y[np.where(nearer, known[left], known[right])])


def run_steps(node: Node, operands: Sequence[Floats]) -> Floats:
    """A chain: attribute ``steps`` holds nodes over the operands' names; the last one's result is the chain's."""
    values = dict(zip(node.inputs, operands, strict=True))
    result = operands[0]
    for step in node.attributes["steps"]:
        result = evaluate(step, [values[name] for name in step.inputs])
        lower, upper = step.attributes.get("lower", -math.inf), step.attributes.get("upper", math.inf)
        values[step.outputs[0]] = result = np.clip(result, lower, upper)
    return result
