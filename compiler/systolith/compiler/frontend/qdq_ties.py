# SPDX-License-Identifier: Apache-2.0
"""Whether it matters to a result if its zero point is added before or after rounding.

It does for an odd zero point and a value halfway between two integers: ties go to even, to the even sum in one case, to
the even distance from the zero point in the other. Scales are rational numbers, so that this is decidable: of the
multiples of ``p / q`` in lowest terms those by odd multiples of ``q / 2`` are halves, if q is even. The scales of
trained networks mostly have denominators beyond any sum; powers of two and means over even numbers have halves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import numpy as np

from .qdq_values import Pending

__all__ = ["may_tie"]

_BITS = 8
"""Of the activations of a network of the QONNX dialect, at most."""

_REACH = (1 << _BITS) - 1
"""Their integers are not farther than this from the zero point."""

_NEAR = 1e-6
"""How far double precision may be off a half."""


def may_tie(pending: Pending, scale: float) -> bool:
    """Whether a result, or one of its bounds, may lie halfway between two multiples of ``scale``."""
    step = Fraction(scale)
    edges = (pending.low, pending.high, pending.attributes.get("fill", 0.0))
    if any(math.isfinite(edge) and _is_half(Fraction(edge) / step) for edge in edges):
        return True
    if pending.parts:
        return any(may_tie(part, scale) for part in pending.parts)
    if pending.op == "QTable":
        return any(_is_half(Fraction(float(value)) / step) for value in pending.constants["curve"])
    return _RULES[pending.op](pending, [Fraction(float(unit)) / step for unit in np.ravel(pending.scales)])


def _is_half(value: Fraction) -> bool:
    return value.denominator == 2


def _reaches_half(unit: Fraction, most: int) -> bool:
    """Whether some multiple of ``unit``, by ``most`` at most, is halfway between two integers."""
    return unit.denominator % 2 == 0 and unit.denominator // 2 <= most


def _layer(pending: Pending, units: Sequence[Fraction]) -> bool:
    weight, bias = (np.abs(pending.constants[role]) for role in ("weight", "bias"))
    sums = weight.reshape(len(weight), -1).sum(axis=1) * _REACH + bias
    return any(_reaches_half(unit, int(most)) for unit, most in zip(units, sums, strict=True))


def _single(pending: Pending, units: Sequence[Fraction]) -> bool:
    return any(_reaches_half(unit, _REACH) for unit in units)


def _product(pending: Pending, units: Sequence[Fraction]) -> bool:
    """The unit is that of a product shifted by the bits of an activation."""
    return any(_reaches_half(unit / (1 << _BITS), _REACH**2) for unit in units)


def _matrix(pending: Pending, units: Sequence[Fraction]) -> bool:
    """Any number of products, so that sums reach any half that there is."""
    return any(unit.denominator % 2 == 0 for unit in units)


def _pool(pending: Pending, units: Sequence[Fraction]) -> bool:
    """At the borders, averages are over fewer elements."""
    most = math.prod(pending.attributes["kernel"]) if pending.attributes["mode"] == "average" else 1
    return any(_reaches_half(units[0] / count, count * _REACH) for count in range(1, most + 1))


def _sum(pending: Pending, units: Sequence[Fraction]) -> bool:
    """All sums of two multiples: in double precision, and those that are close to a half exactly."""
    steps = np.arange(-_REACH, _REACH + 1)
    sums = steps[:, None] * float(units[0]) + steps * float(units[1])
    close = np.argwhere(np.abs(sums - np.floor(sums) - 0.5) < _NEAR) - _REACH
    return any(_is_half(int(left) * units[0] + int(right) * units[1]) for left, right in close)


_RULES: Mapping[str, Callable[[Pending, Sequence[Fraction]], bool]] = {
    "QAdd": _sum,
    "QConv": _layer,
    "QMatMul": _matrix,
    "QMove": _single,
    "QMul": _product,
    "QPool": _pool,
    "QRequant": _single,
}
"""By integer-level operator, what the units of its operands, in steps of the output, reach."""
