# SPDX-License-Identifier: Apache-2.0
"""The convolution that the array computes, which on packed tensors has another shape than the network's.

What it is follows from the layouts alone. Where ``u`` output pixels lie side by side in whole vectors of C channels,
they are computed as channels of one pixel: a convolution of ``u`` times the stride whose kernel is shifted from pixel
to pixel (a Toeplitz matrix). Where the input lies in blocks, a block is one pixel of many channels, and the kernel is
cut along the same blocks (space to depth). Where the input lies by columns, x and y change places. All missing weights
are zero, so that what the windows meet there does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import numpy as np

from systolith.spec.arch import Arch

from .ir import Node
from .layout import Layout
from .nest import Span
from .plan import Context, Ints, LaneTable
from .reduction import Geometry

__all__ = ["Packing", "pack", "unrolled"]


def unrolled(target: Layout, arch: Arch) -> int:
    """How many neighbouring pixels of a layout make whole vectors of C elements."""
    return arch.cols // gcd(target.channel_pitch, arch.cols)


@dataclass(frozen=True)
class _Axis:
    """One axis of the packed convolution, and where the network's kernel went.

    Tap ``k`` of output pixel ``q`` among those unrolled is at ``tap[q, k]``, in element ``inner[q, k]`` of a block.
    """

    kernel: int
    stride: int
    before: int
    after: int
    dilation: int
    tap: Ints
    inner: Ints


def _axis(node: Node, axis: int, block: int, unroll: int, extent: int, outputs: int) -> _Axis:
    """Pack axis ``axis`` (0: y, 1: x); ``extent`` and ``outputs`` are those of the packed tensors."""
    names = ("kernel", "strides", "pads", "dilations")
    kernel, stride, before, dilation = (node.attributes[name][axis] for name in names)
    taps, ahead, spread = np.arange(kernel)[None, :], before, dilation
    inner = np.zeros_like(taps)
    if block * unroll > 1:
        offset = np.arange(unroll)[:, None] * stride + taps * dilation - before
        ahead, spread, inner = -(-before // block), 1, offset % block
        taps = offset // block + ahead
    step, size = stride * unroll // block, int(taps.max()) + 1
    after = max(0, (outputs - 1) * step + (size - 1) * spread + 1 - ahead - extent)
    return _Axis(size, step, ahead, after, spread, taps, inner)


@dataclass(frozen=True, kw_only=True)
class Packing:
    """A QConv in the shape that the array computes."""

    geometry: Geometry
    outputs: int
    """Output channels of all unrolled pixels, those included that pad a pixel's channels to the pitch."""
    inputs: int
    """Input channels of a group."""
    group: int
    channels: int
    """Output channels of the network."""
    taps: int
    """Products of one of the network's outputs."""
    width: int
    """Output pixels in x in the network."""
    unroll: int
    block: tuple[int, int]
    by_columns: bool
    axes: tuple[_Axis, _Axis]

    @property
    def slots(self) -> int:
        """Output channels of one of the unrolled pixels, padding included."""
        return self.outputs // self.unroll

    def stored(self, layout: Layout) -> Layout:
        """A tensor in the order of the outputs as the stores see it."""
        packed = Layout(
            layout.height,
            -(-layout.width // self.unroll),
            self.outputs,
            layout.channel_pitch * self.unroll,
            layout.row_pitch,
        )
        return packed.transposed if self.by_columns else packed

    def weight(self, weight: Ints) -> Ints:
        """The network's weights (O, I, ky, kx) in the packed shape (outputs, inputs, ky, kx)."""
        down, across = self.axes
        channels, inputs = weight.shape[:2]
        placed: Ints = np.zeros(
            (self.unroll, *self.block, down.kernel, across.kernel, self.slots, inputs), dtype=np.int64
        )
        pixel = np.arange(self.unroll)[:, None, None]
        where = (down.inner[:, :, None], across.inner[:, None, :], down.tap[:, :, None], across.tap[:, None, :])
        placed[pixel, *where, :channels] = weight.transpose(2, 3, 0, 1)
        shape = (self.outputs, self.inputs, down.kernel, across.kernel)
        packed = placed.transpose(0, 5, 1, 2, 6, 3, 4).reshape(shape)
        return packed.transpose(0, 1, 3, 2) if self.by_columns else packed

    def table(self, table: LaneTable, cols: int) -> LaneTable:
        """A lane table of the network's channels repeated for each unrolled pixel, in whole vectors."""
        rest = -self.outputs % cols
        parts = (
            np.pad(np.tile(np.pad(part, (0, self.slots - self.channels)), self.unroll), (0, rest))
            for part in (table.bias, table.multiplier, table.shift)
        )
        return LaneTable(*parts)

    def work(self, channels: Span, rows: Span, columns: Span) -> int:
        """Useful MACs an output pixel of a tile that lies in one of the :meth:`areas`."""
        across = rows if self.by_columns else columns
        pixel, channel = np.divmod(np.arange(channels.start, min(channels.stop, self.outputs)), self.slots)
        useful = (across.start * self.unroll + pixel < self.width) & (channel < self.channels)
        return self.taps * int(np.count_nonzero(useful))

    def areas(self, target: Layout) -> list[tuple[Span, Span]]:
        """Rows and columns of the stored outputs: those of full vectors, and the rest of each of the network's rows."""
        full, rest = divmod(self.width, self.unroll)
        across = [Span(0, full)] * (full > 0) + [Span(full, full + 1)] * (rest > 0)
        if self.by_columns:
            return [(span, Span(0, target.width)) for span in across]
        return [(Span(0, target.height), span) for span in across]


def _geometry(node: Node, source: Layout, down: _Axis, across: _Axis) -> Geometry:
    """The packed convolution's shape; ``source`` has no blocks."""
    y, x = (across, down) if source.by_columns else (down, across)
    return Geometry(
        source=source.transposed if source.by_columns else source,
        kernel=(y.kernel, x.kernel),
        strides=(y.stride, x.stride),
        pads=(y.before, x.before, y.after, x.after),
        dilations=(y.dilation, x.dilation),
    )


def pack(node: Node, ctx: Context) -> Packing:
    """The shape in which the array computes a QConv, for the layouts of its tensors."""
    outer, target = ctx.layouts[node.inputs[0]], ctx.layouts[node.outputs[0]]
    source, unroll = outer.blocks, unrolled(target, ctx.arch)
    outputs, inputs, high, wide = ctx.graph.constant(node.attributes["weight"]).shape
    down = _axis(node, 0, outer.block[0], 1, source.height, target.height)
    across = _axis(node, 1, outer.block[1], unroll, source.width, -(-target.width // unroll))
    return Packing(
        geometry=_geometry(node, source, down, across),
        outputs=outputs if unroll == 1 else unroll * target.channel_pitch,
        inputs=inputs * outer.block[0] * outer.block[1],
        group=node.attributes["group"],
        channels=outputs,
        taps=inputs * high * wide,
        width=target.width,
        unroll=unroll,
        block=outer.block,
        by_columns=source.by_columns,
        axes=(down, across),
    )
