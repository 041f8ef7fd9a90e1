# SPDX-License-Identifier: Apache-2.0
"""A cell of the array: ``psum_spacing`` rows of one column, with their weights, products and one partial sum."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.outline import outlined
from systolith.hdl.products import Products
from systolith.hdl.target import Target
from systolith.spec.arch import Arch

__all__ = ["Cell", "RowPayload"]


class RowPayload(data.StructLayout):
    """What passes a cell from west to east: activations and the control of the weights.

    Members: ``acts`` (one a row); ``swap``: the activations belong to the next pass, take the shadow weights;
    ``load``: one bit per ``weight_rows`` rows, take the column's weights into the shadow registers; ``depthwise``:
    rows that have taps take them instead of the activations.
    """

    def __init__(self, arch: Arch) -> None:
        """Take the widths of ``arch``."""
        super().__init__(
            {
                "acts": data.ArrayLayout(signed(arch.act_bits), arch.psum_spacing),
                "swap": unsigned(1),
                "load": unsigned(arch.psum_spacing // arch.weight_rows),
                "depthwise": unsigned(1),
            }
        )


class Cell(wiring.Component):
    """``psum_out = psum_in + sum(acts * weights)`` over the cell's rows, with double-buffered weights.

    Activations at ``west`` in cycle t leave at ``east`` in t + 1; their sum, with the ``psum_in`` of cycle t + 3,
    leaves at ``psum_out`` in t + 4 (:data:`~systolith.spec.timing.CELL_LATENCY`). A ``swap`` makes the shadow weights
    of before its cycle active for the activations it comes with. A ``load`` bit takes ``weights`` into its rows of the
    shadow registers.

    Members: ``west`` (In), ``east`` (Out), ``taps`` (In, of the first rows; if there are any), ``weights`` (In,
    ``weight_rows``), ``psum_in`` (In), ``psum_out`` (Out).
    """

    def __init__(
        self, *, arch: Arch, target: Target = Target.GENERIC, taps: int = 0, blocks: int | None = None
    ) -> None:
        """Build for the widths of ``arch``; the first ``taps`` rows can take an operand of their own column.

        ``blocks`` is that of :class:`~systolith.hdl.products.Products`.
        """
        self._arch = arch
        self._target = target
        self._taps = taps
        self._blocks = arch.psum_spacing if blocks is None else blocks
        members = {
            "west": In(RowPayload(arch)),
            "east": Out(RowPayload(arch)),
            "weights": In(data.ArrayLayout(signed(arch.weight_bits), arch.weight_rows)),
            "psum_in": In(signed(arch.psum_bits)),
            "psum_out": Out(signed(arch.psum_bits)),
        }
        # Verilog has no port without bits
        super().__init__(members | ({"taps": In(data.ArrayLayout(signed(arch.act_bits), taps))} if taps else {}))

    @property
    def identity(self) -> tuple[object, ...]:
        """Equal for components that are the same hardware."""
        return (Cell, self._arch, self._target, self._taps, self._blocks)

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.products = products = Products(
            count=self._arch.psum_spacing,
            a_bits=self._arch.act_bits,
            b_bits=self._arch.weight_bits,
            target=self._target,
            blocks=self._blocks,
        )
        m.d.comb += products.a.eq(self._pass_on(m))
        self._hold_weights(m, products)
        psum = Signal(signed(self._arch.psum_bits), reset_less=True)
        # tree and sum from above are too long for one cycle
        total = _total(m, list(products.products))
        own = Signal(signed(len(total)), name="own", reset_less=True)
        m.d.sync += [own.eq(total), psum.eq(self.psum_in + own)]
        m.d.comb += self.psum_out.eq(psum)
        return m

    def _pass_on(self, m: Module) -> Value:
        """A cycle from west to east; only the control bits need a reset. Returns what the products meet."""
        acts = Signal.like(self.west.acts, name="acts", reset_less=True)
        swap, load = Signal(), Signal.like(self.west.load, name="load")
        m.d.sync += [acts.eq(self.west.acts), swap.eq(self.west.swap), load.eq(self.west.load)]
        m.d.comb += [self.east.acts.eq(acts), self.east.swap.eq(swap), self.east.load.eq(load)]
        if not self._taps:
            return Value.cast(self.west.acts)
        depthwise = Signal()
        m.d.sync += depthwise.eq(self.west.depthwise)
        m.d.comb += self.east.depthwise.eq(depthwise)
        rows = [self.west.acts[row] for row in range(self._arch.psum_spacing)]
        own = [Mux(self.west.depthwise, self.taps[row], rows[row]) for row in range(self._taps)]
        return Cat(*own, *rows[self._taps :])

    def _hold_weights(self, m: Module, products: Products) -> None:
        """The shadow weights; the active ones are those that the multipliers hold."""
        group = self._arch.weight_rows
        for row in range(self._arch.psum_spacing):
            shadow = Signal(signed(self._arch.weight_bits), name=f"shadow{row}", reset_less=True)
            with m.If(self.west.load[row // group]):
                m.d.sync += shadow.eq(self.weights[row % group])
            m.d.comb += products.b[row].eq(shadow)
        m.d.comb += products.take.eq(self.west.swap)


def _total(m: Module, terms: list[Any]) -> Value:
    """The sum of signed terms, a tree.

    Synthesis would regroup a plain tree into carry-save adders, which take almost twice the logic of ripple-carry
    adders on devices with carry chains. It does not where every other level adds numbers with their sign bits flipped.
    """
    level = [Value.cast(term) for term in terms]
    flip = False
    while len(level) > 1:
        level = [_sum(m, level[index], level[index + 1], flip) for index in range(0, len(level), 2)]
        flip = not flip
    return level[0].as_signed()


def _sum(m: Module, a: Value, b: Value, flip: bool) -> Value:
    """``a + b`` of signed values; with ``flip`` as numbers that are half the range too large."""
    bits = max(len(a), len(b))
    total = Signal(bits + 1, name=f"sum_of_{bits}_bits")
    if not flip:
        m.d.comb += total.eq(a.as_signed() + b.as_signed())
        return total.as_signed()
    wide = [Cat(term, term[-1].replicate(bits - len(term)))[:-1] for term in (a, b)]
    m.d.comb += total.eq(Cat(wide[0], ~a[-1]) + Cat(wide[1], ~b[-1]))
    return Cat(total[:-1], ~total[-1]).as_signed()
