# SPDX-License-Identifier: Apache-2.0
"""The depthwise feed: from the pixels of a raster to the operands of each column's own convolution.

A raster comes as one C-vector a window. Line buffers add the same place of the rows above, so that a pixel is read from
the activation memory once for all kernel rows of a pass; and in each column the pixels before it wait in a few
registers, so that the first rows of the array meet ``tap_rows`` x ``tap_cols`` taps in every cycle. As the array wants
its operands, column c gets them c cycles later, and a row group one cycle later than the group above.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.outline import outlined
from systolith.hdl.payload import WindowPayload, flow
from systolith.hdl.ram import Ram
from systolith.hdl.skew import Skew, delayed
from systolith.spec.arch import Arch, clog2
from systolith.spec.timing import LINE_LATENCY

__all__ = ["DepthwiseFeed", "LineBuffers", "TapColumn", "TapControl"]


class LineBuffers(wiring.Component):
    """Holds pixels back by one to ``tap_rows - 1`` raster rows of ``line_last + 1`` pixels, more than LINE_LATENCY.

    One memory serves them all: its line is the same place of the rows above, and is written back one row further on. It
    is read LINE_LATENCY cycles ahead: it answers late in its cycle, and a register lies behind it.

    Members: ``coming`` (In): in LINE_LATENCY cycles ``pixel`` (In, C elements) has a pixel; ``above`` (Out): then, the
    same place of the rows above, the oldest row first; ``line_last`` (In, stable from the cycle before a raster's first
    ``coming`` until its last).
    """

    def __init__(self, *, arch: Arch) -> None:
        """Build; raises ValueError for an array that has no use for it."""
        if arch.tap_rows < 2:
            raise ValueError(f"line buffers need an array of 6 rows or more, got {arch.rows}")
        self._arch = arch
        pixel = data.ArrayLayout(signed(arch.act_bits), arch.cols)
        super().__init__(
            {
                "line_last": In(clog2(arch.line_depth)),
                "coming": In(1),
                "pixel": In(pixel),
                "above": Out(data.ArrayLayout(pixel, arch.tap_rows - 1)),
            }
        )

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.ram = ram = Ram(bits=len(self.above.as_value()), depth=self._arch.line_depth)
        place, read, come = Signal(len(ram.read_addr)), Signal(), Signal()
        with m.If(self.coming):
            m.d.sync += place.eq(Mux(place == self.line_last, 0, place + 1))
        with m.Elif(place > self.line_last):
            # the rows to come are shorter than those before, and their first pixel must be found again
            m.d.sync += place.eq(0)
        above = Signal.like(self.above, name="answer", reset_less=True)
        m.d.sync += [read.eq(self.coming), come.eq(read)]
        with m.If(read):
            m.d.sync += above.eq(ram.read_data)
        m.d.comb += [
            # always, so that the register can be the block RAM's own
            ram.read_en.eq(1),
            ram.read_addr.eq(place),
            self.above.eq(above),
            ram.write_en.eq(come),
            ram.write_addr.eq(delayed(m, place, len(place), LINE_LATENCY, "written")),
            ram.write_data.eq(Cat(self.above, self.pixel)[len(self.pixel.as_value()) :]),
        ]
        return m


class TapControl(data.StructLayout):
    """What goes from column to column: a pixel comes (``valid``), masked tap columns and rows, what they read."""

    def __init__(self, arch: Arch) -> None:
        """Take the taps of ``arch``."""
        masks = {"mask_x": arch.tap_cols, "mask_y": arch.tap_rows}
        super().__init__({"valid": 1, **masks, "fill": signed(arch.act_bits)})


class TapColumn(wiring.Component):
    """One column: the last pixels of each raster row, masked.

    Members: ``control`` (In), ``pixels`` (In, one a tap row, the oldest row first), ``taps`` (Out, tap row by tap row,
    the oldest pixel first). A tap of the array's row group g comes g cycles after its pixel.
    """

    def __init__(self, *, arch: Arch) -> None:
        """Build for the taps of ``arch``."""
        self._arch = arch
        element = signed(arch.act_bits)
        super().__init__(
            {
                "control": In(TapControl(arch)),
                "pixels": In(data.ArrayLayout(element, arch.tap_rows)),
                "taps": Out(data.ArrayLayout(element, arch.taps)),
            }
        )

    @property
    def identity(self) -> tuple[object, ...]:
        """Equal for components that are the same hardware."""
        return (TapColumn, self._arch)

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        for row in range(self._arch.tap_rows):
            for column, pixel in enumerate(self._last_pixels(m, row)):
                self._tap(m, row, column, pixel)
        return m

    def _last_pixels(self, m: Module, row: int) -> list[Value]:
        """The pixels of a tap row, the oldest first."""
        pixels: list[Value] = [self.pixels[row]]
        for age in range(1, self._arch.tap_cols):
            held = Signal(signed(self._arch.act_bits), name=f"row{row}_{age}_ago", reset_less=True)
            with m.If(self.control.valid):
                m.d.sync += held.eq(pixels[0])
            pixels.insert(0, held)
        return pixels

    def _tap(self, m: Module, row: int, column: int, pixel: Value) -> None:
        arch, control = self._arch, self.control
        tap = row * arch.tap_cols + column
        masked = control.mask_x[column] | control.mask_y[row]
        operand = Mux(masked, control.fill, pixel)
        group = tap // arch.psum_spacing
        m.d.comb += self.taps[tap].eq(delayed(m, operand, signed(arch.act_bits), group, f"tap{tap}"))


class DepthwiseFeed(wiring.Component):
    """Gathers taps from the windows that are pixels of rasters; others pass it by.

    Members: ``windows`` (In, valid-only stream); ``coming`` (In): in LINE_LATENCY cycles it has a pixel of a raster;
    ``line_last`` (In, as :class:`LineBuffers`); ``taps`` (Out, an array of columns of the taps of
    :class:`TapColumn`, c cycles after the window that completes them).
    """

    def __init__(self, *, arch: Arch) -> None:
        """Build for the sizes of ``arch``."""
        self._arch = arch
        taps = data.ArrayLayout(signed(arch.act_bits), arch.taps)
        super().__init__(
            {
                "windows": In(flow(WindowPayload(arch))),
                "coming": In(1),
                "line_last": In(clog2(arch.line_depth)),
                "taps": Out(data.ArrayLayout(taps, arch.cols)),
            }
        )

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        arch = self._arch
        rows = [*self._rows_above(m), self._pixel]
        shape = data.ArrayLayout(signed(arch.act_bits), arch.tap_rows)
        m.submodules.skew = skew = Skew(shape=shape, delays=range(arch.cols))
        control: Any = self._control(m)
        for column in range(arch.cols):
            m.submodules[f"column{column}"] = taps = TapColumn(arch=arch)
            control = delayed(m, control, TapControl(arch), 1, f"control{column}") if column else control
            m.d.comb += [
                skew.items[column].eq(Cat(row[column] for row in rows)),
                taps.pixels.eq(skew.skewed[column]),
                taps.control.eq(control),
                self.taps[column].eq(taps.taps),
            ]
        return m

    @property
    def _pixel(self) -> list[Value]:
        return [self.windows.payload.data[column] for column in range(self._arch.cols)]

    def _rows_above(self, m: Module) -> list[Any]:
        if self._arch.tap_rows < 2:
            return []
        m.submodules.lines = lines = LineBuffers(arch=self._arch)
        m.d.comb += [
            lines.line_last.eq(self.line_last),
            lines.coming.eq(self.coming),
            lines.pixel.eq(Cat(self._pixel)),
        ]
        return [lines.above[row] for row in range(self._arch.tap_rows - 1)]

    def _control(self, m: Module) -> Any:
        control, window = Signal(TapControl(self._arch), name="control"), self.windows.payload
        m.d.comb += [
            control.valid.eq(self.windows.valid & window.dw.depthwise),
            control.mask_x.eq(window.dw.mask_x),
            control.mask_y.eq(window.dw.mask_y),
            control.fill.eq(window.fill),
        ]
        return control
