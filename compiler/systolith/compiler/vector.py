# SPDX-License-Identifier: Apache-2.0
"""Pooling, stand-alone add, product, requantisation and table on the vector unit: blocks of C channels, taps innermost.

All but pooling are pools of one tap. An average that does not count its padding divides by another number at the
border, so the output is cut into rectangles of equal tap count, each with its own factor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from systolith.spec.fixed import FINER
from systolith.spec.isa import Descriptor, Op, Walk

from .errors import UnsupportedModel
from .ir import Node
from .layout import Layout, residual_of
from .nest import Span, Stride, make_loops, make_walk, split_evenly
from .plan import Context, Ints, LaneTable, LayerPlan, Step
from .scaling import check_accumulator, lane_fields, lane_table

__all__ = ["plan_vector"]


@dataclass(frozen=True, kw_only=True)
class _Pool:
    """A vector layer in pooling terms; sizes as (y, x), pads as (top, left, bottom, right)."""

    maximum: bool = False
    kernel: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    count_pads: bool = True
    factor: float = 1.0
    lo: int
    hi: int

    @property
    def taps(self) -> int:
        return self.kernel[0] * self.kernel[1]


def _pool_of(node: Node, ctx: Context) -> _Pool:
    own = node.attributes
    if node.op == "QAdd":
        limit = 1 << ctx.arch.act_bits
        return _Pool(lo=-limit, hi=limit - 1)
    if node.op == "QMul":
        limit = 1 << (ctx.arch.lane_widths.own - 1)
        return _Pool(factor=own["factor"] / (1 << FINER), lo=-limit, hi=limit - 1)
    if node.op == "QRequant":
        return _Pool(factor=own["factor"], lo=own["lo"], hi=own["hi"])
    if node.op == "QTable":
        qparams = ctx.result(node)
        return _Pool(lo=qparams.low - qparams.zero_point, hi=qparams.high - qparams.zero_point)
    return _Pool(
        maximum=own["mode"] == "max",
        kernel=tuple(own["kernel"]),
        strides=tuple(own["strides"]),
        pads=tuple(own["pads"]),
        dilations=tuple(own.get("dilations", (1, 1))),
        count_pads=own["mode"] == "max" or own["count_include_pad"],
        factor=own["factor"],
        lo=own["lo"],
        hi=own["hi"],
    )


def _inside(pool: _Pool, axis: int, size: int, outputs: int) -> Ints:
    """How many taps of each output position lie inside the tensor, along axis ``axis`` (0: y, 1: x)."""
    first = np.arange(outputs) * pool.strides[axis] - pool.pads[axis]
    taps = first[:, None] + np.arange(pool.kernel[axis]) * pool.dilations[axis]
    return np.asarray(np.count_nonzero((taps >= 0) & (taps < size), axis=1))


def _runs(values: Ints) -> Iterator[tuple[Span, int]]:
    """Maximal ranges of equal value."""
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    for start, stop in zip(edges, edges[1:], strict=False):
        yield Span(start, stop), int(values[start])


def _rectangles(node: Node, pool: _Pool, source: Layout, target: Layout) -> Iterator[tuple[Span, Span, int]]:
    """Rows, columns and the number to divide by."""
    down, across = _inside(pool, 0, source.height, target.height), _inside(pool, 1, source.width, target.width)
    if min(down.min(), across.min()) < 1:
        raise UnsupportedModel(
            node=node.name,
            op=node.op,
            problem=f"a window of kernel {pool.kernel} with pads {pool.pads} lies outside the tensor",
            accepted="windows with at least one element inside",
            advice="use pads smaller than the kernel",
        )
    if pool.count_pads:
        yield Span(0, target.height), Span(0, target.width), 1 if pool.maximum else pool.taps
        return
    for rows, high in _runs(down):
        for columns, wide in _runs(across):
            yield rows, columns, high * wide


def _bounded(rows: Span, columns: Span, limit: int) -> Iterator[tuple[Span, Span]]:
    """A rectangle in parts that the loops can count."""
    for across in split_evenly(columns, limit):
        for down in split_evenly(rows, limit):
            yield down, across


def _table(node: Node, ctx: Context, pool: _Pool, divisor: int, channels: int) -> LaneTable:
    qparams = ctx.qparams(node.inputs[0])
    taps = 1 if pool.maximum else pool.taps
    bias = np.full(channels, -taps * qparams.zero_point, dtype=np.int64)
    low, high = (np.full(channels, taps * edge, dtype=np.int64) for edge in (qparams.low, qparams.high))
    check_accumulator(node, ctx, low, high, bias)
    return lane_table(node, ctx, bias, np.full(channels, pool.factor / divisor), ctx.arch.cols)


def _walk(base: int, layout: Layout, rows: Span, columns: Span, blocks: int, cols: int) -> Walk:
    first = base + rows.start * layout.row_pitch + columns.start * layout.channel_pitch
    return make_walk(first, (columns.count, layout.channel_pitch), (rows.count, layout.row_pitch), (blocks, cols))


def _operand_walk(node: Node, ctx: Context, rows: Span, columns: Span, blocks: int, cols: int) -> Walk:
    """Over the second operand; a single pixel is read again for each of the result's."""
    residual = residual_of(node)
    if residual is None:
        return Walk()
    base, layout, target = ctx.bases[residual], ctx.layouts[residual], ctx.layouts[node.outputs[0]]
    if (layout.height, layout.width) == (target.height, target.width):
        return _walk(base, layout, rows, columns, blocks, cols)
    return make_walk(base, (columns.count, 0), (rows.count, 0), (blocks, cols))


def _reading(ctx: Context, node: Node, pool: _Pool, rows: Span, columns: Span) -> dict[str, Any]:
    """Where the windows lie, and what padding reads: never the maximum, nothing in a sum."""
    source, qparams = ctx.layouts[node.inputs[0]], ctx.qparams(node.inputs[0])
    return {
        "base": ctx.bases[node.inputs[0]],
        "row_start": (rows.start * pool.strides[0] - pool.pads[0]) * source.row_pitch,
        "col_start": (columns.start * pool.strides[1] - pool.pads[1]) * source.channel_pitch,
        "plane": source.elements,
        "row_len": source.row_len,
        "fill": qparams.low if pool.maximum else qparams.zero_point,
        "maximum": pool.maximum,
    }


def _descriptor(node: Node, ctx: Context, pool: _Pool, rows: Span, columns: Span) -> Descriptor:
    source, target, cols = ctx.layouts[node.inputs[0]], ctx.layouts[node.outputs[0]], ctx.arch.cols
    blocks = -(-target.channels // cols)
    nest = [
        Stride(pool.kernel[1], col=pool.dilations[1] * source.channel_pitch),
        Stride(pool.kernel[0], row=pool.dilations[0] * source.row_pitch),
        Stride(),
        Stride(columns.count, col=pool.strides[1] * source.channel_pitch),
        Stride(rows.count, row=pool.strides[0] * source.row_pitch),
        Stride(blocks, col=cols),
    ]
    place = (rows, columns, blocks, cols)
    return Descriptor(
        op=Op.VECTOR,
        loops=make_loops(nest),
        out=_walk(ctx.bases[node.outputs[0]], target, *place),
        res=_operand_walk(node, ctx, *place),
        **_reading(ctx, node, pool, rows, columns),
        **lane_fields(node, ctx, pool.lo, pool.hi),
    )


def plan_vector(node: Node, ctx: Context) -> LayerPlan:
    """A QPool, QAdd, QMul, QRequant or QTable as VECTOR descriptors.

    Raises:
        QuantisationError: a factor or a sum does not fit the architecture's widths.
        UnsupportedModel: a pooling window lies wholly in the padding.
    """
    pool, target = _pool_of(node, ctx), ctx.layouts[node.outputs[0]]
    divisors: list[int] = []
    steps: list[Step] = []
    for rows, columns, divisor in _rectangles(node, pool, ctx.layouts[node.inputs[0]], target):
        if divisor not in divisors:
            divisors.append(divisor)
        for part in _bounded(rows, columns, 1 << ctx.arch.dim_bits):
            steps.append(Step(_descriptor(node, ctx, pool, *part), params=divisors.index(divisor)))
    tables = tuple(_table(node, ctx, pool, divisor, target.channels) for divisor in divisors)
    return LayerPlan(node, tuple(steps), tables)
