# SPDX-License-Identifier: Apache-2.0
"""ConvTranspose in a QDQ network: a convolution for each phase of the output, and a QMove that interleaves them.

All phases round to the output's quantisation, so that interleaving changes nothing and each output is rounded once.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from ..fixed_np import Ints
from ..ir import Node
from ..quantise_transposed import Phase, phases
from ..verify_integer import image_shape
from .qdq_constants import accumulator_bias, weights_by_output
from .qdq_movement import interleaved
from .qdq_values import Activation, Pending, Reals, Value
from .qdq_walk import Walk

__all__ = ["conv_transpose"]


def conv_transpose(walk: Walk, node: Node) -> Value:
    """The pending result; its phases are ``parts``. With a stride of 1 it is a convolution."""
    operand = walk.in_shape(node, walk.real(node))
    weight, scale = _weights(walk, node)
    unit = operand.qparams.scale * scale
    bias = accumulator_bias(node, walk.value(node, 2) if len(node.inputs) > 2 else None, unit)
    _, high, wide = image_shape(walk.source.tensors[node.outputs[0]].shape)
    _, height, width = image_shape(operand.shape)
    pairs = list(product(phases(node, 0, height, high), phases(node, 1, width, wide)))
    parts = [_part(walk, node, operand, pair, _phase_weight(weight, pair), bias, unit) for pair in pairs]
    offsets = [(down.first, across.first) for down, across in pairs]
    return parts[0] if len(parts) == 1 else interleaved(walk, node, parts, offsets, node.attributes["strides"])


def _weights(walk: Walk, node: Node) -> tuple[Ints, Reals]:
    """The weights (I, O/group, kh, kw) as a convolution has them, (O, I/group, kh, kw), and a scale by output."""
    group = node.attributes["group"]
    by_output, scale = weights_by_output(node, walk.value(node, 1), axis=1, bits=walk.weight_bits)
    outputs, inputs, *kernel = by_output.shape
    grouped = by_output.reshape(outputs, group, inputs // group, *kernel).swapaxes(0, 1)
    return grouped.reshape(group * outputs, inputs // group, *kernel), np.tile(scale, group)


def _phase_weight(weight: Ints, pair: tuple[Phase, Phase]) -> Ints:
    """The taps of one phase; those that it lacks are zero."""
    down, across = pair
    part = np.zeros((*weight.shape[:2], len(down.taps), len(across.taps)), dtype=np.int64)
    for (row, ky), (column, kx) in product(enumerate(down.taps), enumerate(across.taps)):
        if ky is not None and kx is not None:
            part[:, :, row, column] = weight[:, :, ky, kx]
    return part


def _part(
    walk: Walk, node: Node, operand: Activation, pair: tuple[Phase, Phase], weight: Ints, bias: Reals, unit: Reals
) -> Pending:
    down, across = pair
    pads = (down.before, across.before, down.after, across.after)
    geometry = {"kernel": weight.shape[2:], "strides": (1, 1), "pads": pads, "dilations": (1, 1)}
    attributes = {**geometry, "group": node.attributes["group"]}
    whole = walk.layer("QConv", node, (operand,), unit, attributes, {"weight": weight, "bias": bias})
    return whole.shaped((1, len(weight), down.count, across.count), f":phase {down.first} {across.first}")
