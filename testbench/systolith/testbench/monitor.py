# SPDX-License-Identifier: Apache-2.0
"""Monitor of the engine's store port, inside a cocotb bench."""

from __future__ import annotations

from collections.abc import Callable

from cocotb.handle import LogicArrayObject, LogicObject

__all__ = ["StoreMonitor"]


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
        """Record until cancelled; sleeps while nothing is stored."""
        edge = self._clock.rising_edge
        while True:
            await edge
            while self._valid.value != 1:
                await self._valid.rising_edge
                await edge
            self._record()

    def _record(self) -> None:
        self.cycles.append(self._cycle())
        self.addresses.append(self._address.value.to_unsigned())
        self.data.append(self._data.value.to_unsigned())
