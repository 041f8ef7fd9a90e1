# SPDX-License-Identifier: Apache-2.0
from typing import Any

from systolith.boards.host.protocol import checksum
from systolith.boards.shell.crc import make_crc
from tests.support.simulate import simulate


def test_agrees_with_the_host() -> None:
    dut = make_crc()

    async def bench(ctx: Any) -> None:
        ctx.set(dut.valid, 1)
        for byte in b"123456789":
            ctx.set(dut.data, byte)
            await ctx.tick()
        assert ctx.get(dut.crc) == checksum(b"123456789")

    simulate(dut, bench)
