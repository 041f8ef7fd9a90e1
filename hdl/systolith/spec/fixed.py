# SPDX-License-Identifier: Apache-2.0
"""The normative integer arithmetic of the engine, written once, on Python integers.

Everything the hardware computes after the exact integer dot product is defined here: the requantiser lane,
the fused residual add, rounding and saturation. The numpy reference, the ISA model and the RTL are each
tested against these functions.

**Requantise.** A lane turns an accumulator ``v`` (bias included) into ``round(v * M)`` for a positive real
``M = s_x * s_w / s_y`` (Jacob et al., *Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference*, 2018, section 2.2), with ``M`` held as a normalised multiplier and a shift:

1. ``t = (v << HEADROOM) >> shift``, an arithmetic shift that floors, keeps ``GUARD`` bits below the output's
   least significant bit;
2. ``t`` saturates to ``OPERAND`` bits (whatever saturates there saturates the output too);
3. ``p = t * multiplier``, an ``OPERAND`` x ``MULT`` bit product;
4. ``d = p / 2**POST`` rounded to nearest, ties to even, as ONNX QuantizeLinear does;
5. ``d`` is clamped to ``[lo, hi]``, bounds relative to the zero point: the activation function and the
   saturation in one.

**Error.** For an 8-bit output the operand is 18 bits and the multiplier 16 (one DSP multiplier). Flooring loses
less than 2**-8 of an output LSB and the multiplier's rounding at most 2**-8 of one over the output's range, so the
value before the final rounding is within 2**-7 LSB of the exact real product: well under a quarter. Where ``M`` is
a power of two and no bit is shifted out, the result is exact. Each bit of ``precision`` halves what flooring loses and
quarters the multiplier's share.

**Residual add.** ``d = round(d1 * m1 + dr * m2)`` with ``m = M * 2**ADD_POST`` rounded, for the convolution's own
result ``d1`` (already rounded and saturated to its scale, as the QDQ graph does) and the other branch's
``dr = r - zero_point``. Error before the final rounding: below 2**-6 LSB for 8 bits.

**Product.** ``d = round(d1 * dr / 2**n)``: the residual operand takes the place of ``m1``. ``d1`` is a factor here and
not an element yet, so it keeps ``FINER`` bits that requantisation else rounds away (step 4 shifts by so many
fewer). Its rounding is worth ``|dr| / 2**(n+1)`` of an LSB before the final one: a half at most, a quarter for
operands whose zero point is in the middle.

All widths follow from the activation width ``n`` and the precision: see :class:`LaneWidths`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

__all__ = [
    "FINER",
    "LaneWidths",
    "Scaler",
    "UnrepresentableScale",
    "clamp",
    "make_add_multiplier",
    "make_scaler",
    "requantise",
    "residual_add",
    "residual_multiply",
    "round_shift",
]


class UnrepresentableScale(ValueError):
    """A real multiplier is not positive, not finite, or larger than the lane can hold."""


FINER = 2
"""Bits that a lane's own result keeps below an output's LSB where it is a factor of a product."""


@dataclass(frozen=True)
class LaneWidths:
    """Widths of the requantiser lane for ``act_bits``-bit activations and ``acc_bits``-bit accumulators.

    ``precision`` are bits beyond those that one DSP multiplier takes.
    """

    act_bits: int
    acc_bits: int
    precision: int = 0

    @property
    def guard(self) -> int:
        """Bits kept below the output's LSB by the pre-shift."""
        return self.act_bits + self.precision

    @property
    def headroom(self) -> int:
        """Bits the accumulator is shifted left first, so that multipliers up to 4 are representable."""
        return self.guard + 2

    @property
    def operand(self) -> int:
        """Signed bits of the multiplicand after the pre-shift."""
        return self.act_bits + self.guard + 2

    @property
    def mult(self) -> int:
        """Unsigned bits of the multiplier."""
        return 2 * self.guard

    @property
    def post(self) -> int:
        """The fixed right shift after the multiplication."""
        return self.guard + self.mult

    @property
    def max_shift(self) -> int:
        """Largest useful pre-shift: only the sign is left of it."""
        return self.headroom + self.acc_bits - 1

    @property
    def shift(self) -> int:
        """Unsigned bits of the pre-shift field."""
        return self.max_shift.bit_length()

    @property
    def delta(self) -> int:
        """Signed bits of a value relative to its zero point."""
        return self.act_bits + 1

    @property
    def own(self) -> int:
        """Signed bits of a lane's own result where another tensor is added to it or multiplied with it."""
        return self.delta + FINER

    @property
    def add_mult(self) -> int:
        """Unsigned bits of a residual-add multiplier."""
        return self.act_bits + self.guard + 1

    @property
    def add_post(self) -> int:
        """The fixed right shift of the residual add; multipliers below 8 are representable."""
        return self.act_bits + self.guard - 2

    @property
    def product_post(self) -> int:
        """The right shift of a product with a residual operand."""
        return self.act_bits


@dataclass(frozen=True)
class Scaler:
    """A real multiplier as the lane holds it: ``multiplier * 2**(headroom - shift - post)``."""

    multiplier: int
    shift: int


def clamp(value: int, low: int, high: int) -> int:
    """``value`` limited to ``[low, high]``."""
    return max(low, min(high, value))


def round_shift(value: int, shift: int) -> int:
    """``value / 2**shift`` rounded to the nearest integer, ties to even. ``shift`` >= 1."""
    floor = value >> shift
    rest = value - (floor << shift)
    half = 1 << (shift - 1)
    return floor + int(rest > half or (rest == half and floor & 1 == 1))


def make_scaler(real: float, widths: LaneWidths) -> Scaler:
    """The lane's representation of a positive real multiplier.

    The shift is chosen so that ``real * 2**(shift - headroom)`` lies in ``[2**-(guard+1), 2**-guard)``; the multiplier
    then uses all its bits. Multipliers too small for the largest shift lose leading bits and, at the end, become zero.

    Raises:
        UnrepresentableScale: not finite, not positive, or 4 and above.
    """
    if not math.isfinite(real) or real <= 0:
        raise UnrepresentableScale(f"a rescaling factor must be finite and positive, got {real!r}")
    _, exponent = math.frexp(real)  # real = f * 2**exponent, f in [0.5, 1)
    shift = widths.headroom - widths.guard - exponent
    shift = min(shift, widths.max_shift)
    multiplier = round(Fraction(real) * Fraction(2) ** (shift - widths.headroom + widths.post))
    if multiplier == 1 << widths.mult:
        multiplier, shift = multiplier >> 1, shift - 1
    if shift < 0:
        limit = 2.0 ** (widths.headroom - widths.guard)
        raise UnrepresentableScale(f"a rescaling factor must be below {limit:g}, got {real!r}")
    return Scaler(multiplier, shift)


def make_add_multiplier(real: float, widths: LaneWidths) -> int:
    """The residual add's representation of a positive real multiplier: ``round(real * 2**add_post)``.

    Raises:
        UnrepresentableScale: not finite, not positive, or too large (8 and above).
    """
    if not math.isfinite(real) or real <= 0:
        raise UnrepresentableScale(f"a residual factor must be finite and positive, got {real!r}")
    multiplier = round(Fraction(real) * (1 << widths.add_post))
    if multiplier >= 1 << widths.add_mult:
        limit = 2.0 ** (widths.add_mult - widths.add_post)
        raise UnrepresentableScale(f"a residual factor must be below {limit:g}, got {real!r}")
    return multiplier


def requantise(acc: int, scaler: Scaler, low: int, high: int, widths: LaneWidths, finer: int = 0) -> int:
    """One lane, steps 1 to 5 above: accumulator (bias included) to a clamped value relative to the zero point.

    ``finer`` bits below the output's LSB are kept: the result, and its bounds, are in units of ``2**-finer`` of it.
    """
    shifted = (acc << widths.headroom) >> scaler.shift
    limit = 1 << (widths.operand - 1)
    operand = clamp(shifted, -limit, limit - 1)
    return clamp(round_shift(operand * scaler.multiplier, widths.post - finer), low, high)


def residual_add(own: int, other: int, m_own: int, m_other: int, low: int, high: int, widths: LaneWidths) -> int:
    """The fused add: two values relative to their zero points to one clamped value relative to the sum's."""
    return clamp(round_shift(own * m_own + other * m_other, widths.add_post), low, high)


def residual_multiply(own: int, other: int, low: int, high: int, widths: LaneWidths) -> int:
    """The product of a lane's own result, finer by :data:`FINER` bits, and a residual operand, both relative."""
    return clamp(round_shift(own * other, widths.product_post), low, high)
