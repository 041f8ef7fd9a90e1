# SPDX-License-Identifier: Apache-2.0
"""Channels and pixels exchanged, on the array: a transposed matrix, in the activation memory or as rows of weights.

A window may begin at any channel. Of C pixels, pass after pass, it brings one channel each, which a matrix with a
single one puts into the pixel's column; the next window is at the next channel. So a pass for each pixel, as long as
there are channels, makes the whole of it, exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from systolith.spec.arch import Arch
from systolith.spec.isa import Descriptor, Op, Walk

from .errors import CapacityError, UnsupportedModel
from .ir import Node
from .layout import Layout
from .matrix import tile_pixels
from .nest import Span, Stride, make_loops, make_walk
from .plan import Context, Ints, LayerPlan, Step
from .scaling import lane_table

__all__ = ["check_exchange", "exchanged", "plan_exchange", "selection"]


def _blocks(pixels: int, arch: Arch) -> int:
    return -(-pixels // arch.cols)


def selection(pixels: int, arch: Arch) -> Ints:
    """The weights: of each pixel's pass a one in the first row and the pixel's column, (passes, rows, cols)."""
    depth, blocks = min(pixels, arch.cols), _blocks(pixels, arch)
    weights = np.zeros((blocks, depth, arch.rows, arch.cols), dtype=np.int64)
    column = np.arange(depth)
    weights[:, column, 0, column] = 1
    weights[-1, pixels - (blocks - 1) * arch.cols :] = 0
    return weights.reshape(-1, arch.rows, arch.cols)


def _is_line(layout: Layout) -> bool:
    return layout.height == 1 or layout.row_pitch == layout.row_len


def check_exchange(node: Node, ctx: Context, *tensors: str) -> None:
    """Refuse what cannot be exchanged: reads of single elements, or tensors that are no lines of pixels."""
    arch = ctx.arch
    if arch.act_granule > 1:
        raise UnsupportedModel(
            node=node.name,
            op=node.origin[0] if node.origin else node.op,
            problem=f"it exchanges channels and pixels, arch {arch.name!r} reads {arch.act_granule} elements at once",
            accepted="an arch with act_granule=1",
        )
    for name in tensors:
        layout = ctx.layouts[name]
        if not _is_line(layout) or max(layout.height * layout.width, layout.channels) > arch.cols << arch.dim_bits:
            raise CapacityError(
                f"node {node.name!r} ({node.op}): {name!r} of {layout.height} x {layout.width} pixels is not one line "
                f"that the loops of arch {arch.name!r} count; what helps: a larger dim_bits"
            )


def _spans(channels: int, passes: int, arch: Arch) -> Iterator[Span]:
    """The channels in tiles; each begins with a line of weights."""
    most = min(tile_pixels(arch, passes), 1 << arch.dim_bits)
    most = max(most // arch.weight_rows, 1) * arch.weight_rows
    for start in range(0, channels, most):
        yield Span(start, min(start + most, channels))


def exchanged(name: str, ctx: Context, walk: Callable[[Span, int], Walk]) -> Iterator[Descriptor]:
    """The descriptors for a tensor; ``walk`` says where channels of so many blocks of pixels go."""
    arch, source, half = ctx.arch, ctx.layouts[name], 1 << (ctx.arch.act_bits - 1)
    pixels = source.height * source.width
    depth, blocks = min(pixels, arch.cols), _blocks(pixels, arch)
    for channels in _spans(source.channels, depth, arch):
        passes = Stride(depth, col=source.channel_pitch)
        block = Stride(blocks, col=arch.cols * source.channel_pitch)
        yield Descriptor(
            op=Op.MATRIX,
            base=ctx.bases[name],
            col_start=channels.start,
            plane=1,
            row_len=source.elements,
            loops=make_loops([Stride(channels.count, col=1), Stride(), passes, Stride(), Stride(), block]),
            out=walk(channels, blocks),
            lo=-half,
            hi=half - 1,
        )


def plan_exchange(node: Node, ctx: Context) -> LayerPlan:
    """A QTranspose as MATRIX descriptors.

    Raises:
        UnsupportedModel, CapacityError: as :func:`check_exchange`.
    """
    check_exchange(node, ctx, node.inputs[0], node.outputs[0])
    arch, base, target = ctx.arch, ctx.bases[node.outputs[0]], ctx.layouts[node.outputs[0]]

    def walk(channels: Span, blocks: int) -> Walk:
        first = base + channels.start * target.channel_pitch
        return make_walk(first, (channels.count, target.channel_pitch), (1, 0), (blocks, arch.cols))

    steps = tuple(Step(descriptor) for descriptor in exchanged(node.inputs[0], ctx, walk))
    outputs = target.channels
    table = lane_table(node, ctx, np.zeros(outputs, dtype=np.int64), np.ones(outputs), arch.cols)
    return LayerPlan(node, steps, (table,), (selection(outputs, arch),))
