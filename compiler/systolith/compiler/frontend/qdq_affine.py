# SPDX-License-Identifier: Apache-2.0
"""Constants between a quantised layer and its QuantizeLinear: factors and offsets by channel, batch normalisation.

They join the layer's unit and bias, exactly but for rounding the offset to the accumulator's unit. What is not a layer
with weights, an activation, becomes one first: a 1 x 1 depthwise convolution.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ..ir import Node
from .qdq_constants import accumulator_bias, refuse
from .qdq_table import is_number, numbers_of
from .qdq_values import Activation, FloatNumbers, Pending, Reals, Value, same_image
from .qdq_walk import Walk

__all__ = [
    "add_constant",
    "batch_norm",
    "by_channel_layer",
    "divide",
    "multiply",
    "negate",
    "numbers_by_channel",
    "subtract",
    "times_by_channel",
]

_FREE = (-math.inf, math.inf)

_POINT = {"kernel": (1, 1), "strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}
"""The window of a layer that looks at one pixel."""


def multiply(walk: Walk, node: Node) -> Value:
    """A product with constants."""
    left, right = walk.value(node, 0), walk.value(node, 1)
    index, constant = (1, left) if is_number(left) else (0, right)
    return _scaled(walk, node, index, numbers_of(constant))


def divide(walk: Walk, node: Node) -> Value:
    """A quotient by constants."""
    numbers = numbers_of(walk.value(node, 1))
    if not numbers.all():
        raise refuse(node, "it divides by zero", "divisors that are not zero")
    return _scaled(walk, node, 0, 1 / numbers)


def negate(walk: Walk, node: Node) -> Value:
    """The negative of a layer or activation."""
    return _scaled(walk, node, 0, np.array(-1.0))


def subtract(walk: Walk, node: Node) -> Value:
    """A difference one side of which is constant."""
    left, right = walk.value(node, 0), walk.value(node, 1)
    if is_number(right):
        return add_constant(walk, node, 0, FloatNumbers(-numbers_of(right)))
    layer = _layer(walk, node, 1)
    negative = times_by_channel(walk, node, layer, np.full(len(layer.scales), -1.0))
    return _shifted(node, negative, numbers_by_channel(node, layer, numbers_of(left)))


def add_constant(walk: Walk, node: Node, index: int, constant: Value) -> Value:
    """Input ``index`` plus a constant."""
    layer = _layer(walk, node, index)
    return _named(_shifted(node, layer, numbers_by_channel(node, layer, numbers_of(constant))), node)


def batch_norm(walk: Walk, node: Node) -> Value:
    """``gamma * (x - mean) / sqrt(variance + epsilon) + beta``."""
    values = [walk.value(node, index) for index in range(1, 5)]
    if not all(is_number(value) for value in values):
        raise refuse(node, "its parameters are computed by the network", "constants")
    gamma, beta, mean, variance = (numbers_of(value) for value in values)
    if (variance + node.attributes["epsilon"] <= 0).any():
        raise refuse(node, "variance + epsilon is not positive", "a trained normalisation")
    factor = gamma / np.sqrt(variance + node.attributes["epsilon"])
    return _shifted(node, times_by_channel(walk, node, _layer(walk, node, 0), factor), beta - mean * factor)


# ---------------------------------------------------------------------- how


def _scaled(walk: Walk, node: Node, index: int, factor: Reals) -> Value:
    value = walk.value(node, index)
    if factor.size == 1 and float(factor.reshape(())) > 0:
        pending = value if isinstance(value, Pending) else walk.rescaled(node, walk.real(node, index), ())
        return _named(pending.times(float(factor.reshape(()))), node)
    layer = _layer(walk, node, index)
    return times_by_channel(walk, node, layer, numbers_by_channel(node, layer, factor))


def _layer(walk: Walk, node: Node, index: int) -> Pending:
    """An operand as the unrounded, unbounded result of a layer with weights."""
    value = walk.value(node, index)
    if isinstance(value, Pending) and value.op == "QConv" and (value.low, value.high) == _FREE:
        return value
    return by_channel_layer(walk, node, walk.in_shape(node, walk.real(node, index)))


def by_channel_layer(walk: Walk, node: Node, activation: Activation) -> Pending:
    """An activation as a depthwise convolution that changes nothing yet."""
    channels = activation.shape[1]
    constants = {"weight": np.ones((channels, 1, 1, 1), dtype=np.int64), "bias": np.zeros(channels)}
    scales = np.full(channels, activation.qparams.scale)
    layer = walk.layer("QConv", node, (activation,), scales, {**_POINT, "group": channels}, constants)
    return replace(layer, shape=activation.shape, natural=activation.shape, origin=())


def numbers_by_channel(node: Node, layer: Pending, numbers: Reals) -> Reals:
    """A constant that is broadcast against a tensor, as one number for each channel."""
    expanded = (1,) * (len(layer.shape) - numbers.ndim) + numbers.shape
    fits = len(expanded) == len(layer.shape) and expanded[1] in (1, layer.shape[1])
    if not same_image(layer.shape, layer.natural) or not fits or math.prod(expanded) != expanded[1]:
        problem = f"a constant of shape {list(numbers.shape)} meets a tensor of shape {list(layer.shape)}"
        raise refuse(node, problem, "one number, or one for each channel", "reshape it to (1, C, 1, 1)")
    return np.broadcast_to(numbers.reshape(-1), (layer.shape[1],))


def times_by_channel(walk: Walk, node: Node, layer: Pending, factor: Reals) -> Pending:
    """A layer times one number for each channel; a negative one turns the weights, zero makes them zero."""
    sign = np.sign(factor).astype(np.int64)
    weight = np.asarray(layer.constants["weight"] * sign.reshape(-1, 1, 1, 1))
    if weight.max(initial=0) >= 1 << (walk.weight_bits - 1):
        problem = f"a negative factor turns a weight of {-int(weight.max())}"
        raise refuse(node, problem, "weights without their most negative value", "quantise weights symmetrically")
    constants = {"weight": weight, "bias": layer.constants["bias"] * sign}
    scales = layer.scales * np.where(sign == 0, 1.0, np.abs(factor))
    return _named(replace(layer, scales=scales, constants=constants), node)


def _shifted(node: Node, layer: Pending, offset: Reals) -> Pending:
    bias = layer.constants["bias"] + accumulator_bias(node, FloatNumbers(offset), layer.scales)
    return replace(layer, constants={**layer.constants, "bias": bias})


def _named(layer: Pending, node: Node) -> Pending:
    return replace(layer, origin=(*layer.origin, node.op))
