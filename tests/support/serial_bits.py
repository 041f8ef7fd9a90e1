# SPDX-License-Identifier: Apache-2.0
"""A serial line in Amaranth's simulator: sends bytes to a pin, collects bytes from one."""

from __future__ import annotations

from typing import Any

from systolith.testbench.serial_line import line_levels

__all__ = ["Listener", "send_bytes"]


async def send_bytes(ctx: Any, pin: Any, data: bytes, divisor: int) -> None:
    """Drive all bytes, without a gap."""
    for level, bits in line_levels(data):
        ctx.set(pin, level)
        await ctx.tick().repeat(bits * divisor)


class Listener:
    """A background process that collects the bytes on a pin. ``errors`` counts low stop bits."""

    def __init__(self, pin: Any, divisor: int) -> None:
        """Watch ``pin``."""
        self._pin, self._divisor = pin, divisor
        self.received = bytearray()
        self.errors = 0

    async def listen(self, ctx: Any) -> None:
        """Run for ever."""
        while True:
            await ctx.tick()
            if ctx.get(self._pin):
                continue
            await ctx.tick().repeat(self._divisor // 2)
            byte = 0
            for index in range(8):
                await ctx.tick().repeat(self._divisor)
                byte |= ctx.get(self._pin) << index
            await ctx.tick().repeat(self._divisor)
            self.errors += not ctx.get(self._pin)
            self.received.append(byte)
