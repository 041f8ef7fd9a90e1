# SPDX-License-Identifier: Apache-2.0
"""The requantiser lanes: :mod:`systolith.spec.fixed` as a pipeline, one output element a cycle and lane.

A stage is at most one wide addition, three levels of a shifter with its saturation, half a multiplication, or one half
of the rounding with its clamp. The names of the steps are those of the specification.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.multiplier import Multiplier
from systolith.hdl.outline import outlined
from systolith.hdl.payload import LaneConfig, LanePayload
from systolith.hdl.skew import delayed
from systolith.hdl.target import Target
from systolith.spec.arch import Arch
from systolith.spec.fixed import FINER
from systolith.spec.timing import OPERAND_DELAY

__all__ = ["Lane", "Lanes"]


def _shift_right(m: Module, name: str, value: Value, amount: Value, *, unit: int, keep: int) -> tuple[Value, Value]:
    """``value >> amount * unit`` in ``keep`` bits, and whether it does not fit them.

    Bits that cannot reach the result are dropped on the way; the most significant bit always is the sign of ``value``.
    """
    lost: Value = Const(0, 1)
    for bit in reversed(range(len(amount))):
        places = unit << bit
        level = Signal(signed(len(value)), name=f"{name}_{bit}")
        m.d.comb += level.eq(Mux(amount[bit], value >> places, value))
        value = level
        needed = keep + places - unit
        if len(value) > needed:
            sign = value[-1]
            lost = lost | (value[needed - 1 : -1] != sign.replicate(len(value) - needed))
            value = Cat(value[: needed - 1], sign).as_signed()
    return value, lost


def _rounded(
    m: Module, name: str, value: Value, shift: int, low: Value, high: Value, zero: Value, finer: Value | None = None
) -> Value:
    """``zero + clamp(round(value / 2**shift), low, high)``, nearest, ties to even, a cycle later; ``low <= high``.

    Where ``finer`` is set the shift is by :data:`~systolith.spec.fixed.FINER` bits less. Whether the floor is below
    ``low``, or at ``high`` or above, decides the clamp as the rounded value would, and need not wait for the rounding;
    the increment is the carry of the one addition, which is behind the register.
    """
    floor, half, rest = (value >> shift).as_signed(), value[shift - 1], value[: shift - 1].any()
    if finer is not None:
        less = shift - FINER
        floor = Mux(finer, value >> less, floor).as_signed()
        half = Mux(finer, value[less - 1], half)
        rest = value[: less - 1].any() | (~finer & value[less - 1 : shift - 1].any())
    below, above = floor < low, floor >= high
    limited = Signal.like(low, name=f"{name}_limited", reset_less=True)
    up = Signal(name=f"{name}_up", reset_less=True)
    m.d.sync += [
        limited.eq(Mux(below, low, Mux(above, high, floor[: len(low)].as_signed()))),
        up.eq(half & (rest | floor[0]) & ~below & ~above),
    ]
    return ((Cat(Const(1, 1), limited).as_signed() + Cat(up, zero).as_signed()) >> 1).as_signed()


class Lane(wiring.Component):
    """One lane.

    Members: ``config`` (In, :class:`~systolith.hdl.payload.LaneConfig`, stable while elements are in the lane; its bit
    ``residual`` is taken as set), ``input`` (In, :class:`~systolith.hdl.payload.LanePayload`, whose ``residual`` comes
    :data:`~systolith.spec.timing.OPERAND_DELAY` cycles after the rest), ``output`` (Out, signed
    ``act_bits``; :func:`systolith.spec.timing.lane_latency` cycles later).
    """

    def __init__(self, *, arch: Arch, target: Target = Target.GENERIC) -> None:
        """Build for the widths of ``arch``."""
        self._arch = arch
        self._target = target
        self._widths = arch.lane_widths
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
        return (Lane, self._arch, self._target)

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        widths, config = self._widths, self.config
        product = self._scale(m)
        if self._arch.residual:
            bounds = config.lo, config.hi
            own = _rounded(m, "own", product, widths.post, *bounds, Const(0, signed(1)), finer=config.product)
            total = self._add_residual(m, own[: widths.own].as_signed())
            element = _rounded(m, "sum", total, widths.add_post, config.lo_sum, config.hi_sum, config.out_zero)
        else:
            element = _rounded(m, "own", product, widths.post, config.lo, config.hi, config.out_zero)
        m.d.comb += self.output.eq(self._stage(m, "element", element, self._arch.act_bits))
        return m

    def _stage(self, m: Module, name: str, value: Value, bits: int) -> Signal:
        """A signed pipeline register."""
        register = Signal(signed(bits), name=name, reset_less=True)
        m.d.sync += register.eq(value)
        return register

    def _multiply(self, m: Module, name: str, a: Value, b: Value) -> Value:
        """A product, three cycles later; ``b`` may be signed or not."""
        multiplier = Multiplier(a_bits=len(a), b_bits=len(b), b_signed=b.shape().signed, target=self._target)
        m.submodules[f"{name}_multiplier"] = multiplier
        m.d.comb += [multiplier.a.eq(a), multiplier.b.eq(b)]
        return multiplier.product

    def _scale(self, m: Module) -> Value:
        """Steps 1 to 3 of the specification: bias and coarse shift with a register each, fine shift and product."""
        widths, lane = self._widths, self.input
        fine = (widths.shift + 1) // 2
        biased = self._stage(m, "biased", lane.acc + lane.bias, self._arch.acc_bits)
        shift = delayed(m, lane.shift, widths.shift, 1, "shift")
        scaled = Cat(Const(0, widths.headroom), biased).as_signed()
        coarse_bits = widths.operand + (1 << fine) - 1
        coarse, lost = _shift_right(m, "by_unit", scaled, shift[fine:], unit=1 << fine, keep=coarse_bits)
        coarse = self._stage(m, "coarse", coarse, coarse_bits)
        lost = delayed(m, lost, 1, 1, "lost")
        few = delayed(m, shift[:fine], fine, 1, "fine_shift")
        shifted, lost_too = _shift_right(m, "by_one", coarse, few, unit=1, keep=widths.operand)
        sign = shifted[-1]
        limit = Cat((~sign).replicate(widths.operand - 1), sign).as_signed()
        operand = Mux(lost | lost_too, limit, shifted)
        return self._multiply(m, "scale", operand, delayed(m, lane.multiplier, widths.mult, 2, "multiplier"))

    def _add_residual(self, m: Module, own: Value) -> Signal:
        """The sum of the scaled operands of the residual add, in a register; of a product, its only term."""
        widths, config = self._widths, self.config
        residual = delayed(m, self.input.residual, signed(self._arch.act_bits), 6 - OPERAND_DELAY, "residual")
        other = (residual - config.res_zero)[: widths.delta].as_signed()
        unit = Const(0, widths.add_post - widths.product_post)
        factor = Mux(config.product, Cat(unit, other).as_signed(), config.m_own)
        scaled = self._multiply(m, "own", own, factor), self._multiply(m, "other", other, config.m_res)
        return self._stage(m, "total", scaled[0] + scaled[1], len(scaled[0]) + 1)


class Lanes(wiring.Component):
    """All lanes of an engine side by side.

    Members: ``config`` (In), ``input`` (In, array of ``lanes``), ``output`` (Out, array of ``lanes``), as
    :class:`Lane`, except that ``config.residual`` counts.
    """

    def __init__(self, *, arch: Arch, target: Target = Target.GENERIC) -> None:
        """Build for the sizes of ``arch``."""
        self._arch = arch
        self._target = target
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
        config = self._configure(m)
        for index in range(self._arch.lanes):
            m.submodules[f"lane{index}"] = lane = Lane(arch=self._arch, target=self._target)
            m.d.comb += [
                lane.config.eq(config),
                lane.input.eq(self.input[index]),
                self.output[index].eq(lane.output),
            ]
        return m

    def _configure(self, m: Module) -> Any:
        """Without a residual operand: one times the own result plus zero times whatever is there."""
        config = Signal.like(self.config, name="lane_config")
        m.d.comb += config.eq(self.config)
        if self._arch.residual:
            with m.If(~self.config.residual):
                one = 1 << self._arch.lane_widths.add_post
                m.d.comb += [config.m_own.eq(one), config.m_res.eq(0)]
                m.d.comb += [config.lo_sum.eq(config.lo), config.hi_sum.eq(config.hi)]
            # from a register, as it is far behind it; no element needs it in its first cycle
            product = Signal(name="product")
            m.d.sync += product.eq(self.config.residual & self.config.product)
            m.d.comb += config.product.eq(product)
        return config
