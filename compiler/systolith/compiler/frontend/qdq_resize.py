# SPDX-License-Identifier: Apache-2.0
"""Resize in a QDQ network: to the nearest element as data movement, interpolation as depthwise convolutions.

A convolution for each phase (:mod:`systolith.compiler.interpolation`) rounds to the output's quantisation, and one
QMove interleaves them, so that each output is rounded once. Interpolation is exact only where its weights are fractions
with one denominator that the engine's weights can hold; elsewhere it is refused.
"""

from __future__ import annotations

import numpy as np

from ..float_resize import ResizeRule
from ..interpolation import Filters, interpolation, is_copy, nearest_indices, phase_weight, whole_weights
from ..ir import Node
from ..moves import gather_moves
from ..verify_integer import image_shape
from .qdq_constants import refuse
from .qdq_movement import gathered, interleaved
from .qdq_values import Activation, Pending, Value
from .qdq_walk import Walk

__all__ = ["resize"]

_NOISE = 1e-5
"""What float32 coordinates may change a weight by."""


def resize(walk: Walk, node: Node) -> Value:
    """``Resize``; which elements it takes, and how much of each, the float operator says."""
    given = node.attributes
    if given["coordinate"] == "tf_crop_and_resize":
        raise refuse(node, "coordinates 'tf_crop_and_resize'", "the other coordinate transformation modes")
    before, after = (walk.source.tensors[name].shape for name in (node.inputs[0], node.outputs[0]))
    rule, scales = ResizeRule.of(given), given["scales"]
    if rule.mode == "nearest":
        return gathered(walk, node, nearest_indices(before, after, scales, rule))
    filters = interpolation(before, after, scales, rule)
    if filters is None:
        problem = f"it resizes {list(before)} to {list(after)}, {rule.mode} with coordinates {rule.coordinate!r}"
        accepted = "height and width times or by whole numbers, coordinates that give each pixel of a period the same "
        raise refuse(node, problem, f"{accepted}weights", "use half_pixel or asymmetric coordinates")
    return _interpolated(walk, node, walk.in_shape(node, walk.real(node)), filters)


def _interpolated(walk: Walk, node: Node, source: Activation, filters: Filters) -> Pending:
    padded = _with_edges(walk, node, source, filters)
    steps = (filters[0].factor, filters[1].factor)
    if steps == (1, 1):
        return _mixed(walk, node, padded, (0, 0), filters)
    phases = list(np.ndindex(steps))
    copy = walk.rescaled(node, source, (node.op,))
    parts = [copy if is_copy(at, filters) else _phase(walk, node, padded, at, filters) for at in phases]
    return interleaved(walk, node, parts, phases, steps)


def _with_edges(walk: Walk, node: Node, source: Activation, filters: Filters) -> Activation:
    """The input with the elements at its ends repeated as often as the filters ask for."""
    channels, height, width = image_shape(source.shape)
    rows, columns = filters[0].read(height), filters[1].read(width)
    if (len(rows), len(columns)) == (height, width):
        return source
    attributes = {"moves": gather_moves(range(channels), rows, columns), "fill": 0.0}
    wider = walk.layer("QMove", node, (source,), np.array([source.qparams.scale]), attributes)
    name = walk.fresh(f"{node.outputs[0]}:edges")
    return walk.rounded(wider.shaped((1, channels, len(rows), len(columns)), ":edges"), source.qparams, name, name)


def _phase(walk: Walk, node: Node, padded: Activation, at: tuple[int, ...], filters: Filters) -> Pending:
    channels, height, width = image_shape(padded.shape)
    shape = (1, channels, filters[0].count(height), filters[1].count(width))
    return _mixed(walk, node, padded, at, filters).shaped(shape, f":phase {at[0]} {at[1]}")


def _mixed(walk: Walk, node: Node, padded: Activation, at: tuple[int, ...], filters: Filters) -> Pending:
    """One phase as a depthwise convolution."""
    weight, top = phase_weight(at, filters), (1 << (walk.weight_bits - 1)) - 1
    whole, unit = whole_weights(weight, top)
    if np.abs(whole * unit - weight).max() > _NOISE:
        problem = f"its weights, up to {weight.max():g}, are not fractions with one denominator"
        accepted = f"denominators that weights of {walk.weight_bits} bits hold, as of linear interpolation by 2 to 7"
        raise refuse(node, problem, accepted, "resize in two steps, or to the nearest element")
    channels = padded.shape[1]
    window = {"kernel": whole.shape, "strides": (filters[0].stride, filters[1].stride), "pads": (0, 0, 0, 0)}
    constants = {"weight": np.broadcast_to(whole, (channels, 1, *whole.shape)).copy(), "bias": np.zeros(channels)}
    scales = np.full(channels, unit * padded.qparams.scale)
    attributes = {**window, "dilations": (1, 1), "group": channels}
    return walk.layer("QConv", node, (padded,), scales, attributes, constants)
