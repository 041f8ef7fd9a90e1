# SPDX-License-Identifier: Apache-2.0
"""Quantise Resize: to the nearest element as data movement, interpolation as depthwise convolutions.

Where a map grows by a whole factor, every so many pixels are the same weighted sum of their neighbours: a convolution
for each phase, whose results one QMove interleaves; elements beyond an end are copies of the last. Which elements and
weights those are is read off the float operator itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from .float_resize import ResizeRule
from .float_resize import resize as resize_array
from .ir import Node, Tensor
from .moves import gather_moves, interleave_move
from .quantise_builder import Builder
from .quantise_movement import check_rank, emit_move, fixed_conv, gathered, operand
from .verify_integer import image_shape

__all__ = ["resize"]

Floats = NDArray[np.float64]

_FAR = 16
"""Periods from either end at which no interpolation looks beyond it."""


def resize(builder: Builder, node: Node) -> None:
    """``Resize``: a selection, or interpolation by whole factors along height and width."""
    if node.attributes["mode"] == "nearest":
        _nearest(builder, node)
        return
    source, rule = operand(builder, node, node.inputs[0]), _rule(builder, node)
    target, scales = builder.graph.tensors[node.outputs[0]].shape, node.attributes["scales"]
    found = [_filter(*sizes, rule) for sizes in zip(source.shape[2:], target[2:], scales[2:], strict=True)]
    if len(source.shape) != 4 or source.shape[1] != target[1] or None in found:
        raise builder.refuse(
            node,
            f"it resizes {list(source.shape)} to {list(target)}, {rule.mode} with coordinates {rule.coordinate!r}",
            "height and width times or by whole numbers, coordinates that give each pixel of a period the same weights",
            "use half_pixel or asymmetric coordinates",
        )
    down, across = (one for one in found if one is not None)
    _interpolate(builder, node, source, down, across)


def _rule(builder: Builder, node: Node) -> ResizeRule:
    """How a ``Resize`` maps coordinates."""
    given = node.attributes
    if given["coordinate"] == "tf_crop_and_resize":
        raise builder.refuse(node, "coordinates 'tf_crop_and_resize'", "the other coordinate transformation modes")
    return ResizeRule(**{key: given[key] for key in ResizeRule.__dataclass_fields__})


def _nearest(builder: Builder, node: Node) -> None:
    """``Resize`` to the nearest element: which that is, the float operator says."""
    check_rank(builder, node)
    rule, target = _rule(builder, node), builder.graph.tensors[node.outputs[0]].shape
    by_axis = zip(operand(builder, node, node.inputs[0]).shape, target, node.attributes["scales"], strict=True)
    indices = [
        resize_array(np.arange(before, dtype=np.float64), [after], [scale], [(0.0, 1.0)], rule).astype(int).tolist()
        for before, after, scale in by_axis
    ]
    gathered(builder, node, indices)


@dataclass(frozen=True)
class _Filter:
    """Interpolation along one axis: output ``factor * i + j`` is the sum of ``taps[j] * x[stride * i - before + t]``.

    Elements beyond an end count as the end's.
    """

    factor: int
    stride: int
    before: int
    after: int
    taps: Floats
    """(factor, taps)"""


def _filter(before: int, after: int, scale: float, rule: ResizeRule) -> _Filter | None:
    """The interpolation of an axis as a regular filter; None if it is none."""
    if after % before and before % after:
        return None
    factor, stride = max(after // before, 1), max(before // after, 1)
    count = after // factor
    taps, offset = _taps(factor, stride, rule)
    ahead, behind = max(0, -offset), max(0, stride * (count - 1) + offset + taps.shape[1] - before)
    # zeros around the taps, such that the first meets the first element and no output is left over
    rest = before + behind - stride * (count - 1) - offset - taps.shape[1]
    made = _Filter(factor, stride, ahead, behind, np.pad(taps, ((0, 0), (ahead + offset, rest))))
    shares = _resized(before, after, scale, rule)
    return made if np.allclose(_shares(made, before, count), shares, atol=1e-5) else None


def _resized(before: int, after: int, scale: float, rule: ResizeRule) -> Floats:
    """What a Resize takes of each input, (outputs, inputs)."""
    return resize_array(np.eye(before), [None, after], [1.0, scale], [(0.0, 1.0)] * 2, rule).T


def _taps(factor: int, stride: int, rule: ResizeRule) -> tuple[Floats, int]:
    """What the outputs of one period take far from the ends, (factor, taps), and where the first lies from it."""
    shares = _resized(2 * _FAR * stride, 2 * _FAR * factor, factor / stride, rule)
    block = shares[_FAR * factor : (_FAR + 1) * factor]
    used = np.flatnonzero((np.abs(block) > 1e-6).any(axis=0))
    return block[:, used[0] : used[-1] + 1], int(used[0]) - stride * _FAR


def _shares(made: _Filter, before: int, count: int) -> Floats:
    """What a filter takes of each input, (outputs, inputs)."""
    result = np.zeros((count, made.factor, before))
    for place, tap in product(range(count), range(made.taps.shape[1])):
        result[place, :, np.clip(made.stride * place - made.before + tap, 0, before - 1)] += made.taps[:, tap]
    return result.reshape(-1, before)


def _integers(weight: Floats, top: int) -> tuple[NDArray[np.int64], float]:
    """Weights as integers times a unit: exact where they are fractions with one small denominator."""
    for denominator in range(1, int(top / np.abs(weight).max()) + 1):
        scaled = weight * denominator
        if np.abs(scaled - np.rint(scaled)).max() < 1e-3:
            return np.rint(scaled).astype(np.int64), 1 / denominator
    unit = float(np.abs(weight).max()) / top
    return np.rint(weight / unit).astype(np.int64), unit


def _interpolate(builder: Builder, node: Node, source: Tensor, down: _Filter, across: _Filter) -> None:
    params = builder.params(source.name)
    if node.attributes["mode"] == "linear":
        # means lie between what they are means of
        builder.define_like(node.outputs[0], params)
    else:
        builder.define(node.outputs[0], builder.factor_scale(params.scale))
    padded = _with_edges(builder, node, source, down, across)
    whole = down.factor == across.factor == 1
    parts, moves = [source], []
    for phase in product(range(down.factor), range(across.factor)):
        weight = np.outer(down.taps[phase[0]], across.taps[phase[1]])
        if whole or not _copies(weight, down, across):
            parts.append(_mixed(builder, node, source, padded, weight, phase, (down, across)))
        index = len(parts) - 1 if whole or not _copies(weight, down, across) else 0
        moves.append(interleave_move(index, image_shape(parts[index].shape), phase, (down.factor, across.factor)))
    if not whole:
        emit_move(builder, node, parts, moves)


def _copies(weight: Floats, down: _Filter, across: _Filter) -> bool:
    """Whether a phase is the input itself."""
    still = down.stride == across.stride == 1
    return still and np.count_nonzero(weight) == 1 and bool(weight[down.before, across.before] == 1)


def _with_edges(builder: Builder, node: Node, source: Tensor, down: _Filter, across: _Filter) -> Tensor:
    """The input with the elements at its ends repeated as often as the filters ask for."""
    channels, height, width = image_shape(source.shape)
    rows, columns = (
        np.clip(np.arange(-one.before, size + one.after), 0, size - 1).tolist()
        for one, size in ((down, height), (across, width))
    )
    if (len(rows), len(columns)) == (height, width):
        return source
    shape = (1, channels, len(rows), len(columns))
    name = builder.inner(node, "edges", shape, builder.params(source.name))
    emit_move(builder, node, [source], gather_moves(range(channels), rows, columns), output=name)
    return builder.source(name)


def _mixed(
    builder: Builder,
    node: Node,
    source: Tensor,
    padded: Tensor,
    weight: Floats,
    phase: tuple[int, int],
    filters: tuple[_Filter, _Filter],
) -> Tensor:
    """One phase as a depthwise convolution."""
    channels, *size = image_shape(padded.shape)
    integers, unit = _integers(weight, (1 << (builder.config.weight_bits - 1)) - 1)
    strides = (filters[0].stride, filters[1].stride)
    count = [(length - taps) // stride + 1 for length, taps, stride in zip(size, weight.shape, strides, strict=True)]
    result = builder.params(node.outputs[0])
    name = node.outputs[0]
    if filters[0].factor * filters[1].factor > 1:
        name = builder.inner(node, f"phase {phase[0]} {phase[1]}", (1, channels, count[0], count[1]), result)
    kernels = np.broadcast_to(integers, (channels, 1, *integers.shape)).copy()
    factor = unit * builder.params(source.name).scale / result.scale
    fixed_conv(builder, node, padded, name, kernels, factor, strides=strides, group=channels)
    return builder.source(name)
