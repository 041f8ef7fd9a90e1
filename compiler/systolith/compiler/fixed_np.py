# SPDX-License-Identifier: Apache-2.0
"""The normative arithmetic of :mod:`systolith.spec.fixed` on whole int64 arrays, bit for bit.

All functions take arrays that broadcast against each other and return int64. No intermediate value exceeds 63 bits for
any widths an :class:`~systolith.spec.arch.Arch` allows (activations up to 16 bits, accumulators up to 64): values that
saturate anyway are clamped before the left shift, and products wider than 63 bits are computed in two parts.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from systolith.spec.fixed import LaneWidths, make_scaler

__all__ = ["Ints", "clamp", "make_scalers", "requantise", "residual_add", "residual_multiply", "round_shift"]

Ints = NDArray[np.int64]

_INT64_BITS = 63
"""Magnitude bits of int64."""


def clamp(values: Ints, low: int, high: int) -> Ints:
    """Values limited to ``[low, high]``."""
    return np.minimum(np.maximum(values, low), high)


def make_scalers(reals: Iterable[float], widths: LaneWidths) -> tuple[Ints, Ints]:
    """Multipliers and shifts of real factors, each of the factors' length.

    Raises:
        UnrepresentableScale: a factor is not positive, not finite, or too large.
    """
    pairs = [(scaler.multiplier, scaler.shift) for scaler in (make_scaler(float(real), widths) for real in reals)]
    table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def round_shift(values: Ints, shift: int) -> Ints:
    """``values / 2**shift`` rounded to nearest, ties to even; 1 <= shift <= 62."""
    floor = values >> shift
    return floor + _round_up(floor, values & ((1 << shift) - 1), shift)


def _round_up(floor: Ints, rest: Ints, shift: int) -> Ints:
    """1 where ``floor + rest / 2**shift`` rounds up: above the middle, or on it with an odd ``floor``."""
    half = 1 << (shift - 1)
    return np.asarray(rest + (floor & 1) > half, dtype=np.int64)


def _operand(acc: Ints, shift: Ints, widths: LaneWidths) -> Ints:
    """``(acc << headroom) >> shift``, floored, saturated to the operand's bits.

    A net left shift is applied to the accumulator clamped to the operand's range: what that clamps saturates after the
    shift as well.
    """
    limit = 1 << (widths.operand - 1)
    left = np.maximum(widths.headroom - shift, 0)
    right = np.maximum(shift - widths.headroom, 0)
    if left.any():
        acc = np.where(left > 0, clamp(acc, -limit, limit - 1) << left, acc)
    return clamp(acc >> right, -limit, limit - 1)


def _wide_product(operand: Ints, multiplier: Ints, post: int, widths: LaneWidths) -> Ints:
    """``operand * multiplier`` shifted right by ``post`` and rounded, for products of more than 63 bits.

    With ``multiplier = upper * 2**n + lower`` the product is ``whole * 2**n + rest`` with ``0 <= rest < 2**n``.
    """
    n = widths.act_bits
    lower = operand * (multiplier & ((1 << n) - 1))
    whole = operand * (multiplier >> n) + (lower >> n)
    floor = whole >> (post - n)
    rest = ((whole & ((1 << (post - n)) - 1)) << n) + (lower & ((1 << n) - 1))
    return np.asarray(floor + _round_up(floor, rest, post))


def requantise(
    acc: ArrayLike, multiplier: Ints, shift: Ints, low: int, high: int, widths: LaneWidths, finer: int = 0
) -> Ints:
    """:func:`systolith.spec.fixed.requantise` element by element: accumulators to values relative to the zero point."""
    operand, post = _operand(np.asarray(acc, dtype=np.int64), shift, widths), widths.post - finer
    if widths.operand + widths.mult > _INT64_BITS:
        return clamp(_wide_product(operand, multiplier, post, widths), low, high)
    return clamp(round_shift(operand * multiplier, post), low, high)


def residual_add(own: Ints, other: Ints, m_own: int, m_other: int, low: int, high: int, widths: LaneWidths) -> Ints:
    """:func:`systolith.spec.fixed.residual_add` element by element; operands relative to their zero points."""
    return clamp(round_shift(own * m_own + other * m_other, widths.add_post), low, high)


def residual_multiply(own: Ints, other: Ints, low: int, high: int, widths: LaneWidths) -> Ints:
    """:func:`systolith.spec.fixed.residual_multiply` element by element; operands relative to their zero points."""
    return clamp(round_shift(own * other, widths.product_post), low, high)
