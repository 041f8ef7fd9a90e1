# SPDX-License-Identifier: Apache-2.0
"""Data movement in a QDQ network: Concat, Slice, Pad, Transpose, and means over maps.

Moved elements keep their integers, so that all of these also work on the integers themselves, and without a
QuantizeLinear after them; Concat only if its operands are quantised alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..ir import Move, Node, QParams
from ..moves import NOTHING, concat_moves, gather_moves, interleave_move, transpose_move, whole_move
from ..verify_integer import image_shape
from .qdq_constants import refuse
from .qdq_product import exchange
from .qdq_values import Activation, Pending, Value, Weights
from .qdq_walk import Walk

__all__ = ["concat", "gathered", "interleaved", "pad", "reduce_mean", "take", "transpose"]

_MOST_MOVES = 256
"""Most moves that a node may become: each is at least one descriptor."""


def _operand(walk: Walk, node: Node, name: str) -> Activation:
    activation = walk.in_shape(node, walk.activation(node, name))
    for shape in (activation.shape, walk.source.tensors[node.outputs[0]].shape):
        if not 2 <= len(shape) <= 4:
            raise refuse(node, f"a tensor of shape {list(shape)}", "shapes (N, C), (N, C, L) and (N, C, H, W)")
    return activation


def _moved(
    walk: Walk, node: Node, operands: Sequence[Activation], moves: Sequence[Move], fill: float | None = None
) -> Value:
    """A QMove of operands, with ``fill`` (real) where nothing is moved to; codes again where they are codes."""
    if len(moves) > _MOST_MOVES:
        raise refuse(node, f"it takes {len(moves)} moves of regular data", f"at most {_MOST_MOVES}")
    first = operands[0]
    scales = np.array([operand.qparams.scale for operand in operands])
    pending = walk.layer("QMove", node, tuple(operands), scales, {"moves": tuple(moves), "fill": fill or 0.0})
    if all(operand.qparams == first.qparams for operand in operands) and _holds(first.qparams, fill or 0.0):
        pending = replace(pending, grid=first.qparams)
    if first.real:
        return pending
    if pending.grid is None:
        raise refuse(node, "it puts integers of different scales together", "integers quantised alike, or real numbers")
    return walk.rounded(pending, pending.grid, node.outputs[0], node.outputs[0])


def _holds(qparams: QParams, value: float) -> bool:
    """Whether a real number is one of a quantisation's."""
    steps = value / qparams.scale
    inside = qparams.low - qparams.zero_point <= round(steps) <= qparams.high - qparams.zero_point
    return inside and math.isclose(steps, round(steps), rel_tol=1e-6, abs_tol=1e-9)


def gathered(walk: Walk, node: Node, indices: Sequence[Sequence[int]], fill: float | None = None) -> Value:
    """A selection of elements by axis, batch first."""
    rows, columns = ((0,), (0,), *indices[2:])[-2:]
    return _moved(walk, node, [_operand(walk, node, node.inputs[0])], gather_moves(indices[1], rows, columns), fill)


def interleaved(
    walk: Walk, node: Node, parts: Sequence[Pending], offsets: Sequence[tuple[int, ...]], steps: tuple[int, int]
) -> Pending:
    """Parts of a result between each other, each at every so many rows and columns from its offset (y, x) on."""
    moves = tuple(
        interleave_move(index, image_shape(part.natural), (offset[0], offset[1]), steps)
        for index, (part, offset) in enumerate(zip(parts, offsets, strict=True))
    )
    whole = walk.layer("QMove", node, (), np.ones(len(parts)), {"moves": moves, "fill": 0.0})
    return replace(whole, parts=tuple(parts))


def concat(walk: Walk, node: Node) -> Value:
    """Operands behind each other along any axis but the batch."""
    operands = [_operand(walk, node, name) for name in node.inputs]
    if len({operand.real for operand in operands}) > 1:
        raise refuse(node, "it puts integers and real numbers together", "all of one kind")
    sizes = [image_shape(operand.shape) for operand in operands]
    axis, rank = node.attributes["axis"], len(operands[0].shape)
    return _moved(walk, node, operands, concat_moves(sizes, 0 if axis == 1 else axis - rank))


def take(walk: Walk, node: Node) -> Value:
    """``Slice``, with steps in either direction."""
    given, shape = node.attributes, walk.source.tensors[node.outputs[0]].shape
    by_axis = zip(given["starts"], given["steps"], shape, strict=True)
    return gathered(walk, node, [range(start, start + step * count, step) for start, step, count in by_axis])


def pad(walk: Walk, node: Node) -> Value:
    """``Pad`` in all modes; on integers, the constant is one of them."""
    given, operand = node.attributes, _operand(walk, node, node.inputs[0])
    rank = len(operand.shape)
    pads = list(zip(operand.shape, given["pads"][:rank], given["pads"][rank:], strict=True))
    if given["mode"] != "constant":
        modes = [np.pad(np.arange(n), (ahead, behind), given["mode"]) for n, ahead, behind in pads]
        return gathered(walk, node, [[int(at) for at in index] for index in modes])
    places = [[NOTHING] * ahead + list(range(n)) + [NOTHING] * behind for n, ahead, behind in pads]
    return gathered(walk, node, places, _fill(operand, given["value"]))


def _fill(operand: Activation, value: float) -> float:
    """The real number behind a constant."""
    if operand.real:
        return value
    qparams = operand.qparams
    return (value - qparams.offset - qparams.zero_point) * qparams.scale


def transpose(walk: Walk, node: Node) -> Value:
    """Weights in another order of axes; an activation with height and width, or channels and pixels exchanged."""
    value, order = walk.value(node, 0), tuple(node.attributes["perm"])
    if isinstance(value, Weights):
        axis = order.index(value.axis) if value.scale.ndim else 0
        return Weights(np.transpose(value.codes, order), value.scale, axis)
    moved = [axis for axis in order if walk.source.tensors[node.inputs[0]].shape[axis] != 1]
    if len(order) < 5 and moved in ([2, 1], [3, 1]) and order[:2] == (0, moved[0]):
        return exchange(walk, node, walk.in_shape(node, walk.activation(node, node.inputs[0])))
    operand = _operand(walk, node, node.inputs[0])
    if order[:2] != (0, 1):
        accepted = (
            "exchanges of height and width, or of channels and a single row or column of pixels that become channels"
        )
        raise refuse(node, f"perm {list(order)} moves channels", accepted, "export the model with channels first")
    size = image_shape(operand.shape)
    return _moved(walk, node, [operand], [transpose_move(size) if order[2:] == (3, 2) else whole_move(0, size)])


def reduce_mean(walk: Walk, node: Node) -> Value:
    """Means over height, width or both, or over the length of a sequence, as an average pool."""
    operand = walk.in_shape(node, walk.real(node))
    axes, rank = node.attributes["axes"], len(operand.shape)
    channels, *size = image_shape(operand.shape)
    last = range(rank - 2, rank)
    kernel = tuple(length if axis in axes else 1 for axis, length in zip(last, size, strict=True))
    left = tuple(length // taken for length, taken in zip(size, kernel, strict=True))
    if 1 in axes or image_shape(walk.source.tensors[node.outputs[0]].shape) != (channels, *left):
        problem = f"axes {list(axes)}, keepdims {node.attributes['keepdims']:d} of {list(operand.shape)}"
        raise refuse(
            node, problem, "axes of height and width of a map, or of a length; with keepdims=1 also one of them"
        )
    window = {"mode": "average", "kernel": kernel, "strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}
    attributes = {**window, "count_include_pad": False}
    pending: Pending = walk.layer("QPool", node, (operand,), np.array(operand.qparams.scale), attributes)
    return pending
