# SPDX-License-Identifier: Apache-2.0
"""The accumulators: one C-vector per output pixel of a tile, read, added to and written every cycle."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.outline import outlined
from systolith.hdl.payload import SumPayload, Tag, flow
from systolith.hdl.ram import Ram
from systolith.hdl.skew import delayed
from systolith.spec.arch import Arch, clog2

__all__ = ["Accumulator"]


class Accumulator(wiring.Component):
    """Adds up the passes of a block, pixel by pixel.

    The pixel's number counts the vectors from the one tagged ``start`` on. A vector tagged ``first`` begins its
    pixel's sum; one tagged ``last`` is added and leaves at ``sums`` instead of being written back,
    :data:`~systolith.spec.timing.ACCUMULATOR_LATENCY` cycles after it came. Vectors may come with any gaps, but a
    pixel's next vector must be :data:`~systolith.spec.timing.MIN_PASS` cycles after the present one or later.

    Members: ``tags`` (In, valid-only stream, :data:`~systolith.hdl.matrix.TAG_LEAD` cycles before their vectors),
    ``psums`` (In, array of ``cols``), ``sums`` (Out, valid-only stream).
    """

    def __init__(self, *, arch: Arch) -> None:
        """Build for the sizes of ``arch``."""
        self._arch = arch
        psums = data.ArrayLayout(signed(arch.psum_bits), arch.cols)
        super().__init__({"tags": In(flow(Tag)), "psums": In(psums), "sums": Out(flow(SumPayload(arch)))})

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        arch, result = self._arch, self.sums.payload
        m.submodules.ram = ram = Ram(bits=arch.cols * arch.acc_bits, depth=arch.acc_depth)
        vector = data.ArrayLayout(signed(arch.acc_bits), arch.cols)
        sums = Signal(vector, reset_less=True)
        tag = delayed(m, self.tags.payload, Tag, 3, "tag")
        valid = self._delay_valid(m)

        base = self._read(m, ram, vector)
        for column in range(arch.cols):
            m.d.sync += sums[column].eq(base[column] + self.psums[column])

        m.d.comb += [
            ram.write_en.eq(valid & ~tag.last),
            ram.write_addr.eq(self._count(m, "write", valid, tag.start)),
            ram.write_data.eq(Value.cast(sums)),
            self.sums.valid.eq(valid & tag.last),
            result.vector.eq(0),
            result.advance.eq(tag.advance),
            result.data.eq(sums),
        ]
        return m

    def _read(self, m: Module, ram: Ram, vector: data.ArrayLayout) -> Any:
        """The sums so far when their vector comes: read, then register them, or zero to begin with."""
        first = Signal(reset_less=True)
        base = Signal(vector, reset_less=True)
        m.d.comb += [
            ram.read_en.eq(self.tags.valid),
            ram.read_addr.eq(self._count(m, "read", self.tags.valid, self.tags.payload.start)),
        ]
        m.d.sync += [first.eq(self.tags.payload.first), base.eq(Mux(first, 0, ram.read_data))]
        return base

    def _count(self, m: Module, name: str, valid: Value, start: Value) -> Signal:
        """The number of the present vector's pixel."""
        count, following = (
            Signal(clog2(self._arch.acc_depth), name=f"{name}_{part}", reset_less=True) for part in ("pixel", "next")
        )
        m.d.comb += count.eq(Mux(start, 0, following))
        with m.If(valid):
            m.d.sync += following.eq(count + 1)
        return count

    def _delay_valid(self, m: Module) -> Signal:
        """The tags' valid bit beside the finished sums."""
        stages = [Signal(name=f"valid_{step}") for step in (1, 2, 3)]
        for stage, before in zip(stages, (self.tags.valid, *stages), strict=False):
            m.d.sync += stage.eq(before)
        return stages[-1]
