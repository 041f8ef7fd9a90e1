# SPDX-License-Identifier: Apache-2.0
"""Quantise what moves data: Concat, Slice, Pad, Transpose; and means over axes.

Moved elements keep their integers wherever the result may have the scale of its input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .ir import Move, Node, Run, Tensor
from .moves import NOTHING, concat_moves, gather_moves, transpose_move, whole_move
from .quantise_builder import Builder
from .quantise_vector import average_pool
from .quantise_weights import check_sums
from .verify_integer import image_shape

__all__ = [
    "check_rank",
    "concat",
    "emit_move",
    "fixed_conv",
    "gathered",
    "operand",
    "pad",
    "reduce_mean",
    "take",
    "transpose",
]

_MOST_MOVES = 256
"""Most moves that a node may become: each is at least one descriptor."""


def operand(builder: Builder, node: Node, name: str) -> Tensor:
    """An operand that the network computes, at the integer level in the shape the node sees."""
    if name in builder.graph.constants:
        raise builder.refuse(node, f"operand {name!r} is constant", "operands that the network computes")
    source = builder.source(name)
    if source.name != name:
        raise builder.refuse(node, f"it reads {name!r}, a flattened map", "a Gemm behind a Flatten of a map")
    return source


def check_rank(builder: Builder, node: Node) -> None:
    """Refuse a node whose input or output is neither a vector nor a sequence nor a map."""
    for name in (*node.inputs[:1], *node.outputs):
        if not 2 <= len(builder.graph.tensors[name].shape) <= 4:
            shape = list(builder.graph.tensors[name].shape)
            accepted = "shapes (N, C), (N, C, L) and (N, C, H, W)"
            raise builder.refuse(node, f"tensor {name!r} has shape {shape}", accepted)


def emit_move(
    builder: Builder,
    node: Node,
    sources: Sequence[Tensor],
    moves: Sequence[Move],
    *,
    fill: int = 0,
    output: str | None = None,
) -> None:
    """A ``QMove`` into the output of ``node``, or into an inner tensor of it, which exists."""
    if len(moves) > _MOST_MOVES:
        raise builder.refuse(node, f"it takes {len(moves)} moves of regular data", f"at most {_MOST_MOVES}")
    result = builder.params(output or node.outputs[0])
    factors = tuple(
        1.0 if source.qparams == result else builder.params(source.name).scale / result.scale for source in sources
    )
    bounds = {"lo": result.low - result.zero_point, "hi": result.high - result.zero_point}
    attributes = {"moves": tuple(moves), "factors": factors, "fill": fill, **bounds}
    builder.emit(node, "QMove", tuple(source.name for source in sources), attributes, output)


def gathered(builder: Builder, node: Node, indices: Sequence[Sequence[int]]) -> None:
    """A selection of elements by axis (batch first) that keeps the integers."""
    source = operand(builder, node, node.inputs[0])
    builder.define_like(node.outputs[0], builder.params(source.name))
    emit_move(builder, node, [source], gather_moves(*_spatial(indices)))


def _spatial(indices: Sequence[Sequence[int]]) -> tuple[Sequence[int], Sequence[int], Sequence[int]]:
    """Channels, rows and columns; a sequence is one row, a vector one pixel."""
    rows, columns = ((0,), (0,), *indices[2:])[-2:]
    return indices[1], rows, columns


def concat(builder: Builder, node: Node) -> None:
    """``Concat`` of maps or vectors, along any axis but the batch."""
    check_rank(builder, node)
    sources = [operand(builder, node, name) for name in node.inputs]
    scales = [builder.params(source.name).scale for source in sources]
    builder.define(node.outputs[0], builder.factor_scale(max(scales)))
    axis, rank = node.attributes["axis"], len(sources[0].shape)
    moves = concat_moves([image_shape(source.shape) for source in sources], 0 if axis == 1 else axis - rank)
    emit_move(builder, node, sources, moves)


def take(builder: Builder, node: Node) -> None:
    """``Slice``, with steps in either direction."""
    check_rank(builder, node)
    given, shape = node.attributes, builder.graph.tensors[node.outputs[0]].shape
    by_axis = zip(given["starts"], given["steps"], shape, strict=True)
    gathered(builder, node, [range(start, start + step * count, step) for start, step, count in by_axis])


def pad(builder: Builder, node: Node) -> None:
    """``Pad`` in all modes; a constant that the input's range leaves out widens the result's."""
    check_rank(builder, node)
    given, source = node.attributes, operand(builder, node, node.inputs[0])
    rank = len(source.shape)
    pads = list(zip(given["pads"][:rank], given["pads"][rank:], strict=True))
    if given["mode"] != "constant":
        gathered(
            builder,
            node,
            [np.pad(np.arange(n), p, given["mode"]).tolist() for n, p in zip(source.shape, pads, strict=True)],
        )
        return
    before = builder.params(source.name)
    low, high = ((edge - before.zero_point) * before.scale for edge in (before.low, before.high))
    if low <= given["value"] <= high:
        result = builder.define_like(node.outputs[0], before)
    else:
        result = builder.define(node.outputs[0], builder.factor_scale(before.scale))
    fill = round(given["value"] / result.scale)
    fill = min(max(fill, result.low - result.zero_point), result.high - result.zero_point)
    places = [
        [NOTHING] * ahead + list(range(n)) + [NOTHING] * behind
        for n, (ahead, behind) in zip(source.shape, pads, strict=True)
    ]
    emit_move(builder, node, [source], gather_moves(*_spatial(places)), fill=fill)


# ---------------------------------------------------------------------- transposition


def transpose(builder: Builder, node: Node) -> None:
    """``Transpose`` that leaves channels channels, or exchanges them with pixels that are one line."""
    shape, perm = builder.graph.tensors[node.inputs[0]].shape, node.attributes["perm"]
    moved = [axis for axis in perm if shape[axis] != 1]
    if len(shape) < 5 and moved in ([2, 1], [3, 1]) and perm[:2] == (0, moved[0]):
        source = operand(builder, node, node.inputs[0])
        builder.define_like(node.outputs[0], builder.params(source.name))
        builder.emit(node, "QTranspose", (source.name,), {})
        return
    check_rank(builder, node)
    source = operand(builder, node, node.inputs[0])
    size, result = image_shape(source.shape), image_shape(builder.graph.tensors[node.outputs[0]].shape)
    if perm[1] == 1 and moved == sorted(moved) and size != result:
        builder.define_like(node.outputs[0], builder.params(source.name))
        builder.emit(node, "View", (source.name,), {})
    elif perm[1] == 1:
        builder.define_like(node.outputs[0], builder.params(source.name))
        emit_move(builder, node, [source], [transpose_move(size) if perm[2:3] == (3,) else whole_move(0, size)])
    elif size[0] == 1:
        _lines_to_channels(builder, node, source, size)
    elif size[1:] == (1, 1):
        _channels_to_pixels(builder, node, source, size[0])
    else:
        raise builder.refuse(
            node,
            f"perm {list(perm)} of shape {list(source.shape)} moves channels",
            "exchanges of height and width, or of channels and a single row or column of pixels that become channels, "
            "and any perm of a single channel or a single pixel",
            "export the model with channels first",
        )


def _channels_to_pixels(builder: Builder, node: Node, source: Tensor, channels: int) -> None:
    down = node.attributes["perm"].index(1) == 2
    moves = [
        Move(0, Run(channel, 0, 1), *((_at(channel), _at(0)) if down else (_at(0), _at(channel))))
        for channel in range(channels)
    ]
    builder.define_like(node.outputs[0], builder.params(source.name))
    emit_move(builder, node, [source], moves)


def _at(target: int) -> Run:
    return Run(0, target, 1)


def _lines_to_channels(builder: Builder, node: Node, source: Tensor, size: tuple[int, int, int]) -> None:
    """Rows or columns of a single channel become channels: a convolution whose weights select, exact.

    What is left is a line, which needs no more than another shape.
    """
    axis = node.attributes["perm"][1] - 2
    lines = size[axis + 1]
    kernel = (lines, 1) if axis == 0 else (1, lines)
    params = builder.params(source.name)
    weight = np.eye(lines, dtype=np.int64).reshape(lines, 1, *kernel)
    shape = (1, lines, 1, size[2]) if axis == 0 else (1, lines, size[1], 1)
    same = shape == builder.graph.tensors[node.outputs[0]].shape
    if same:
        builder.define_like(node.outputs[0], params)
        fixed_conv(builder, node, source, node.outputs[0], weight, 1.0)
        return
    name = builder.inner(node, "lines", shape, params)
    fixed_conv(builder, node, source, name, weight, 1.0)
    builder.define_like(node.outputs[0], params)
    builder.emit(node, "View", (name,), {})


def fixed_conv(
    builder: Builder,
    node: Node,
    source: Tensor,
    output: str,
    weight: NDArray[np.int64],
    factor: float,
    *,
    strides: tuple[int, int] = (1, 1),
    group: int = 1,
) -> None:
    """A ``QConv`` of given integers into a tensor that exists: (O, I/group, kh, kw), no bias, no padding.

    Raises:
        QuantisationError: a sum can overflow the accumulator.
    """
    outputs, result = len(weight), builder.params(output)
    bias = np.zeros(outputs, np.int64)
    check_sums(node.name, weight, bias, builder.params(source.name), builder.config)
    role = output.removeprefix(f"{node.name}:")
    constants = {"weight": weight, "bias": bias, "factor": np.full(outputs, factor)}
    names = {key: builder.constant(node, f"{role}:{key}", value) for key, value in constants.items()}
    geometry = {"kernel": weight.shape[2:], "strides": strides, "pads": (0, 0, 0, 0), "dilations": (1, 1)}
    bounds = {"lo": result.low - result.zero_point, "hi": result.high - result.zero_point}
    builder.emit(node, "QConv", (source.name,), {**names, **geometry, "group": group, **bounds}, output)


# ---------------------------------------------------------------------- means


def reduce_mean(builder: Builder, node: Node) -> None:
    """``ReduceMean`` over height, width or length as an average pool, over channels as a convolution with ones."""
    check_rank(builder, node)
    source, axes = operand(builder, node, node.inputs[0]), node.attributes["axes"]
    channels, *size = image_shape(source.shape)
    last = range(len(source.shape) - 2, len(source.shape))
    kernel = tuple(length if axis in axes else 1 for axis, length in zip(last, size, strict=True))
    left = tuple(length // taken for length, taken in zip(size, kernel, strict=True))
    expected = (1 if 1 in axes else channels, *left)
    got = image_shape(builder.graph.tensors[node.outputs[0]].shape)
    # without keepdims a sequence's elements, so far pixels, become the channels
    turned = axes == (1,) and got == (left[1], 1, 1)
    if got != expected and not turned:
        raise builder.refuse(
            node, f"axes {list(axes)} without keepdims", "keepdims=1, means over all but channels, or of a sequence"
        )
    if 1 in axes:
        weight = np.ones((1, channels, *kernel), dtype=np.int64)
        least = builder.factor_scale(builder.params(source.name).scale / weight.size)
        result = builder.define(node.outputs[0], least)
        factor = builder.params(source.name).scale / (weight.size * result.scale)
        name = builder.inner(node, "mean", (1, *expected), result) if turned else node.outputs[0]
        fixed_conv(builder, node, source, name, weight, factor)
        if turned:
            builder.emit(node, "QTranspose", (name,), {})
        return
    window = {"kernel_shape": kernel, "strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}
    average_pool(builder, replace(node, attributes={**node.attributes, **window, "count_include_pad": False}))
