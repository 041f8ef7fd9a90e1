# SPDX-License-Identifier: Apache-2.0
"""A cell of the array: ``psum_spacing`` rows of one column, with their weights, products and one partial sum."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal, signed, unsigned
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
    ``load``: one bit per ``weight_rows`` rows, take the column's weights into the shadow registers.
    """

    def __init__(self, arch: Arch) -> None:
        """Take the widths of ``arch``."""
        super().__init__(
            {
                "acts": data.ArrayLayout(signed(arch.act_bits), arch.psum_spacing),
                "swap": unsigned(1),
                "load": unsigned(arch.psum_spacing // arch.weight_rows),
            }
        )


class Cell(wiring.Component):
    """``psum_out = psum_in + sum(acts * weights)`` over the cell's rows, with double-buffered weights.

    Activations at ``west`` in cycle t leave at ``east`` in t + 1; their sum, with the ``psum_in`` of cycle t + 2,
    leaves at ``psum_out`` in t + 3 (:data:`systolith.spec.timing.CELL_LATENCY`). A ``swap`` makes the shadow weights
    of before its cycle active for the activations it comes with. A ``load`` bit takes ``weights`` into its rows of
    the shadow registers.

    Members: ``west`` (In), ``east`` (Out), ``weights`` (In, ``weight_rows``), ``psum_in`` (In), ``psum_out`` (Out).
    """

    def __init__(self, *, arch: Arch, target: Target = Target.GENERIC) -> None:
        """Build for the widths of ``arch``."""
        self._arch = arch
        self._target = target
        super().__init__(
            {
                "west": In(RowPayload(arch)),
                "east": Out(RowPayload(arch)),
                "weights": In(data.ArrayLayout(signed(arch.weight_bits), arch.weight_rows)),
                "psum_in": In(signed(arch.psum_bits)),
                "psum_out": Out(signed(arch.psum_bits)),
            }
        )

    @property
    def identity(self) -> tuple[object, ...]:
        """Equal for components that are the same hardware."""
        return (Cell, self._arch, self._target)

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        arch = self._arch
        m.submodules.multipliers = products = Products(
            count=arch.psum_spacing, a_bits=arch.act_bits, b_bits=arch.weight_bits, target=self._target
        )
        m.d.sync += self.east.eq(self.west)
        for row in range(arch.psum_spacing):
            m.d.comb += [products.a[row].eq(self.east.acts[row]), products.b[row].eq(self._weight(m, row))]
        total = self.psum_in + _tree([products.products[row] for row in range(arch.psum_spacing)])
        m.d.sync += self.psum_out.eq(total)
        return m

    def _weight(self, m: Module, row: int) -> Signal:
        """The active weight of a row, behind its shadow."""
        weight = signed(self._arch.weight_bits)
        shadow = Signal(weight, name=f"shadow{row}", reset_less=True)
        active = Signal(weight, name=f"active{row}", reset_less=True)
        with m.If(self.west.load[row // self._arch.weight_rows]):
            m.d.sync += shadow.eq(self.weights[row % self._arch.weight_rows])
        with m.If(self.west.swap):
            m.d.sync += active.eq(shadow)
        return active


def _tree(terms: list[Any]) -> Any:
    """The sum of ``terms`` as a balanced tree, the shortest path for a few of them."""
    if len(terms) == 1:
        return terms[0]
    half = len(terms) // 2
    return _tree(terms[:half]) + _tree(terms[half:])
