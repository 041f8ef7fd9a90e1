# SPDX-License-Identifier: Apache-2.0
"""QConv on the array: output channels in blocks of C, the reduction in passes of R, output pixels in tiles.

A block of C output channels reads the input channels of the groups it touches, which are neighbours; weights between a
block's channels and foreign groups are zero. A dense convolution is the case of one group, a depthwise one the case
where a block's C x C weights of a tap are diagonal. Blocks whose input channels start at regular distances share a
descriptor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from systolith.spec.arch import Arch
from systolith.spec.isa import Descriptor, Op, Walk

from .errors import QuantisationError
from .ir import Node
from .layout import Layout, residual_of
from .nest import Span, Stride, make_loops, make_walk, split_evenly
from .packing import Packing, pack
from .plan import Context, Ints, LayerPlan, Step
from .reduction import Geometry, Reduction, plan_reduction
from .scaling import check_accumulator, lane_fields, lane_table

__all__ = ["checked_weight", "corrected_bias", "matrix_descriptors", "plan_matrix", "tile_pixels"]


@dataclass(frozen=True)
class _Blocks:
    """Neighbouring blocks of output channels that one descriptor computes.

    Block ``i`` of them reads ``span`` input channels from ``start + i * step``.
    """

    blocks: Span
    start: int
    step: int
    span: int


def _touched(packing: Packing, arch: Arch) -> tuple[Ints, Ints]:
    """First input channel (down to the granule) and one past the last, for each block; (blocks,) each."""
    per_group = packing.outputs // packing.group
    first = np.arange(0, packing.outputs, arch.cols)
    last = np.minimum(first + arch.cols, packing.outputs) - 1
    start = first // per_group * packing.inputs
    return start // arch.act_granule * arch.act_granule, (last // per_group + 1) * packing.inputs


def _regular_runs(starts: Ints, limit: int) -> Iterator[Span]:
    """Maximal runs of equally spaced values, of at most ``limit``."""
    begin = 0
    while begin < len(starts):
        end = begin + 1
        while (
            end < len(starts)
            and end - begin < limit
            and (end - begin < 2 or starts[end] - starts[end - 1] == starts[begin + 1] - starts[begin])
        ):
            end += 1
        yield Span(begin, end)
        begin = end


def _block_sets(packing: Packing, arch: Arch) -> list[_Blocks]:
    starts, ends = _touched(packing, arch)
    sets = []
    for run in _regular_runs(starts, 1 << arch.dim_bits):
        step = int(starts[run.start + 1] - starts[run.start]) if run.count > 1 else 0
        span = int((ends - starts)[run.start : run.stop].max())
        sets.append(_Blocks(run, int(starts[run.start]), step, span))
    return sets


def _weight_block(packing: Packing, arch: Arch, weight: Ints, blocks: _Blocks, reduction: Reduction) -> Ints:
    """The packed weights of a set of blocks in consumption order: (passes of all blocks, rows, cols)."""
    outputs, inputs = weight.shape[:2]
    channel = np.arange(blocks.blocks.start * arch.cols, min(blocks.blocks.stop * arch.cols, outputs))
    block, column = np.divmod(channel - channel[0], arch.cols)
    first = channel // (outputs // packing.group) * inputs - (blocks.start + block * blocks.step)
    # position in the reduction of each (output channel, input channel of its group, ky, kx)
    position = reduction.index[:, :, first[:, None] + np.arange(inputs)].transpose(2, 3, 0, 1)
    placed = np.zeros((blocks.blocks.count, reduction.passes * arch.rows, arch.cols), dtype=np.int64)
    placed[block[:, None, None, None], position, column[:, None, None, None]] = weight[channel]
    return placed.reshape(-1, arch.rows, arch.cols)


def tile_pixels(arch: Arch, passes: int) -> int:
    """Most output pixels of a tile: what the accumulators hold, if anything has to be kept in them."""
    kept = arch.buffered or passes > 1
    return arch.acc_depth if kept else 1 << (2 * arch.dim_bits)


def _tiles(areas: list[tuple[Span, Span]], acc_depth: int, limit: int) -> Iterator[tuple[Span, Span]]:
    """The areas (rows, columns) in tiles of at most ``acc_depth`` pixels."""
    for high, wide in areas:
        for columns in split_evenly(wide, min(acc_depth, limit)):
            for rows in split_evenly(high, min(acc_depth // columns.count, limit)):
                yield rows, columns


def _walk(base: int, layout: Layout, rows: Span, columns: Span, blocks: Span, cols: int) -> Walk:
    first = base + rows.start * layout.row_pitch + columns.start * layout.channel_pitch + blocks.start * cols
    return make_walk(first, (columns.count, layout.channel_pitch), (rows.count, layout.row_pitch), (blocks.count, cols))


def _reading(geometry: Geometry, flat: bool, blocks: _Blocks, rows: Span, columns: Span) -> dict[str, Any]:
    """Start coordinates and bounds of a tile's windows; a flat tensor is one row of all its elements."""
    source, (sy, sx), (top, left, _, _) = geometry.source, geometry.strides, geometry.pads
    row = (rows.start * sy - top) * source.row_pitch
    col = (columns.start * sx - left) * source.channel_pitch + blocks.start
    if flat:
        return {"row_start": 0, "col_start": row + col, "plane": 1, "row_len": source.elements}
    return {"row_start": row, "col_start": col, "plane": source.elements, "row_len": source.row_len}


def _nest(geometry: Geometry, reduction: Reduction, blocks: _Blocks, rows: Span, columns: Span) -> list[Stride]:
    source, (sy, sx) = geometry.source, geometry.strides
    down = sy * source.row_pitch
    y = Stride(rows.count, col=down) if reduction.flat else Stride(rows.count, row=down)
    x = Stride(columns.count, col=sx * source.channel_pitch)
    return [x, y, *reduction.loops, Stride(blocks.blocks.count, col=blocks.step)]


def _tiled(node: Node, ctx: Context, packing: Packing, reduction: Reduction, blocks: _Blocks) -> Iterator[Descriptor]:
    """The descriptors of a set of blocks, one a tile."""
    arch, geometry, source = ctx.arch, packing.geometry, node.inputs[0]
    lanes = lane_fields(node, ctx, node.attributes["lo"], node.attributes["hi"])
    residual, target = residual_of(node), packing.stored(ctx.layouts[node.outputs[0]])
    channels = Span(blocks.blocks.start * arch.cols, blocks.blocks.stop * arch.cols)
    areas, limit = packing.areas(target), 1 << arch.dim_bits
    for rows, columns in _tiles(areas, tile_pixels(arch, reduction.passes), limit):
        place = (rows, columns, blocks.blocks, arch.cols)
        yield Descriptor(
            op=Op.MATRIX,
            base=ctx.bases[source],
            fill=ctx.qparams(source).zero_point,
            loops=make_loops(_nest(geometry, reduction, blocks, rows, columns)),
            out=_walk(ctx.bases[node.outputs[0]], target, *place),
            res=_walk(ctx.bases[residual], packing.stored(ctx.layouts[residual]), *place) if residual else Walk(),
            work=packing.work(channels, rows, columns),
            **_reading(geometry, reduction.flat, blocks, rows, columns),
            **lanes,
        )


def checked_weight(node: Node, ctx: Context) -> Ints:
    """A QConv's weights, (outputs, inputs of a group, kernel y, kernel x).

    Raises:
        QuantisationError: a weight does not fit the architecture's width.
    """
    weight = ctx.graph.constant(node.attributes["weight"]).astype(np.int64)
    limit = 1 << (ctx.arch.weight_bits - 1)
    if weight.min(initial=0) < -limit or weight.max(initial=0) >= limit:
        raise QuantisationError(
            f"node {node.name!r} ({node.op}): weights reach {weight.min()}..{weight.max()}, arch {ctx.arch.name!r} "
            f"holds {-limit}..{limit - 1}; quantise to {ctx.arch.weight_bits} bits or take an arch with wider weights"
        )
    return weight


def corrected_bias(node: Node, ctx: Context, weight: Ints) -> Ints:
    """The bias with the input's zero point folded in, checked against the accumulator.

    Padding reads the zero point, so every tap counts: ``sum(w * (x - z)) = sum(w * x) - z * sum(w)``.
    """
    qparams = ctx.qparams(node.inputs[0])
    up = np.where(weight > 0, weight, 0).sum(axis=(1, 2, 3))
    down = np.where(weight < 0, weight, 0).sum(axis=(1, 2, 3))
    bias = ctx.graph.constant(node.attributes["bias"]).astype(np.int64) - qparams.zero_point * (up + down)
    low, high = up * qparams.low + down * qparams.high, up * qparams.high + down * qparams.low
    check_accumulator(node, ctx, low, high, bias)
    return np.asarray(bias, dtype=np.int64)


def _parts(packing: Packing, arch: Arch) -> Iterator[tuple[_Blocks, Reduction]]:
    """Each set of blocks that shares descriptors, and how its reduction is cut."""
    for blocks in _block_sets(packing, arch):
        yield blocks, plan_reduction(packing.geometry, blocks.span, arch.rows, 1 << arch.dim_bits)


def matrix_descriptors(node: Node, ctx: Context) -> list[Descriptor]:
    """The descriptors of a QConv without its weights and tables: all that its time depends on."""
    packing = pack(node, ctx)
    return [made for blocks, cut in _parts(packing, ctx.arch) for made in _tiled(node, ctx, packing, cut, blocks)]


def plan_matrix(node: Node, ctx: Context) -> LayerPlan:
    """A QConv as MATRIX descriptors.

    Raises:
        QuantisationError: a weight, a factor or a sum does not fit the architecture's widths.
    """
    weight = checked_weight(node, ctx)
    bias, factor = corrected_bias(node, ctx, weight), ctx.graph.constant(node.attributes["factor"])
    packing, target = pack(node, ctx), ctx.layouts[node.outputs[0]]
    table = packing.table(lane_table(node, ctx, bias, factor, 1), ctx.arch.cols)
    packed = packing.weight(weight)
    steps: list[Step] = []
    weights: list[Ints] = []
    for blocks, reduction in _parts(packing, ctx.arch):
        line = blocks.blocks.start * ctx.arch.lane_cycles
        made = _tiled(node, ctx, packing, reduction, blocks)
        steps += [Step(descriptor, weights=len(weights), param_line=line) for descriptor in made]
        weights.append(_weight_block(packing, ctx.arch, packed, blocks, reduction))
    macs = target.height * target.width * weight.size
    return LayerPlan(node, tuple(steps), (table,), tuple(weights), macs)
