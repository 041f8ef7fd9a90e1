# SPDX-License-Identifier: Apache-2.0
"""Depthwise QConv on the depthwise feed: each column of the array convolves its own channel.

The feed looks at ``tap_rows`` x ``tap_cols`` pixels of a raster, so that a kernel of that size takes one pass, in which
every pixel is read once. Larger kernels take several passes. Where the line buffers do not pay (a stride passes over
rows that one tap row a pass need not read) a pass has a single tap row; and where an image is a line, all taps look
along it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from systolith.spec import timing
from systolith.spec.arch import Arch
from systolith.spec.isa import SKIP_BITS, Descriptor, Op, Walk

from .ir import Node
from .layout import residual_of
from .matrix import checked_weight, corrected_bias, tile_pixels
from .nest import Span, Stride, make_loops, make_walk, split_evenly
from .plan import Context, Ints, LayerPlan, Step
from .raster import Axis, AxisPlan, plan_axis
from .scaling import lane_fields, lane_table

__all__ = ["plan_depthwise"]


@dataclass(frozen=True, kw_only=True)
class _Image:
    """A tensor as two axes, each with its size and the elements between neighbours."""

    sizes: tuple[int, int]
    pitches: tuple[int, int]

    def turned(self) -> _Image:
        return _Image(sizes=self.sizes[::-1], pitches=self.pitches[::-1])


@dataclass(frozen=True, kw_only=True)
class _Layer:
    """A depthwise convolution; pairs are (outer, inner axis)."""

    source: _Image
    target: _Image
    residual: _Image | None
    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int]
    weight: Ints
    """(channels, outer, inner)."""

    def turned(self) -> _Layer:
        """The same with its axes exchanged."""
        return _Layer(
            source=self.source.turned(),
            target=self.target.turned(),
            residual=self.residual.turned() if self.residual is not None else None,
            kernel=self.kernel[::-1],
            strides=self.strides[::-1],
            pads=self.pads[::-1],
            weight=self.weight.swapaxes(1, 2),
        )

    def axis(self, number: int, outputs: Span) -> Axis:
        return Axis(
            size=self.source.sizes[number],
            kernel=self.kernel[number],
            stride=self.strides[number],
            pad=self.pads[number],
            first=outputs.start,
            outputs=outputs.count,
        )


@dataclass(frozen=True, kw_only=True)
class _Tile:
    """A tile's rasters: rows and columns of outputs, and the plan of each axis."""

    rows: Span
    columns: Span
    down: AxisPlan
    across: AxisPlan

    @property
    def passes(self) -> int:
        return self.down.groups * self.across.groups

    @property
    def raster(self) -> int:
        return self.down.length * self.across.length

    @property
    def lag(self) -> int:
        return self.down.lag * self.across.length + self.across.lag


@dataclass(frozen=True, kw_only=True)
class _Scheme:
    """One way to do a layer: which pixels meet in a pass, tile by tile."""

    layer: _Layer
    tap_rows: int
    """Tap rows along the outer axis."""
    line: bool
    """All taps lie along the inner axis."""
    tiles: tuple[_Tile, ...]

    def legal(self, arch: Arch) -> bool:
        """Within what the hardware counts and buffers."""
        rows = [tile.across.length for tile in self.tiles]
        buffered = self.tap_rows == 1 or timing.LINE_LATENCY < min(rows) <= max(rows) <= arch.line_depth
        lengths = [length for tile in self.tiles for length in (tile.down.length, tile.across.length, tile.passes)]
        skips = [skip for tile in self.tiles for skip in (tile.down.skip, tile.across.skip)]
        long = all(tile.raster >= timing.MIN_PASS for tile in self.tiles)
        return buffered and long and max(lengths) <= 1 << arch.dim_bits and max(skips) < 1 << SKIP_BITS

    def cycles(self, arch: Arch, blocks: int) -> int:
        """About how long it takes."""
        per_block = [
            max(tile.passes * tile.raster, arch.lane_cycles * tile.rows.count * tile.columns.count)
            for tile in self.tiles
        ]
        return blocks * sum(per_block) + sum(tile.lag + timing.FETCH_LATENCY for tile in self.tiles)


def _tile(layer: _Layer, arch: Arch, tap_rows: int, line: bool, rows: Span, columns: Span) -> _Tile:
    along = arch.taps if line else arch.tap_cols
    return _Tile(
        rows=rows,
        columns=columns,
        down=plan_axis(layer.axis(0, rows), tap_rows),
        # the masks are a column's and a row's, not a tap's
        across=plan_axis(layer.axis(1, columns), along, masked=not line),
    )


def _scheme(layer: _Layer, arch: Arch, tap_rows: int, line: bool) -> _Scheme:
    """The layer in as few tiles as the accumulators allow; a single pass needs none where they are not buffered."""
    high, wide = layer.target.sizes
    whole = _tile(layer, arch, tap_rows, line, Span(0, high), Span(0, wide))
    pixels, limit = tile_pixels(arch, whole.passes), 1 << arch.dim_bits
    spans = [
        (rows, columns)
        for columns in split_evenly(Span(0, wide), min(pixels, limit))
        for rows in split_evenly(Span(0, high), min(pixels // columns.count, limit))
    ]
    tiles = tuple(_tile(layer, arch, tap_rows, line, *part) for part in spans)
    return _Scheme(layer=layer, tap_rows=tap_rows, line=line, tiles=tiles)


def _schemes(layer: _Layer, arch: Arch) -> Iterator[_Scheme]:
    """All ways to do a layer; an image of one column is a line turned."""
    views = [layer, layer.turned()] if layer.source.sizes[1] == layer.kernel[1] == 1 else [layer]
    for view in views:
        for tap_rows in range(1, arch.tap_rows + 1):
            yield _scheme(view, arch, tap_rows, line=False)
        if view.kernel[0] == 1 and arch.tap_rows > 1:
            yield _scheme(view, arch, 1, line=True)


def _layer(node: Node, ctx: Context, weight: Ints) -> _Layer:
    def image(name: str) -> _Image:
        layout = ctx.layouts[name]
        return _Image(sizes=(layout.height, layout.width), pitches=(layout.row_pitch, layout.channel_pitch))

    residual = residual_of(node)
    top, left, _, _ = node.attributes["pads"]
    return _Layer(
        source=image(node.inputs[0]),
        target=image(node.outputs[0]),
        residual=image(residual) if residual is not None else None,
        kernel=tuple(node.attributes["kernel"]),
        strides=tuple(node.attributes["strides"]),
        pads=(top, left),
        weight=weight[:, 0],
    )


def _suits(node: Node, arch: Arch, weight: Ints) -> bool:
    """Whether a convolution is depthwise, and within what the feed is made for."""
    outputs, inputs, high, wide = weight.shape
    dense = all(
        size == 1 or dilation == 1 for size, dilation in zip((high, wide), node.attributes["dilations"], strict=True)
    )
    return arch.depthwise and inputs == 1 and node.attributes["group"] == outputs > 1 and dense


def _weights(scheme: _Scheme, tile: _Tile, arch: Arch, blocks: int) -> Ints:
    """Consumption order, (blocks * passes, rows, cols)."""
    channels = len(scheme.layer.weight)
    kernel = np.zeros((blocks * arch.cols, *scheme.layer.weight.shape[1:]), dtype=np.int64)
    kernel[:channels] = scheme.layer.weight
    placed = np.zeros((blocks, tile.down.groups, tile.across.groups, arch.rows, arch.cols), dtype=np.int64)
    columns = 0 if scheme.line else arch.tap_cols
    for (group_y, slots_y), (group_x, slots_x) in _groups(tile):
        for slot_y, tap_y in enumerate(slots_y, arch.tap_rows - scheme.tap_rows if not scheme.line else 0):
            for slot_x, tap_x in enumerate(slots_x):
                if tap_y >= 0 and tap_x >= 0:
                    own = kernel[:, tap_y, tap_x].reshape(blocks, arch.cols)
                    placed[:, group_y, group_x, slot_y * columns + slot_x] = own
    return placed.reshape(-1, arch.rows, arch.cols)


def _groups(tile: _Tile) -> Iterator[tuple[tuple[int, tuple[int, ...]], tuple[int, tuple[int, ...]]]]:
    """Groups of taps of both axes, numbered."""
    for down in enumerate(tile.down.taps):
        for across in enumerate(tile.across.taps):
            yield down, across


def _stride(plan: AxisPlan) -> int:
    """Pixels from a group's raster to the next one's."""
    return plan.starts[1] - plan.starts[0] if plan.groups > 1 else 0


def _nest(scheme: _Scheme, tile: _Tile, arch: Arch, blocks: int) -> list[Stride]:
    row, pixel = scheme.layer.source.pitches
    return [
        Stride(tile.across.length, col=tile.across.step * pixel),
        Stride(tile.down.length, row=tile.down.step * row),
        Stride(tile.across.groups, col=_stride(tile.across) * pixel),
        Stride(),
        Stride(tile.down.groups, row=_stride(tile.down) * row),
        Stride(blocks, col=arch.cols),
    ]


def _walk(base: int, image: _Image, tile: _Tile, blocks: int, cols: int) -> Walk:
    row, pixel = image.pitches
    first = base + tile.rows.start * row + tile.columns.start * pixel
    return make_walk(first, (tile.columns.count, pixel), (tile.rows.count, row), (blocks, cols))


def _raster_fields(scheme: _Scheme, tile: _Tile, arch: Arch) -> dict[str, Any]:
    """What tells the output pixels of a tile's rasters."""
    line_last = arch.tap_cols if scheme.line else tile.across.length
    unused = arch.tap_rows - scheme.tap_rows
    return {
        "lag": tile.lag,
        "line_last": min(line_last, arch.line_depth) - 1 if arch.tap_rows > 1 else 0,
        "last_x": tile.across.last,
        "last_y": tile.down.last,
        "skip_x": tile.across.skip,
        "skip_y": tile.down.skip,
        "mask_x": 0 if scheme.line else tile.across.masks,
        "mask_y": 0 if scheme.line else _widened(tile.down.masks, scheme.tap_rows, unused),
    }


def _widened(masks: int, slots: int, unused: int) -> int:
    """A mask table of ``slots`` bits a place with ``unused`` slots before each place's."""
    table = 0
    for place in range(4):
        part = masks >> (place * slots) & ((1 << slots) - 1)
        table |= part << (place * (slots + unused) + unused)
    return table


def _descriptor(node: Node, ctx: Context, scheme: _Scheme, tile: _Tile, blocks: int) -> Descriptor:
    layer, source, residual = scheme.layer, node.inputs[0], residual_of(node)
    row, pixel = layer.source.pitches
    walk = (tile, blocks, ctx.arch.cols)
    operand = Walk()
    if residual is not None and layer.residual is not None:
        operand = _walk(ctx.bases[residual], layer.residual, *walk)
    return Descriptor(
        op=Op.MATRIX,
        depthwise=True,
        base=ctx.bases[source],
        fill=ctx.qparams(source).zero_point,
        row_start=tile.down.starts[0] * row,
        col_start=tile.across.starts[0] * pixel,
        plane=layer.source.sizes[0] * row,
        row_len=layer.source.sizes[1] * pixel,
        loops=make_loops(_nest(scheme, tile, ctx.arch, blocks)),
        out=_walk(ctx.bases[node.outputs[0]], layer.target, *walk),
        res=operand,
        work=layer.weight.size,
        **_raster_fields(scheme, tile, ctx.arch),
        **lane_fields(node, ctx, node.attributes["lo"], node.attributes["hi"]),
    )


def plan_depthwise(node: Node, ctx: Context) -> LayerPlan | None:
    """A depthwise QConv as depthwise MATRIX descriptors; None for what is not one, or not one for the feed.

    Raises:
        QuantisationError: a weight, a factor or a sum does not fit the architecture's widths.
    """
    arch, weight = ctx.arch, checked_weight(node, ctx)
    if not _suits(node, arch, weight) or ctx.layouts[node.inputs[0]].block != (1, 1):
        return None
    blocks = -(-len(weight) // arch.cols)
    schemes = [one for one in _schemes(_layer(node, ctx, weight), arch) if one.legal(arch)]
    if not schemes:
        return None
    scheme = min(schemes, key=lambda one: one.cycles(arch, blocks))
    bias, factor = corrected_bias(node, ctx, weight), ctx.graph.constant(node.attributes["factor"])
    steps = [
        Step(_descriptor(node, ctx, scheme, tile, blocks), weights=number) for number, tile in enumerate(scheme.tiles)
    ]
    high, wide = scheme.layer.target.sizes
    return LayerPlan(
        node,
        tuple(steps),
        (lane_table(node, ctx, bias, factor, arch.cols),),
        tuple(_weights(scheme, tile, arch, blocks) for tile in scheme.tiles),
        high * wide * weight.size,
    )
