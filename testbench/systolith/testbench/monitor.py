# SPDX-License-Identifier: Apache-2.0
"""Monitors of a monitored engine's ports, inside a cocotb bench."""

from __future__ import annotations

from collections.abc import Callable

from cocotb.handle import LogicArrayObject, LogicObject

__all__ = ["StoreMonitor", "TallyMonitor"]


async def _watch(clock: LogicObject, valid: LogicObject, record: Callable[[], None]) -> None:
    """Call ``record`` at each edge that finds ``valid`` high, until cancelled; sleeps while it is low."""
    edge = clock.rising_edge
    while True:
        await edge
        while valid.value != 1:
            await valid.rising_edge
            await edge
        record()


class StoreMonitor:
    """Records every store: the cycle, the element address and the raw bits of the stored elements."""

    def __init__(
        self,
        *,
        clock: LogicObject,
        valid: LogicObject,
        address: LogicArrayObject,
        data: LogicArrayObject,
        cycle: Callable[[], int],
    ) -> None:
        """Take the trace port's signals; nothing is driven."""
        self._clock = clock
        self._valid = valid
        self._address = address
        self._data = data
        self._cycle = cycle
        self.cycles: list[int] = []
        self.addresses: list[int] = []
        self.data: list[int] = []
        """Raw bits, the first lane in the least significant ones."""

    async def watch(self) -> None:
        """Record until cancelled."""
        await _watch(self._clock, self._valid, self._record)

    def _record(self) -> None:
        self.cycles.append(self._cycle())
        self.addresses.append(self._address.value.to_unsigned())
        self.data.append(self._data.value.to_unsigned())


class TallyMonitor:
    """Records what the tally beside an engine shows; see :mod:`systolith.testbench.tallies`."""

    def __init__(self, *, clock: LogicObject, valid: LogicObject, end: LogicObject, counts: LogicArrayObject) -> None:
        """Take the tally's ports; nothing is driven."""
        self._clock = clock
        self._valid = valid
        self._end = end
        self._counts = counts
        self.counts: list[int] = []
        """Raw bits, the first counter in the least significant ones."""
        self.ends: list[bool] = []

    async def watch(self) -> None:
        """Record until cancelled."""
        await _watch(self._clock, self._valid, self._record)

    def _record(self) -> None:
        self.counts.append(self._counts.value.to_unsigned())
        self.ends.append(self._end.value == 1)
