# SPDX-License-Identifier: Apache-2.0
"""The systolic array: cells and the wires between them, nothing else."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.budget import cell_blocks
from systolith.hdl.cell import Cell, RowPayload
from systolith.hdl.outline import outlined
from systolith.hdl.target import Target
from systolith.spec.arch import Arch

__all__ = ["Array"]


class Array(wiring.Component):
    """``groups`` x ``cols`` cells. Group g must be fed g cycles after group 0, column c's weights c cycles after
    column 0's.

    Column c's sum leaves ``groups - 1 + c`` + CELL_LATENCY cycles after group 0's activations entered.

    Members: ``west`` (In, one :class:`~systolith.hdl.cell.RowPayload` a group), ``taps`` (In, per column one for each
    of the first rows, which they must reach when the group's activations reach the column; where there is a depthwise
    feed), ``weights`` (In, per column
    ``weight_rows``), ``psums`` (Out, one a column).
    """

    def __init__(self, *, arch: Arch, target: Target = Target.GENERIC) -> None:
        """Build for the sizes of ``arch``."""
        self._arch = arch
        self._target = target
        self._groups = arch.rows // arch.psum_spacing
        self._taps = arch.taps if arch.depthwise else 0
        taps = data.ArrayLayout(data.ArrayLayout(signed(arch.act_bits), self._taps), arch.cols)
        weights = data.ArrayLayout(data.ArrayLayout(signed(arch.weight_bits), arch.weight_rows), arch.cols)
        members = {
            "west": In(data.ArrayLayout(RowPayload(arch), self._groups)),
            "weights": In(weights),
            "psums": Out(data.ArrayLayout(signed(arch.psum_bits), arch.cols)),
        }
        super().__init__(members | ({"taps": In(taps)} if self._taps else {}))

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        budget = cell_blocks(self._arch, self._target)
        for column in range(self._arch.cols):
            above: Any = 0
            for group in range(self._groups):
                rows = range(group * self._arch.psum_spacing, (group + 1) * self._arch.psum_spacing)
                taps = [self.taps[column][row] for row in rows if row < self._taps]
                cell = Cell(arch=self._arch, target=self._target, taps=len(taps), blocks=next(budget))
                m.submodules[f"cell_{group}_{column}"] = cell
                west = m.submodules[f"cell_{group}_{column - 1}"].east if column else self.west[group]
                m.d.comb += [cell.west.eq(west), cell.weights.eq(self.weights[column]), cell.psum_in.eq(above)]
                if taps:
                    m.d.comb += cell.taps.eq(Cat(taps))
                above = cell.psum_out
            m.d.comb += self.psums[column].eq(above)
        return m
