# SPDX-License-Identifier: Apache-2.0
"""The datapath from windows and weights to finished sums: array and accumulators, and beside them the vector unit."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.accumulator import Accumulator
from systolith.hdl.drain import Drain
from systolith.hdl.matrix import Matrix
from systolith.hdl.outline import outlined
from systolith.hdl.payload import SumPayload, WeightPayload, WindowPayload, flow
from systolith.hdl.target import Target
from systolith.hdl.vector import VectorUnit
from systolith.spec.arch import Arch, clog2

__all__ = ["Compute"]


class Compute(wiring.Component):
    """Windows in, sums out. Array and vector unit never have results at the same time: descriptors keep their distance.

    Members: ``windows`` (In), ``coming``, ``line_last`` (In, as :class:`~systolith.hdl.depthwise.DepthwiseFeed`),
    ``weights`` (In; timing as :class:`~systolith.hdl.matrix.Matrix` says), ``sums`` (Out), valid-only streams;
    ``begun`` (In), ``drained``, ``draining``, ``pixels`` (Out) as :class:`~systolith.hdl.drain.Drain`, where
    accumulators are buffered.
    """

    def __init__(self, *, arch: Arch, target: Target = Target.GENERIC) -> None:
        """Build for the sizes of ``arch``."""
        self._arch = arch
        self._target = target
        super().__init__(
            {
                "windows": In(flow(WindowPayload(arch))),
                "coming": In(1),
                "line_last": In(clog2(arch.line_depth)),
                "weights": In(flow(WeightPayload(arch))),
                "sums": Out(flow(SumPayload(arch))),
                "begun": In(1),
                "drained": Out(1),
                "draining": Out(1),
                "pixels": Out(clog2(arch.acc_depth)),
            }
        )

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.matrix = matrix = Matrix(arch=self._arch, target=self._target)
        m.submodules.accumulator = accumulator = Accumulator(arch=self._arch)
        wiring.connect(m, matrix.tags, accumulator.tags)
        sums = self._drain(m, accumulator) if self._arch.buffered else accumulator.sums
        m.d.comb += [
            accumulator.psums.eq(matrix.psums),
            matrix.windows.payload.eq(self.windows.payload),
            matrix.windows.valid.eq(self.windows.valid & ~self.windows.payload.vector),
            matrix.coming.eq(self.coming),
            matrix.line_last.eq(self.line_last),
            matrix.weights.payload.eq(self.weights.payload),
            matrix.weights.valid.eq(self.weights.valid),
            self.sums.valid.eq(sums.valid),
            self.sums.payload.eq(sums.payload),
        ]
        if self._arch.pool:
            self._add_vector_unit(m)
        return m

    def _drain(self, m: Module, accumulator: Accumulator) -> Any:
        m.submodules.drain = drain = Drain(arch=self._arch)
        wiring.connect(m, drain.bank, accumulator.bank)
        m.d.comb += [
            drain.filled.eq(accumulator.filled),
            drain.last.eq(accumulator.last),
            drain.ends.eq(accumulator.ends),
            drain.begun.eq(self.begun),
            self.drained.eq(drain.drained),
            self.draining.eq(drain.draining),
            self.pixels.eq(drain.pixels),
        ]
        return drain.sums

    def _add_vector_unit(self, m: Module) -> None:
        """Its results in the place of the accumulators'."""
        m.submodules.vector = vector = VectorUnit(arch=self._arch)
        m.d.comb += [
            vector.windows.payload.eq(self.windows.payload),
            vector.windows.valid.eq(self.windows.valid & self.windows.payload.vector),
        ]
        with m.If(vector.sums.valid):
            m.d.comb += [self.sums.valid.eq(1), self.sums.payload.eq(vector.sums.payload)]
