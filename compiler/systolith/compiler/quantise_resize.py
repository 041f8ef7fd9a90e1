# SPDX-License-Identifier: Apache-2.0
"""Quantise Resize: to the nearest element as data movement, interpolation as depthwise convolutions.

Where a map grows by a whole factor, every so many pixels are the same weighted sum of their neighbours: a convolution
for each phase, whose results one QMove interleaves; elements beyond an end are copies of the last. Which elements and
weights those are is read off the float operator itself.
"""

from __future__ import annotations

import numpy as np

from .float_resize import ResizeRule
from .interpolation import Filters, interpolation, is_copy, nearest_indices, phase_weight, whole_weights
from .ir import Node, Tensor
from .moves import gather_moves, interleave_move
from .quantise_builder import Builder
from .quantise_movement import check_rank, emit_move, fixed_conv, gathered, operand
from .verify_integer import image_shape

__all__ = ["resize"]


def resize(builder: Builder, node: Node) -> None:
    """``Resize``: a selection, or interpolation by whole factors along height and width."""
    if node.attributes["mode"] == "nearest":
        _nearest(builder, node)
        return
    source, rule = operand(builder, node, node.inputs[0]), _rule(builder, node)
    target, scales = builder.graph.tensors[node.outputs[0]].shape, node.attributes["scales"]
    filters = interpolation(source.shape, target, scales, rule)
    if filters is None:
        raise builder.refuse(
            node,
            f"it resizes {list(source.shape)} to {list(target)}, {rule.mode} with coordinates {rule.coordinate!r}",
            "height and width times or by whole numbers, coordinates that give each pixel of a period the same weights",
            "use half_pixel or asymmetric coordinates",
        )
    _interpolate(builder, node, source, filters)


def _rule(builder: Builder, node: Node) -> ResizeRule:
    """How a ``Resize`` maps coordinates."""
    given = node.attributes
    if given["coordinate"] == "tf_crop_and_resize":
        raise builder.refuse(node, "coordinates 'tf_crop_and_resize'", "the other coordinate transformation modes")
    return ResizeRule.of(given)


def _nearest(builder: Builder, node: Node) -> None:
    check_rank(builder, node)
    source, target = operand(builder, node, node.inputs[0]), builder.graph.tensors[node.outputs[0]]
    indices = nearest_indices(source.shape, target.shape, node.attributes["scales"], _rule(builder, node))
    gathered(builder, node, indices)


def _interpolate(builder: Builder, node: Node, source: Tensor, filters: Filters) -> None:
    params = builder.params(source.name)
    if node.attributes["mode"] == "linear":
        # means lie between what they are means of
        builder.define_like(node.outputs[0], params)
    else:
        builder.define(node.outputs[0], builder.factor_scale(params.scale))
    padded = _with_edges(builder, node, source, filters)
    factors = (filters[0].factor, filters[1].factor)
    whole = factors == (1, 1)
    parts, moves = [source], []
    for phase in np.ndindex(factors):
        copied = not whole and is_copy(phase, filters)
        if not copied:
            parts.append(_mixed(builder, node, padded, phase, filters))
        index = 0 if copied else len(parts) - 1
        moves.append(interleave_move(index, image_shape(parts[index].shape), phase, factors))
    if not whole:
        emit_move(builder, node, parts, moves)


def _with_edges(builder: Builder, node: Node, source: Tensor, filters: Filters) -> Tensor:
    """The input with the elements at its ends repeated as often as the filters ask for."""
    channels, height, width = image_shape(source.shape)
    rows, columns = filters[0].read(height), filters[1].read(width)
    if (len(rows), len(columns)) == (height, width):
        return source
    shape = (1, channels, len(rows), len(columns))
    name = builder.inner(node, "edges", shape, builder.params(source.name))
    emit_move(builder, node, [source], gather_moves(range(channels), rows, columns), output=name)
    return builder.source(name)


def _mixed(builder: Builder, node: Node, padded: Tensor, phase: tuple[int, ...], filters: Filters) -> Tensor:
    """One phase as a depthwise convolution."""
    channels, height, width = image_shape(padded.shape)
    integers, unit = whole_weights(phase_weight(phase, filters), (1 << (builder.config.weight_bits - 1)) - 1)
    result, name = builder.params(node.outputs[0]), node.outputs[0]
    if filters[0].factor * filters[1].factor > 1:
        shape = (1, channels, filters[0].count(height), filters[1].count(width))
        name = builder.inner(node, f"phase {phase[0]} {phase[1]}", shape, result)
    kernels = np.broadcast_to(integers, (channels, 1, *integers.shape)).copy()
    factor, strides = unit * builder.params(padded.name).scale / result.scale, (filters[0].stride, filters[1].stride)
    fixed_conv(builder, node, padded, name, kernels, factor, strides=strides, group=channels)
    return builder.source(name)
