# SPDX-License-Identifier: Apache-2.0
"""Driver of a ready/valid stream of words, inside a cocotb bench."""

from __future__ import annotations

from collections.abc import Iterable

from cocotb.handle import LogicArrayObject, LogicObject
from cocotb.triggers import ClockCycles

from .pauses import Pauses

__all__ = ["WordSource"]


class WordSource:
    """Offers words one by one; a word leaves at the rising clock edge that finds ``ready`` high.

    ``valid`` never falls before the word is taken, whatever the pauses: that is the stream's rule.
    """

    def __init__(
        self,
        *,
        clock: LogicObject,
        valid: LogicObject,
        ready: LogicObject,
        payload: LogicArrayObject,
        pauses: Pauses,
    ) -> None:
        """Take the port's signals; drives ``valid`` low."""
        self._clock = clock
        self._valid = valid
        self._ready = ready
        self._payload = payload
        self._pauses = pauses
        self.sent = 0
        """Words taken by the receiver so far."""
        self.idle()

    def idle(self) -> None:
        """Offer nothing."""
        self._valid.value = 0

    async def send(self, words: Iterable[int]) -> None:
        """Send all words, the first one offered from the next cycle on."""
        gaps = self._pauses.gaps()
        for word in words:
            if gap := next(gaps):
                self.idle()
                await ClockCycles(self._clock, gap)
            self._payload.value = word
            self._valid.value = 1
            await self._taken()
            self.sent += 1
        self.idle()

    async def _taken(self) -> None:
        """Wait for the edge at which the word leaves; a long wait costs no wake-up a cycle."""
        edge = self._clock.rising_edge
        await edge
        while self._ready.value != 1:
            await self._ready.rising_edge
            await edge
