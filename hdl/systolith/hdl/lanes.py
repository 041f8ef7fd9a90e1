# SPDX-License-Identifier: Apache-2.0
"""The requantiser lanes: :mod:`systolith.spec.fixed` as a pipeline, one output element a cycle and lane.

Each stage is at most one addition, one shift by up to seven places, or one multiplication. The names of the steps
are those of the specification.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.outline import outlined
from systolith.hdl.payload import LaneConfig, LanePayload
from systolith.hdl.skew import delayed
from systolith.spec.arch import Arch
from systolith.spec.fixed import LaneWidths

__all__ = ["Lane", "Lanes"]

FINE_BITS = 3
"""Bits of the shift that the second shifter stage handles."""


def _clamped(value: Value, low: Value, high: Value) -> Value:
    return Mux(value < low, low, Mux(value > high, high, value))


def _saturated(value: Value, bits: int) -> Value:
    """``value`` limited to ``bits`` signed bits."""
    sign = value[-1]
    fits = value[bits - 1 :] == sign.replicate(len(value) - bits + 1)
    limit = Cat((~sign).replicate(bits - 1), sign)
    return Mux(fits, value[:bits], limit).as_signed()


def _rounded(value: Value, shift: int) -> Value:
    """``value / 2**shift`` to nearest, ties to even: one addition of the carry that the dropped bits decide."""
    floor = (value >> shift).as_signed()
    half, rest = value[shift - 1], value[: shift - 1]
    return floor + (half & (rest.any() | floor[0])).as_unsigned()


class Lane(wiring.Component):
    """One lane.

    Members: ``config`` (In, :class:`~systolith.hdl.payload.LaneConfig`, stable while elements are in the lane),
    ``input`` (In, :class:`~systolith.hdl.payload.LanePayload`), ``output`` (Out, signed ``act_bits``;
    :func:`systolith.spec.timing.lane_latency` cycles later).
    """

    def __init__(self, *, arch: Arch) -> None:
        """Build for the widths of ``arch``."""
        self._arch = arch
        self._widths = LaneWidths(arch.act_bits, arch.acc_bits)
        super().__init__(
            {
                "config": In(LaneConfig(arch)),
                "input": In(LanePayload(arch)),
                "output": Out(signed(arch.act_bits)),
            }
        )

    @property
    def identity(self) -> tuple[object, ...]:
        """Equal for components that are the same hardware."""
        return (Lane, self._arch)

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        own = self._requantise(m)
        result = self._add_residual(m, own) if self._arch.residual else own
        m.d.sync += self.output.eq(result + self.config.out_zero)
        return m

    def _stage(self, m: Module, name: str, value: Value, bits: int) -> Signal:
        """A signed pipeline register."""
        register = Signal(signed(bits), name=name, reset_less=True)
        m.d.sync += register.eq(value)
        return register

    def _requantise(self, m: Module) -> Signal:
        """Steps 1 to 5 of the specification; seven registers."""
        widths, lane = self._widths, self.input
        wide = widths.headroom + self._arch.acc_bits
        biased = self._stage(m, "biased", lane.acc + lane.bias, self._arch.acc_bits)
        shift = delayed(m, lane.shift, widths.shift, 1, "shift")
        coarse = self._stage(
            m, "coarse", (biased << widths.headroom) >> Cat(Const(0, FINE_BITS), shift[FINE_BITS:]), wide
        )
        fine_shift = delayed(m, shift[:FINE_BITS], FINE_BITS, 1, "fine_shift")
        fine = self._stage(m, "fine", coarse >> fine_shift, wide)
        operand = self._stage(m, "operand", _saturated(fine, widths.operand), widths.operand)
        multiplier = delayed(m, lane.multiplier, widths.mult, 4, "multiplier")
        product = self._stage(m, "product", operand * multiplier, widths.operand + widths.mult)
        rounded = self._stage(
            m, "rounded", _rounded(product, widths.post), widths.operand + widths.mult - widths.post + 1
        )
        return self._stage(m, "own", _clamped(rounded, self.config.lo, self.config.hi), widths.delta)

    def _add_residual(self, m: Module, own: Signal) -> Signal:
        """The fused add, or ``own`` delayed as long; four registers."""
        widths, config = self._widths, self.config
        residual = delayed(m, self.input.residual, signed(self._arch.act_bits), 6, "residual")
        other = self._stage(m, "other", residual - config.res_zero, widths.delta)
        bits = widths.delta + widths.add_mult + 1
        own_scaled = self._stage(m, "own_scaled", own * config.m_own, bits)
        other_scaled = self._stage(m, "other_scaled", other * config.m_res, bits)
        total = self._stage(m, "total", own_scaled + other_scaled, bits + 1)
        rounded = self._stage(m, "total_rounded", _rounded(total, widths.add_post), bits + 2 - widths.add_post)
        clamped = _clamped(rounded, config.lo_sum, config.hi_sum)
        alone = delayed(m, own, signed(widths.delta), 3, "alone")
        return self._stage(m, "sum", Mux(config.residual, clamped, alone), widths.delta)


class Lanes(wiring.Component):
    """All lanes of an engine side by side.

    Members: ``config`` (In), ``input`` (In, array of ``lanes``), ``output`` (Out, array of ``lanes``), as
    :class:`Lane`.
    """

    def __init__(self, *, arch: Arch) -> None:
        """Build for the sizes of ``arch``."""
        self._arch = arch
        super().__init__(
            {
                "config": In(LaneConfig(arch)),
                "input": In(data.ArrayLayout(LanePayload(arch), arch.lanes)),
                "output": Out(data.ArrayLayout(signed(arch.act_bits), arch.lanes)),
            }
        )

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        for index in range(self._arch.lanes):
            m.submodules[f"lane{index}"] = lane = Lane(arch=self._arch)
            m.d.comb += [
                lane.config.eq(self.config),
                lane.input.eq(self.input[index]),
                self.output[index].eq(lane.output),
            ]
        return m
