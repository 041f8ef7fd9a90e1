# SPDX-License-Identifier: Apache-2.0
"""QMove on the vector unit: windows of one tap, in any order of pixels, scaled by the lanes.

The engine stores whole vectors of C channels; :mod:`.movement_parts` says which. Channels of a vector that a part does
not fill are multiplied by zero; a part that adds has what is there already as its residual operand, which is exact with
multipliers of one. Constants come from windows outside of any tensor, through the lanes' bias. Channels that would be
read off the granule are shifted into place by the array, with a selection matrix of ones as weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from systolith.spec.fixed import make_add_multiplier
from systolith.spec.isa import Descriptor, Op, Walk

from .errors import UnsupportedModel
from .ir import Move, Node, Run
from .layout import Layout
from .matrix import tile_pixels
from .movement_parts import Part, label_of, parts_of
from .nest import Span, Stride, make_loops, make_walk, split_evenly
from .plan import Context, Ints, LaneTable, LayerPlan, Step
from .scaling import check_accumulator, lane_table

__all__ = ["plan_movement"]

# ---------------------------------------------------------------------- lanes


def _table(node: Node, ctx: Context, part: Part) -> LaneTable:
    """The lane parameters of a part's channels; those that it does not fill are multiplied by zero."""
    bias, factor = node.attributes["fill"], 1.0
    if not part.constant:
        qparams, factor = ctx.qparams(node.inputs[part.move.input]), node.attributes["factors"][part.move.input]
        bias = -qparams.zero_point
        low, high = np.array([qparams.low]), np.array([qparams.high])
        check_accumulator(node, ctx, low, high, np.array([bias]))
    one = lane_table(node, ctx, np.array([bias]), [factor], 1)
    return LaneTable(*(np.where(part.own, value, 0) for value in (one.bias, one.multiplier, one.shift)))


def _lanes(node: Node, ctx: Context, part: Part, out: Walk) -> dict[str, Any]:
    """The fields of the lanes and stores; a residual is what the vectors hold already."""
    qparams = ctx.qparams(node.outputs[0])
    low, high = qparams.low - qparams.zero_point, qparams.high - qparams.zero_point
    lo, hi = (low, high) if part.constant else (node.attributes["lo"], node.attributes["hi"])
    fields: dict[str, Any] = {"out": out, "out_zero": qparams.zero_point, "lo": lo, "hi": hi}
    if not part.adds:
        return fields
    one = make_add_multiplier(1.0, ctx.arch.lane_widths)
    both = {"m_own": one, "m_res": one, "lo_sum": low, "hi_sum": high}
    return {**fields, **both, "residual": True, "res": out, "res_zero": qparams.zero_point}


def _check_lanes(node: Node, ctx: Context, part: Part) -> None:
    cols, arch = ctx.arch.cols, ctx.arch
    if part.adds and not arch.residual:
        channel = part.blocks.start * cols + int(part.own.argmax())
        raise UnsupportedModel(
            node=node.name,
            op=label_of(node),
            problem=f"channel {channel} of its result shares a vector of {cols} with channels from elsewhere, and arch "
            f"{arch.name!r} was built without 'residual'",
            accepted=f"residual=true, or channels that begin at multiples of {cols}",
            advice="take an arch with residual adds or pad the channels",
        )


# ---------------------------------------------------------------------- descriptors


def _cut(run: Run, span: Span) -> Run:
    source, target = run.source + span.start * run.source_step, run.target + span.start * run.target_step
    return replace(run, source=source, target=target, count=span.count)


def _tiles(move: Move, most: int, limit: int) -> Iterator[Move]:
    """A move in moves of at most ``most`` pixels, ``limit`` along each axis."""
    for across in split_evenly(Span(0, move.columns.count), min(most, limit)):
        for down in split_evenly(Span(0, move.rows.count), min(most // across.count, limit)):
            yield replace(move, rows=_cut(move.rows, down), columns=_cut(move.columns, across))


def _out(node: Node, ctx: Context, part: Part) -> Walk:
    target, cols, rows, columns = ctx.layouts[node.outputs[0]], ctx.arch.cols, part.move.rows, part.move.columns
    first = ctx.bases[node.outputs[0]] + rows.target * target.row_pitch + columns.target * target.channel_pitch
    x, y = columns.target_step * target.channel_pitch, rows.target_step * target.row_pitch
    return make_walk(first + part.blocks.start * cols, (columns.count, x), (rows.count, y), (part.blocks.count, cols))


def _pixel_strides(move: Move, source: Layout) -> tuple[Stride, Stride]:
    """The loops over a target's pixels, x and y, in the source."""
    x, y = move.columns, move.rows
    if move.transposed:
        across = Stride(x.count, row=x.source_step * source.row_pitch)
        return across, Stride(y.count, col=y.source_step * source.channel_pitch)
    across = Stride(x.count, col=x.source_step * source.channel_pitch)
    return across, Stride(y.count, row=y.source_step * source.row_pitch)


def _first_channel(part: Part, cols: int) -> int:
    """The source's channel that comes into lane 0 of the first block; negative where the move begins further on."""
    return part.move.channels.source - part.move.channels.target + part.blocks.start * cols


def _reading(node: Node, ctx: Context, part: Part, channel: int) -> dict[str, Any]:
    """Where the windows begin; a constant's lie outside of everything."""
    if part.constant:
        return {"base": ctx.bases[node.inputs[0]], "plane": 0, "row_len": 0, "fill": 0}
    name, move = node.inputs[part.move.input], part.move
    source = ctx.layouts[name]
    down, across = (move.columns, move.rows) if move.transposed else (move.rows, move.columns)
    return {
        "base": ctx.bases[name],
        "row_start": down.source * source.row_pitch,
        "col_start": across.source * source.channel_pitch + channel,
        "plane": source.elements,
        "row_len": source.row_len,
        "fill": ctx.qparams(name).zero_point,
    }


def _descriptor(node: Node, ctx: Context, part: Part, shift: int = 0, passes: int = 1) -> Descriptor:
    """One tile. Without passes it is the vector unit's; else the array's, with windows that begin ``shift`` early."""
    cols, move = ctx.arch.cols, part.move
    x, y = _pixel_strides(move, ctx.layouts[node.inputs[move.input]])
    if part.constant:
        x, y = Stride(x.count), Stride(y.count)
    blocks = Stride(part.blocks.count, col=0 if part.constant else cols)
    nest = [x, y, Stride(passes, col=ctx.arch.rows), Stride(), Stride(), blocks]
    return Descriptor(
        op=Op.MATRIX if shift else Op.VECTOR,
        loops=make_loops(nest if shift else [Stride(), Stride(), Stride(), x, y, blocks]),
        **_reading(node, ctx, part, _first_channel(part, cols) - shift),
        **_lanes(node, ctx, part, _out(node, ctx, part)),
    )


def _selection(part: Part, shift: int, passes: int, rows: int, cols: int) -> Ints:
    """Weights that bring element ``shift + lane`` of a window to each of a part's own lanes, (passes, rows, cols)."""
    own = part.own.reshape(-1, cols)
    weights = np.zeros((len(own), passes * rows, cols), dtype=np.int64)
    weights[:, shift + np.arange(cols), np.arange(cols)] = own
    return weights.reshape(-1, rows, cols)


class _Planner:
    """Collects a node's descriptors and their tables, each table once."""

    def __init__(self, node: Node, ctx: Context) -> None:
        self._node, self._ctx = node, ctx
        self._steps: list[Step] = []
        self._tables: list[LaneTable] = []
        self._weights: list[Ints] = []

    def _table(self, part: Part) -> int:
        table = _table(self._node, self._ctx, part)
        for index, other in enumerate(self._tables):
            if all(np.array_equal(a, b) for a, b in zip(vars(table).values(), vars(other).values(), strict=True)):
                return index
        self._tables.append(table)
        return len(self._tables) - 1

    def add(self, part: Part) -> None:
        """Plan one part."""
        arch = self._ctx.arch
        _check_lanes(self._node, self._ctx, part)
        shift = 0 if part.constant else _first_channel(part, arch.cols) % arch.act_granule
        passes = -(-(arch.cols + shift) // arch.rows)
        most = tile_pixels(arch, passes) if shift else 1 << (2 * arch.dim_bits)
        params = self._table(part)
        for move in _tiles(part.move, most, 1 << arch.dim_bits):
            descriptor = _descriptor(self._node, self._ctx, replace(part, move=move), shift, passes)
            self._steps.append(Step(descriptor, weights=len(self._weights), params=params))
        if shift:
            self._weights.append(_selection(part, shift, passes, arch.rows, arch.cols))

    def plan(self) -> LayerPlan:
        """All that was planned."""
        return LayerPlan(self._node, tuple(self._steps), tuple(self._tables), tuple(self._weights))


def plan_movement(node: Node, ctx: Context) -> LayerPlan:
    """A QMove as VECTOR descriptors, and MATRIX descriptors where reads do not begin at the granule.

    Raises:
        QuantisationError: a factor does not fit the architecture's widths.
        UnsupportedModel: moves meet in a vector and cannot be told apart there.
    """
    planner = _Planner(node, ctx)
    for part in parts_of(node, ctx):
        planner.add(part)
    return planner.plan()
