# SPDX-License-Identifier: Apache-2.0
"""How a convolution's reduction (taps x input channels) is cut into passes of R rows.

The elements that meet one output pixel are contiguous in memory within a tap, within a kernel row as far as the other
channels and the columns skipped by a dilation do not matter (their weights are zero), and within the whole kernel where
it is as wide as the tensor. Each of the three is a legal cut; the one with the fewest passes is taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .layout import Layout
from .nest import Stride
from .plan import Ints

__all__ = ["Geometry", "Reduction", "plan_reduction"]


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """A convolution's shape: input layout, kernel (y, x), strides, pads (top, left, bottom, right), dilations."""

    source: Layout
    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilations: tuple[int, int]

    @property
    def covers_rows(self) -> bool:
        """Each kernel row reads exactly one whole row of the tensor, and the kernel rows are neighbours."""
        full = self.kernel[1] == self.source.width and self.pads[1] == self.pads[3] == 0
        return (
            full and (self.dilations[1] == 1 or self.kernel[1] == 1) and (self.dilations[0] == 1 or self.kernel[0] == 1)
        )


@dataclass(frozen=True)
class Reduction:
    """Loops 2, 3 and 4 of a MATRIX descriptor, and where each weight goes.

    ``index`` (kernel y, kernel x, channel) is the position of a weight in the reduction: pass times R plus row.
    """

    loops: tuple[Stride, Stride, Stride]
    index: Ints
    flat: bool = False
    """The tensor is read as one long row."""

    @property
    def passes(self) -> int:
        """Passes of one channel block."""
        return int(np.prod([loop.count for loop in self.loops]))


def _positions(geometry: Geometry, span: int) -> tuple[Ints, Ints, Ints]:
    ky, kx = (np.arange(size) for size in geometry.kernel)
    return ky[:, None, None], kx[None, :, None], np.arange(span)[None, None, :]


def _blocks(length: int, rows: int) -> int:
    return -(-length // rows)


def _run(length: int, rows: int, limit: int) -> tuple[Stride, Stride]:
    """Loops 2 and 3 over a run of elements; both where one loop cannot count so far (the last passes may be empty)."""
    count = _blocks(length, rows)
    outer = _blocks(count, limit)
    inner = _blocks(count, outer)
    return Stride(inner, col=rows), Stride(outer, col=inner * rows if outer > 1 else 0)


def _by_tap(geometry: Geometry, span: int, rows: int) -> Reduction:
    """One run of ``span`` channels a tap."""
    ky, kx, channel = _positions(geometry, span)
    (high, wide), (dy, dx), source = geometry.kernel, geometry.dilations, geometry.source
    count = _blocks(span, rows)
    taps = Stride(wide, col=dx * source.channel_pitch)
    loops = (Stride(count, col=rows), taps, Stride(high, row=dy * source.row_pitch))
    return Reduction(loops, (ky * wide + kx) * count * rows + channel)


def _by_row(geometry: Geometry, span: int, rows: int, limit: int) -> Reduction:
    """One run a kernel row."""
    ky, kx, channel = _positions(geometry, span)
    (high, wide), (dy, dx), source = geometry.kernel, geometry.dilations, geometry.source
    inner, outer = _run((wide - 1) * dx * source.channel_pitch + span, rows, limit)
    loops = (inner, outer, Stride(high, row=dy * source.row_pitch))
    return Reduction(loops, ky * inner.count * outer.count * rows + kx * dx * source.channel_pitch + channel)


def _whole(geometry: Geometry, span: int, rows: int, limit: int) -> Reduction:
    """One run for the whole kernel."""
    ky, kx, channel = _positions(geometry, span)
    source = geometry.source
    index = ky * source.row_pitch + kx * source.channel_pitch + channel
    return Reduction((*_run(int(index.max()) + 1, rows, limit), Stride()), index, flat=True)


def plan_reduction(geometry: Geometry, span: int, rows: int, limit: int) -> Reduction:
    """The cut with the fewest passes for ``span`` neighbouring channels on an array of ``rows`` rows.

    ``limit`` is the most a hardware loop can count.
    """
    cuts = [_by_row(geometry, span, rows, limit), _by_tap(geometry, span, rows)]
    if geometry.covers_rows:
        cuts.insert(0, _whole(geometry, span, rows, limit))
    # a cut that the loops cannot count is taken only if there is no other; encoding then refuses it
    return min(cuts, key=lambda cut: (max(loop.count for loop in cut.loops) > limit, cut.passes))
