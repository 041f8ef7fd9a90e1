# SPDX-License-Identifier: Apache-2.0
"""The layers of a QDQ network between their DequantizeLinear and QuantizeLinear: each gives a pending result."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..fixed_np import Ints
from ..ir import Node
from ..verify_integer import image_shape
from .qdq_affine import batch_norm
from .qdq_constants import accumulator_bias, refuse, reshaped_constant, weights_by_output
from .qdq_elementwise import ELEMENTWISE
from .qdq_movement import concat, pad, reduce_mean, take, transpose
from .qdq_product import is_of_two, product_of_two
from .qdq_resize import resize
from .qdq_transposed import conv_transpose
from .qdq_values import Activation, ConstantCodes, FloatInput, HostTail, Pending, Reals, Value
from .qdq_walk import Walk

__all__ = ["LAYERS"]

_GEMM = {"alpha": 1.0, "beta": 1.0, "transA": False}
"""What a Gemm must have to be a plain product."""

_WHOLE_MAP = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": 1}
"""The window of a layer that sees its whole input at once."""


def _identity(walk: Walk, node: Node) -> Value:
    return walk.value(node, 0)


def _reshape(walk: Walk, node: Node) -> Value:
    value, shape = walk.value(node, 0), tuple(node.attributes["shape"])
    if isinstance(value, FloatInput | Activation | Pending):
        return replace(value, shape=shape)
    if isinstance(value, HostTail):
        problem = f"it follows {value.steps[-1].op}, which the host computes"
        raise refuse(node, problem, "nothing behind it but QuantizeLinear, DequantizeLinear and ArgMax")
    return reshaped_constant(node, value, shape)


# ---------------------------------------------------------------------- activation functions


def _relu(walk: Walk, node: Node) -> Value:
    return _limit(walk, node, 0.0, math.inf)


def _clip(walk: Walk, node: Node) -> Value:
    low, high = node.attributes["min"], node.attributes["max"]
    value = walk.value(node, 0)
    if isinstance(value, ConstantCodes):
        return ConstantCodes(np.clip(value.codes.astype(np.int64), low, high).astype(value.codes.dtype))
    if isinstance(value, Activation) and not value.real:
        return _clip_codes(walk, node, value, low, high)
    return _limit(walk, node, low, high)


def _clip_codes(walk: Walk, node: Node, value: Activation, low: float, high: float) -> Activation:
    """Limits on the network's integers themselves: PyTorch writes narrower ranges than the type's in this way."""
    qparams = value.qparams
    zero = qparams.zero_point + qparams.offset
    pending = walk.rescaled(node, value, ()).bounded(
        (low - zero) * qparams.scale, (high - zero) * qparams.scale, node.op
    )
    return walk.rounded(pending, qparams, node.outputs[0], node.outputs[0])


def _limit(walk: Walk, node: Node, low: float, high: float) -> Value:
    value = walk.value(node, 0)
    if not isinstance(value, Pending):
        value = walk.rescaled(node, walk.real(node), ())
    return value.bounded(low, high, node.op)


# ---------------------------------------------------------------------- products


def _conv(walk: Walk, node: Node) -> Value:
    activation = walk.in_shape(node, walk.real(node))
    weight, scale = _weights(walk, node, axis=0)
    attributes = {key: node.attributes[key] for key in ("strides", "pads", "dilations", "group")}
    return _product(walk, node, activation, weight, scale, {"kernel": node.attributes["kernel_shape"], **attributes})


def _gemm(walk: Walk, node: Node) -> Value:
    wrong = [f"{key}={node.attributes[key]:g}" for key, one in _GEMM.items() if node.attributes[key] != one]
    if wrong:
        accepted = ", ".join(f"{key}={one:g}" for key, one in _GEMM.items())
        raise refuse(node, ", ".join(wrong), accepted, "fold the factors into the weights before quantising")
    return _dense(walk, node, axis=0 if node.attributes["transB"] else 1)


def _matmul(walk: Walk, node: Node) -> Value:
    return product_of_two(walk, node) if is_of_two(walk, node) else _dense(walk, node, axis=1)


def _dense(walk: Walk, node: Node, axis: int) -> Value:
    """A matrix product as a convolution whose kernel covers the map that was flattened."""
    activation = walk.real(node)
    weight, scale = _weights(walk, node, axis)
    if len(activation.shape) != 2 or weight.ndim != 2:
        problem = f"a product of shapes {list(activation.shape)} and {list(weight.shape)}"
        raise refuse(node, problem, "(1, K) times a constant matrix", "flatten before it")
    channels, *kernel = image_shape(walk.tensors[activation.tensor].shape)
    by_map = weight.reshape(len(weight), channels, *kernel)
    return _product(walk, node, activation, by_map, scale, {"kernel": tuple(kernel), **_WHOLE_MAP})


def _weights(walk: Walk, node: Node, axis: int) -> tuple[Ints, Reals]:
    return weights_by_output(node, walk.value(node, 1), axis=axis, bits=walk.weight_bits)


def _product(
    walk: Walk, node: Node, activation: Activation, weight: Ints, scale: Reals, attributes: dict[str, Any]
) -> Pending:
    unit = activation.qparams.scale * scale
    bias = accumulator_bias(node, walk.value(node, 2) if len(node.inputs) > 2 else None, unit)
    return walk.layer("QConv", node, (activation,), unit, attributes, {"weight": weight, "bias": bias})


# ---------------------------------------------------------------------- pools


def _max_pool(walk: Walk, node: Node) -> Value:
    """A maximum, also of the integers themselves: the order of integers is that of the reals."""
    activation = walk.in_shape(node, walk.activation(node, node.inputs[0]))
    pending = replace(_pool(walk, node, activation, "max", counted=False), grid=activation.qparams)
    if activation.real:
        return pending
    return walk.rounded(pending, activation.qparams, node.outputs[0], node.outputs[0])


def _average_pool(walk: Walk, node: Node) -> Value:
    activation = walk.in_shape(node, walk.real(node))
    return _pool(walk, node, activation, "average", counted=node.attributes["count_include_pad"])


def _pool(walk: Walk, node: Node, activation: Activation, mode: str, *, counted: bool) -> Pending:
    window = {key: node.attributes[key] for key in ("strides", "pads", "dilations")}
    window |= {"mode": mode, "kernel": node.attributes["kernel_shape"], "count_include_pad": counted}
    return walk.layer("QPool", node, (activation,), np.array(activation.qparams.scale), window)


LAYERS: Mapping[str, Callable[[Walk, Node], Value]] = {
    **ELEMENTWISE,
    "AveragePool": _average_pool,
    "BatchNormalization": batch_norm,
    "Clip": _clip,
    "Concat": concat,
    "Conv": _conv,
    "ConvTranspose": conv_transpose,
    "Gemm": _gemm,
    "Identity": _identity,
    "MatMul": _matmul,
    "MaxPool": _max_pool,
    "Pad": pad,
    "ReduceMean": reduce_mean,
    "Relu": _relu,
    "Reshape": _reshape,
    "Resize": resize,
    "Slice": take,
    "Transpose": transpose,
}
"""Operator to the function that says what its output stands for."""
