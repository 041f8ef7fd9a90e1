# SPDX-License-Identifier: Apache-2.0
"""The accumulators: one C-vector per output pixel of a tile, read, added to and written every cycle.

Where the lanes take a cycle for a C-vector, a finished sum goes straight to them. Where they take more, sums are
finished in one of two banks, which is drained at the lanes' pace while the array fills the other.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.outline import outlined
from systolith.hdl.payload import Advance, SumPayload, Tag, flow
from systolith.hdl.ram import Ram
from systolith.hdl.skew import delayed
from systolith.spec.arch import Arch, clog2

__all__ = ["Accumulator", "BankSignature"]


class BankSignature(wiring.Signature):
    """Reading a finished bank: ``en``, ``number`` and ``pixel`` ask, ``line`` answers one cycle later."""

    def __init__(self, arch: Arch) -> None:
        """Take the widths of ``arch``."""
        super().__init__(
            {
                "en": Out(1),
                "number": Out(1),
                "pixel": Out(clog2(arch.acc_depth)),
                "line": In(SumPayload(arch)),
            }
        )


class Accumulator(wiring.Component):
    """Adds up the passes of a block, pixel by pixel.

    The pixel's number counts the vectors from the one tagged ``start`` on. A vector tagged ``first`` begins its
    pixel's sum. Vectors may come with any gaps, but a pixel's next vector must be
    :data:`~systolith.spec.timing.MIN_PASS` cycles after the present one or later.

    Members:
        tags: In; valid-only stream, :data:`~systolith.hdl.matrix.TAG_LEAD` cycles before their vectors.
        psums: In; array of ``cols``.
        sums: Out; valid-only stream: the sum of a vector tagged ``last``,
            :data:`~systolith.spec.timing.ACCUMULATOR_LATENCY` cycles after it came. Not with buffered accumulators.
        bank: In; reads a bank of buffered accumulators. Blocks fill banks 0 and 1 in turn.
        filled: Out; the last sum of a block is being written. last: Out; its pixel's number. ends: Out; so does its
            descriptor.
    """

    def __init__(self, *, arch: Arch) -> None:
        """Build for the sizes of ``arch``."""
        self._arch = arch
        psums = data.ArrayLayout(signed(arch.psum_bits), arch.cols)
        super().__init__(
            {
                "tags": In(flow(Tag)),
                "psums": In(psums),
                "sums": Out(flow(SumPayload(arch))),
                "bank": In(BankSignature(arch)),
                "filled": Out(1),
                "last": Out(clog2(arch.acc_depth)),
                "ends": Out(1),
            }
        )

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        arch = self._arch
        vector = data.ArrayLayout(signed(arch.acc_bits), arch.cols)
        sums = Signal(vector, reset_less=True)
        tag = delayed(m, self.tags.payload, Tag, 3, "tag")
        valid = self._delay_valid(m)
        line = Signal(SumPayload(arch))
        m.d.comb += [line.data.eq(sums), line.advance.eq(tag.advance)]
        kept = self._banks(m, valid, tag, line) if arch.buffered else self._bank(m, valid, tag, line)
        base = self._base(m, kept, vector)
        for column in range(arch.cols):
            m.d.sync += sums[column].eq(base[column] + self.psums[column])
        if not arch.buffered:
            m.d.comb += [self.sums.valid.eq(valid & tag.last), self.sums.payload.eq(line)]
        return m

    def _bank(self, m: Module, valid: Value, tag: Any, line: Any) -> Value:
        """The one memory of sums that are not finished. Returns those that were asked for."""
        m.submodules.ram = ram = Ram(bits=len(line.data.as_value()), depth=self._arch.acc_depth)
        m.d.comb += [
            # always, so that a register right behind it can be the block RAM's own
            ram.read_en.eq(1),
            ram.read_addr.eq(self._count(m, "read", self.tags.valid, self.tags.payload.start)),
            ram.write_en.eq(valid & ~tag.last),
            ram.write_addr.eq(self._count(m, "write", valid, tag.start)),
            ram.write_data.eq(line.data),
        ]
        return ram.read_data

    def _banks(self, m: Module, valid: Value, tag: Any, line: Any) -> Value:
        """Two memories, one for the array and one for the drain. Returns the array's unfinished sums."""
        arch, tags = self._arch, self.tags
        reading = self._turn(m, "reading", tags.valid & tags.payload.start & tags.payload.first)
        writing = self._turn(m, "writing", valid & tag.start & tag.first)
        number = Signal.like(reading, name="read_number", reset_less=True)
        drained = Signal.like(reading, name="drained_number", reset_less=True)
        m.d.sync += [number.eq(reading), drained.eq(self.bank.number)]
        read = self._count(m, "read", tags.valid, tags.payload.start)
        write = self._count(m, "write", valid, tag.start)
        lines = []
        for bank in range(2):
            m.submodules[f"bank{bank}"] = ram = Ram(bits=len(line.as_value()), depth=arch.acc_depth)
            mine = self.bank.en & (self.bank.number == bank)
            m.d.comb += [
                ram.read_en.eq(mine | (tags.valid & (reading == bank))),
                ram.read_addr.eq(Mux(mine, self.bank.pixel, read)),
                ram.write_en.eq(valid & (writing == bank)),
                ram.write_addr.eq(write),
                ram.write_data.eq(line),
            ]
            lines.append(data.View(SumPayload(arch), ram.read_data))
        m.d.comb += [
            self.bank.line.eq(Mux(drained, Value.cast(lines[1]), Value.cast(lines[0]))),
            self.filled.eq(valid & tag.last & ((tag.advance == Advance.BLOCK) | (tag.advance == Advance.END))),
            self.last.eq(write),
            self.ends.eq(tag.advance == Advance.END),
        ]
        return Mux(number, Value.cast(lines[1].data), Value.cast(lines[0].data))

    def _turn(self, m: Module, name: str, block: Value) -> Signal:
        """The bank in use; the first block after a reset takes bank 0."""
        before, bank = Signal(name=f"{name}_before", init=1), Signal(name=name)
        m.d.comb += bank.eq(before ^ block)
        m.d.sync += before.eq(bank)
        return bank

    def _base(self, m: Module, kept: Value, vector: data.ArrayLayout) -> Any:
        """The sums so far when their vector comes: read, then registered, or zero to begin with.

        The register behind a single memory can be the block RAM's own, so zero is put in after it; behind two banks
        before it, where it costs nothing.
        """
        base = Signal(vector, reset_less=True)
        first = delayed(m, self.tags.payload.first, 1, 1 if self._arch.buffered else 2, "first")
        m.d.sync += base.eq(Mux(first, 0, kept) if self._arch.buffered else kept)
        return base if self._arch.buffered else data.View(vector, Mux(first, 0, base.as_value()))

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
