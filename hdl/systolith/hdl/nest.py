# SPDX-License-Identifier: Apache-2.0
"""The six-loop affine walk of the ISA: one iteration a cycle, two coordinates, no multiplication.

At every step exactly one loop advances (the innermost one that is not at its last iteration); all loops inside it wrap,
and its relative step is added to the coordinates. What is known of an iteration is known one ahead of its coordinates,
and each counter is at the value that its loop will have next, so that the comparison of a count, the choice of a loop
and the addition of a step are in different cycles; and since only one step is needed at a time, the steps lie in two
small memories.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.linemem import LineMemory
from systolith.hdl.outline import outlined
from systolith.hdl.payload import Setup
from systolith.spec.arch import Arch
from systolith.spec.isa import LINE_BITS, LOOPS, WORD_BITS

__all__ = ["Nest", "NestConfig"]

STEP_LINES = 16
"""Lines of a memory of steps: two sets of eight, of which LOOPS are used."""


class NestConfig(data.StructLayout):
    """What a walk needs to know, in elements and iterations.

    Members: ``counts`` (iterations minus one, loop 0 first), ``row_start`` and ``col_start``.
    """

    def __init__(self, arch: Arch) -> None:
        """Take the widths of ``arch``."""
        coordinate = signed(arch.coord_bits)
        super().__init__(
            {
                "counts": data.ArrayLayout(unsigned(arch.dim_bits), LOOPS),
                "row_start": coordinate,
                "col_start": coordinate,
            }
        )


class Nest(wiring.Component):
    """Walks one loop nest after another.

    Members:
        setup: In; the steps before a walk. Only when ``valid`` is low.
        config: In; stable from ``setup`` ARM until the walk's last iteration has been taken.
        bank: In; which of two sets of steps counts; stable likewise.
        step_write, step_loop, step_data: In; set the relative steps of a loop, row in the lower word and column in the
            upper one, in the set that does not count.
        start: In; begin a walk, with ``setup`` FIRST or later.
        advance: In; take the present iteration. Without effect behind the last; not between ``setup`` and ``start``.
        valid: Out; ``row``, ``col``, ``first`` and ``last`` describe an iteration. High one cycle after ``start``
            (:attr:`latency`) and from then on until the last iteration is taken.
        row, col: Out; the coordinates, signed, in elements (modulo their width).
        first, last: Out; bit ``i``: loop ``i`` is at its first, its last iteration.
        pass_begins, sum_begins, sum_ends: Out; all pixel loops of a MATRIX, but for a ``raster`` (In, as ``config``),
            are at their first; all loops of a sum, for a ``vector`` (In, as ``config``) those of its window, are at
            their first, their last.
        block_begins: Out; both of the first two. vector_ends: Out; the last, of a ``vector``.
    """

    def __init__(self, *, arch: Arch) -> None:
        """Build for the widths of ``arch``; raises ValueError if a coordinate is wider than a program word."""
        if arch.coord_bits > WORD_BITS:
            raise ValueError(f"coordinates must have at most {WORD_BITS} bits, got {arch.coord_bits}")
        super().__init__(
            {
                "setup": In(Setup),
                "config": In(NestConfig(arch)),
                "bank": In(1),
                "step_write": In(1),
                "step_loop": In(range(LOOPS)),
                "step_data": In(LINE_BITS),
                "start": In(1),
                "advance": In(1),
                "valid": Out(1),
                "row": Out(signed(arch.coord_bits)),
                "col": Out(signed(arch.coord_bits)),
                "first": Out(LOOPS, init=-1 % (1 << LOOPS)),
                "last": Out(LOOPS),
                "vector": In(1),
                "raster": In(1),
                "pass_begins": Out(1),
                "sum_begins": Out(1),
                "sum_ends": Out(1),
                "block_begins": Out(1),
                "vector_ends": Out(1),
            }
        )
        self._arch = arch

    @property
    def latency(self) -> int:
        """Cycles from ``start`` to the first ``valid``."""
        return 1

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        load, more = Signal(name="load"), Signal(name="more")
        m.d.comb += load.eq((self.setup != Setup.NONE) | (self.advance & more))
        with m.If(self.start | self.advance):
            m.d.sync += self.valid.eq(self.start | more)
        following, ends = self._count(m, load)
        with m.If(load):
            m.d.sync += more.eq(~ends)
        self._move(m, load, following)
        return m

    def _count(self, m: Module, load: Signal) -> tuple[Signal, Value]:
        """The counters and flags of the iteration ahead, and the flags that leave them.

        Returns which loop advances behind that iteration, and whether none does.
        """
        following = Signal(range(LOOPS))
        carry: Value = Const(1, 1)
        firsts, lasts = Signal(LOOPS), Signal(LOOPS)
        for level in range(LOOPS):
            with m.If(carry & ~lasts[level]):
                m.d.comb += following.eq(level)
            at_first, at_last = self._loop(m, level, load, carry)
            m.d.comb += [firsts[level].eq(at_first), lasts[level].eq(at_last)]
            carry = carry & at_last
        self._flag(m, load, firsts, lasts)
        return following, carry

    def _loop(self, m: Module, level: int, load: Signal, carry: Value) -> tuple[Signal, Signal]:
        """A loop's counter, at the value that comes next, and whether the one before is the first and the last."""
        counter = Signal(self._arch.dim_bits, name=f"counter{level}")
        at_first, at_last, ends = (Signal(name=f"{name}{level}") for name in ("at_first", "at_last", "ends"))
        clear = self.setup == Setup.CLEAR
        m.d.comb += ends.eq(counter == self.config.counts[level])
        with m.If(load):
            # a sum that holds where no carry comes, so that ``load``, which comes late, only has to enable
            m.d.sync += [
                counter.eq(Mux(clear | (carry & ends), 0, counter + carry)),
                at_last.eq(clear | Mux(carry, ends, at_last)),
                # not a multiplexer, which synthesis would make an enable of
                at_first.eq((carry & at_last) | (~carry & at_first)),
            ]
        return at_first, at_last

    def _flag(self, m: Module, load: Signal, firsts: Signal, lasts: Signal) -> None:
        """What leaves with the coordinates."""
        pixels, pass_sum, window = slice(0, 2), slice(2, 5), slice(0, 3)
        pass_begins = firsts[pixels].all() & ~self.vector & ~self.raster
        with m.If(load):
            m.d.sync += [
                self.first.eq(firsts),
                self.last.eq(lasts),
                self.pass_begins.eq(pass_begins),
                self.block_begins.eq(pass_begins & firsts[pass_sum].all()),
                self.sum_begins.eq(Mux(self.vector, firsts[window].all(), firsts[pass_sum].all())),
                self.sum_ends.eq(Mux(self.vector, lasts[window].all(), lasts[pass_sum].all())),
                self.vector_ends.eq(self.vector & lasts[window].all()),
            ]

    def _move(self, m: Module, load: Signal, following: Signal) -> None:
        """The coordinates; both steps in one line, which takes fewer block RAMs than two memories."""
        bits = self._arch.coord_bits
        m.submodules.steps = steps = LineMemory(bits=2 * bits, depth=STEP_LINES, unit=2 * bits)
        m.d.comb += [
            steps.write_en.eq(self.step_write),
            steps.write_addr.eq(Cat(self.step_loop, ~self.bank)),
            steps.write_data.eq(Cat(self.step_data.word_select(axis, WORD_BITS)[:bits] for axis in (0, 1))),
            steps.read_en.eq(load),
            steps.read_addr.eq(Cat(following, self.bank)),
        ]
        for axis, (name, coordinate) in enumerate((("row", self.row), ("col", self.col))):
            moved = coordinate + steps.read_data.word_select(axis, bits)
            with m.If(load):
                m.d.sync += coordinate.eq(Mux(self.setup == Setup.FIRST, self.config[f"{name}_start"], moved))
