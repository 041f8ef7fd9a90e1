# SPDX-License-Identifier: Apache-2.0
"""The datapath from windows and weights to finished sums: array and accumulators, and beside them the vector unit."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.accumulator import Accumulator
from systolith.hdl.matrix import Matrix
from systolith.hdl.outline import outlined
from systolith.hdl.payload import SumPayload, WeightPayload, WindowPayload, flow
from systolith.hdl.target import Target
from systolith.hdl.vector import VectorUnit
from systolith.spec.arch import Arch

__all__ = ["Compute"]


class Compute(wiring.Component):
    """Windows in, sums out. Array and vector unit never have results at the same time: descriptors do not overlap.

    Members: ``windows`` (In), ``weights`` (In; timing as :class:`~systolith.hdl.matrix.Matrix` says), ``sums`` (Out),
    valid-only streams.
    """

    def __init__(self, *, arch: Arch, target: Target = Target.GENERIC) -> None:
        """Build for the sizes of ``arch``."""
        self._arch = arch
        self._target = target
        super().__init__(
            {
                "windows": In(flow(WindowPayload(arch))),
                "weights": In(flow(WeightPayload(arch))),
                "sums": Out(flow(SumPayload(arch))),
            }
        )

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.matrix = matrix = Matrix(arch=self._arch, target=self._target)
        m.submodules.accumulator = accumulator = Accumulator(arch=self._arch)
        wiring.connect(m, matrix.tags, accumulator.tags)
        m.d.comb += [
            accumulator.psums.eq(matrix.psums),
            matrix.windows.payload.eq(self.windows.payload),
            matrix.windows.valid.eq(self.windows.valid & ~self.windows.payload.vector),
            matrix.weights.payload.eq(self.weights.payload),
            matrix.weights.valid.eq(self.weights.valid),
            self.sums.valid.eq(accumulator.sums.valid),
            self.sums.payload.eq(accumulator.sums.payload),
        ]
        if self._arch.pool:
            self._add_vector_unit(m)
        return m

    def _add_vector_unit(self, m: Module) -> None:
        """Its results in the place of the accumulators' first columns."""
        m.submodules.vector = vector = VectorUnit(arch=self._arch)
        result = self.sums.payload
        m.d.comb += [
            vector.windows.payload.eq(self.windows.payload),
            vector.windows.valid.eq(self.windows.valid & self.windows.payload.vector),
        ]
        with m.If(vector.sums.valid):
            m.d.comb += [self.sums.valid.eq(1), result.vector.eq(1), result.advance.eq(vector.sums.payload.advance)]
            # the other columns carry whatever the accumulators hold, which costs nothing
            for lane in range(self._arch.lanes):
                m.d.comb += result.data[lane].eq(vector.sums.payload.data[lane])
