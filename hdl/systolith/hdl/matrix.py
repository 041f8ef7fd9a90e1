# SPDX-License-Identifier: Apache-2.0
"""The array with its skews: whole windows and weight rows in, whole vectors of partial sums out."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.array import Array
from systolith.hdl.cell import RowPayload
from systolith.hdl.depthwise import DepthwiseFeed
from systolith.hdl.outline import outlined
from systolith.hdl.payload import Tag, WeightPayload, WindowPayload, flow
from systolith.hdl.skew import Skew, delayed
from systolith.hdl.target import Target
from systolith.spec.arch import Arch, clog2
from systolith.spec.timing import matrix_latency

__all__ = ["TAG_LEAD", "Matrix"]


TAG_LEAD = 2
"""Cycles by which a window's tag leaves before its sums, for who has to read a memory first."""


class Matrix(wiring.Component):
    """``psums[c] = sum over r of windows.data[r] * weight[r][c]``, each window
    :func:`~systolith.spec.timing.matrix_latency` cycles later.

    A window whose tag says ``start`` is the first to meet the weights loaded since the previous such window. Row
    group r of the next pass's weights may come from r cycles after a ``start`` window on, and must come before the
    next one.

    Where the window is a pixel of a raster, the rows of the depthwise feed meet the taps that it gathers, and only
    windows that complete an output pixel have sums (:mod:`systolith.spec.isa`).

    Members: ``windows`` (In), ``coming``, ``line_last`` (In, as :class:`~systolith.hdl.depthwise.DepthwiseFeed`),
    ``weights`` (In), ``tags`` (Out, TAG_LEAD cycles before the sums), valid-only streams;
    ``psums`` (Out, an array of ``cols``).
    """

    def __init__(self, *, arch: Arch, target: Target = Target.GENERIC) -> None:
        """Build for the sizes of ``arch``."""
        self._arch = arch
        self._target = target
        self._groups = arch.rows // arch.psum_spacing
        super().__init__(
            {
                "windows": In(flow(WindowPayload(arch))),
                "coming": In(1),
                "line_last": In(clog2(arch.line_depth)),
                "weights": In(flow(WeightPayload(arch))),
                "tags": Out(flow(Tag)),
                "psums": Out(data.ArrayLayout(signed(arch.psum_bits), arch.cols)),
            }
        )

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.array = array = Array(arch=self._arch, target=self._target)
        self._feed_rows(m, array)
        self._feed_columns(m, array)
        if self._arch.depthwise:
            self._feed_taps(m, array)
        self._collect(m, array)
        self._delay_tag(m)
        return m

    def _feed_rows(self, m: Module, array: Array) -> None:
        """Activations and swap, one row group a cycle later than the one above; load flags as they come."""
        arch, window = self._arch, self.windows.payload
        feed = RowPayload(arch)
        m.submodules.row_skew = skew = Skew(shape=feed, delays=range(self._groups))
        flags = arch.psum_spacing // arch.weight_rows
        for group in range(self._groups):
            rows = range(group * arch.psum_spacing, (group + 1) * arch.psum_spacing)
            selected = [
                self.weights.valid & (self.weights.payload.row == group * flags + flag) for flag in range(flags)
            ]
            m.d.comb += [
                skew.items[group].acts.eq(Cat(window.data[row] for row in rows)),
                skew.items[group].swap.eq(self.windows.valid & window.tag.start),
                skew.items[group].depthwise.eq(window.dw.depthwise if arch.depthwise else 0),
                array.west[group].depthwise.eq(skew.skewed[group].depthwise),
                array.west[group].acts.eq(skew.skewed[group].acts),
                array.west[group].swap.eq(skew.skewed[group].swap),
                array.west[group].load.eq(Cat(selected)),
            ]

    def _feed_columns(self, m: Module, array: Array) -> None:
        """Weights, one column a cycle later than the one to its left."""
        arch = self._arch
        column = data.ArrayLayout(signed(arch.weight_bits), arch.weight_rows)
        m.submodules.weight_skew = skew = Skew(shape=column, delays=range(arch.cols))
        for index in range(arch.cols):
            rows = [self.weights.payload.data[row][index] for row in range(arch.weight_rows)]
            m.d.comb += [skew.items[index].eq(Cat(rows)), array.weights[index].eq(skew.skewed[index])]

    def _feed_taps(self, m: Module, array: Array) -> None:
        """The pixels of rasters, each column's for itself."""
        m.submodules.depthwise = feed = DepthwiseFeed(arch=self._arch)
        m.d.comb += [
            feed.windows.payload.eq(self.windows.payload),
            feed.windows.valid.eq(self.windows.valid),
            feed.coming.eq(self.coming),
            feed.line_last.eq(self.line_last),
            array.taps.eq(feed.taps),
        ]

    def _collect(self, m: Module, array: Array) -> None:
        """Sums, aligned with the last column's."""
        cols = self._arch.cols
        m.submodules.sum_skew = skew = Skew(shape=signed(self._arch.psum_bits), delays=range(cols - 1, -1, -1))
        m.d.comb += [skew.items.eq(array.psums), self.psums.eq(skew.skewed)]

    def _delay_tag(self, m: Module) -> None:
        """The tag and its valid bit, ahead of the data."""
        cycles = matrix_latency(self._arch) - TAG_LEAD
        valid: Any = self.windows.valid
        if self._arch.depthwise:
            valid = valid & self.windows.payload.dw.emit
        for step in range(1, cycles + 1):
            register = Signal(name=f"valid_{step}")
            m.d.sync += register.eq(valid)
            valid = register
        m.d.comb += [
            self.tags.valid.eq(valid),
            self.tags.payload.eq(delayed(m, self.windows.payload.tag, Tag, cycles, "tag")),
        ]
