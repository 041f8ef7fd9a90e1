# SPDX-License-Identifier: Apache-2.0
"""Receiver of a ready/valid stream of words, inside a cocotb bench."""

from __future__ import annotations

from collections.abc import Callable

from cocotb.handle import LogicArrayObject, LogicObject
from cocotb.triggers import ClockCycles

from .pauses import Pauses

__all__ = ["WordSink"]


class WordSink:
    """Collects words, the cycles they came in and the positions of those that carry ``last``.

    Without a pause ``ready`` is high in advance; a pause begins when a word is offered, so that every pause holds
    the sender back.
    """

    def __init__(
        self,
        *,
        clock: LogicObject,
        valid: LogicObject,
        ready: LogicObject,
        payload: LogicArrayObject,
        bits: int,
        pauses: Pauses,
        cycle: Callable[[], int],
        on_end: Callable[[], None],
    ) -> None:
        """Take the port's signals; ``payload`` is ``bits`` of data and above them ``last``, reported to ``on_end``."""
        self._clock = clock
        self._valid = valid
        self._ready = ready
        self._payload = payload
        self._bits = bits
        self._pauses = pauses
        self._cycle = cycle
        self._on_end = on_end
        self.words: list[int] = []
        self.cycles: list[int] = []
        """The cycle of each word."""
        self.ends: list[int] = []
        """Indices of the words with ``last``."""
        self._ready.value = 0

    async def receive(self, count: int) -> None:
        """Collect until ``count`` words are there."""
        gaps = self._pauses.gaps()
        while len(self.words) < count:
            if gap := next(gaps):
                await self._hold(gap)
            self._ready.value = 1
            await self._offered()
            self._take()
        self._ready.value = 0

    async def _hold(self, gap: int) -> None:
        """Keep ``ready`` low until a word has been offered for ``gap`` cycles."""
        self._ready.value = 0
        await self._offered()
        await ClockCycles(self._clock, gap - 1)

    async def _offered(self) -> None:
        """Wait for an edge at which ``valid`` is high."""
        edge = self._clock.rising_edge
        await edge
        while self._valid.value != 1:
            await self._valid.rising_edge
            await edge

    def _take(self) -> None:
        value = self._payload.value.to_unsigned()
        if value >> self._bits:
            self.ends.append(len(self.words))
            self._on_end()
        self.words.append(value & ((1 << self._bits) - 1))
        self.cycles.append(self._cycle())
