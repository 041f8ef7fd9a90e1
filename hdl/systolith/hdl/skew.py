# SPDX-License-Identifier: Apache-2.0
"""Delay lines of different lengths side by side: the skew of a systolic array, and its inverse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Module, ShapeLike, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.outline import outlined

__all__ = ["Skew", "delayed"]


def delayed(m: Module, value: Any, shape: ShapeLike, cycles: int, name: str) -> Any:
    """``value`` after ``cycles`` registers without reset, named ``name_1`` onwards."""
    for step in range(1, cycles + 1):
        register = Signal(shape, name=f"{name}_{step}", reset_less=True)
        m.d.sync += register.eq(value)
        value = register
    return value


class Skew(wiring.Component):
    """Item ``i`` of ``skewed`` is item ``i`` of ``items``, ``delays[i]`` cycles later.

    Members: ``items`` (In) and ``skewed`` (Out), arrays of ``len(delays)`` of ``shape``.
    """

    def __init__(self, *, shape: ShapeLike, delays: Sequence[int]) -> None:
        """Build; raises ValueError for a negative delay."""
        if any(delay < 0 for delay in delays):
            raise ValueError(f"delays must not be negative, got {list(delays)}")
        array = data.ArrayLayout(shape, len(delays))
        super().__init__({"items": In(array), "skewed": Out(array)})
        self._shape = shape
        self._delays = tuple(delays)

    @property
    def delays(self) -> tuple[int, ...]:
        """Cycles of delay by item."""
        return self._delays

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        for index, delay in enumerate(self._delays):
            m.d.comb += self.skewed[index].eq(delayed(m, self.items[index], self._shape, delay, f"item{index}"))
        return m
