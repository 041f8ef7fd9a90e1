# SPDX-License-Identifier: Apache-2.0
"""From figures to pixels: linear and logarithmic axes with round ticks."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, log10

__all__ = ["Axis", "Tick", "short"]


def short(value: float) -> str:
    """A number in at most four figures, with k, M or G for thousands."""
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * factor:
            return f"{value / factor:.3g}{unit}"
    return f"{value:.3g}"


@dataclass(frozen=True)
class Tick:
    """A labelled value and its pixel."""

    value: float
    at: float

    @property
    def label(self) -> str:
        """The value for reading."""
        return short(self.value)


@dataclass(frozen=True)
class Axis:
    """Values ``low`` to ``high`` on pixels ``start`` to ``stop``, which may run either way."""

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def at(self, value: float) -> float:
        """The pixel of a value."""
        if self.log:
            share = log10(value / self.low) / log10(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.stop - self.start)

    def ticks(self, count: int = 6) -> list[Tick]:
        """Round values inside the axis, about ``count`` of them; on a logarithmic axis whole decades, or 1, 2, 5."""
        values = self._decades(count) if self.log else self._steps(count)
        return [Tick(value, self.at(value)) for value in values]

    def _decades(self, count: int) -> list[float]:
        decades = range(floor(log10(self.low)), ceil(log10(self.high)) + 1)
        digits = (1, 2, 5) if 3 * log10(self.high / self.low) <= count + 1 else (1,)
        values = [digit * 10.0**decade for decade in decades for digit in digits]
        return [value for value in values if self.low <= value <= self.high]

    def _steps(self, count: int) -> list[float]:
        rough = (self.high - self.low) / count
        unit = 10.0 ** floor(log10(rough))
        step = next(digit * unit for digit in (1, 2, 5, 10) if digit * unit >= rough)
        first, last = ceil(self.low / step), floor(self.high / step)
        return [index * step for index in range(first, last + 1)]
