# SPDX-License-Identifier: Apache-2.0
"""The accumulators: one C-vector per output pixel of a tile, read, added to and written every cycle."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.matrix import PsumPayload
from systolith.hdl.outline import outlined
from systolith.hdl.payload import SumPayload, Tag, flow
from systolith.spec.arch import Arch, clog2

__all__ = ["Accumulator"]


class Accumulator(wiring.Component):
    """Adds up the passes of a block, pixel by pixel.

    The pixel's number counts the vectors from the one tagged ``start`` on. A vector tagged ``first`` begins its
    pixel's sum; one tagged ``last`` is added and leaves at ``sums``,
    :data:`systolith.spec.timing.ACCUMULATOR_LATENCY` cycles later, instead of being written back. Vectors may come
    with any gaps, but a pixel's next vector must be :data:`systolith.spec.timing.MIN_PASS` cycles after the present
    one or later.

    Members: ``psums`` (In), ``sums`` (Out), valid-only streams.
    """

    def __init__(self, *, arch: Arch) -> None:
        """Build for the sizes of ``arch``."""
        self._arch = arch
        super().__init__({"psums": In(flow(PsumPayload(arch))), "sums": Out(flow(SumPayload(arch)))})

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        arch, psum = self._arch, self.psums.payload
        m.submodules.memory = store = memory.Memory(
            shape=unsigned(arch.cols * arch.acc_bits), depth=arch.acc_depth, init=[]
        )
        read, write = store.read_port(), store.write_port()
        vector = data.ArrayLayout(signed(arch.acc_bits), arch.cols)

        # cycle 0: number the pixel, read it
        count = Signal(clog2(arch.acc_depth))
        pixel = Signal.like(count)
        m.d.comb += [pixel.eq(Mux(psum.tag.start, 0, count)), read.addr.eq(pixel), read.en.eq(self.psums.valid)]
        with m.If(self.psums.valid):
            m.d.sync += count.eq(pixel + 1)

        # cycle 1: add
        adding, tag = Signal(), Signal(Tag, reset_less=True)
        pixel_1, pixel_2 = (Signal.like(count, name=f"pixel_{step}", reset_less=True) for step in (1, 2))
        addend = Signal.like(psum.data, name="addend", reset_less=True)
        sums = Signal(vector, reset_less=True)
        m.d.sync += [adding.eq(self.psums.valid), tag.eq(psum.tag), addend.eq(psum.data)]
        m.d.sync += [pixel_1.eq(pixel), pixel_2.eq(pixel_1)]
        stored = data.View(vector, read.data)
        for column in range(arch.cols):
            base = Mux(tag.first, 0, stored[column])
            m.d.sync += sums[column].eq(base + addend[column])

        # cycle 2: write, or let go
        writing, leaving = Signal(), Signal()
        advance = Signal.like(tag.advance, name="advance", reset_less=True)
        m.d.sync += [writing.eq(adding & ~tag.last), leaving.eq(adding & tag.last), advance.eq(tag.advance)]
        m.d.comb += [
            write.en.eq(writing),
            write.addr.eq(pixel_2),
            write.data.eq(Cat(sums)),
            self.sums.valid.eq(leaving),
            self.sums.payload.vector.eq(0),
            self.sums.payload.advance.eq(advance),
            self.sums.payload.data.eq(sums),
        ]
        return m
