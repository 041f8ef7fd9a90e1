# SPDX-License-Identifier: Apache-2.0
import random
from typing import Any

import pytest

from systolith.boards.host.protocol import Answer, Status, pack_answer
from systolith.boards.shell.answer import AnswerSender
from tests.support.simulate import simulate


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, Status.OK),
        Answer(1, Status.OK, (0x11223344, 0xFFFFFFFF, 0)),
        Answer(3, Status.OK, tuple(range(255))),
        Answer(9, Status.CLOSED),
    ],
)
def test_sends_what_the_host_reads(answer: Answer) -> None:
    dut, rng = AnswerSender(), random.Random(0)
    sent = bytearray()

    async def bench(ctx: Any) -> None:
        ctx.set(dut.header.sequence, answer.sequence)
        ctx.set(dut.header.status, answer.status)
        ctx.set(dut.header.length, len(answer.words))
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        await ctx.tick().until(dut.done)
        await ctx.tick().repeat(5)
        assert ctx.get(dut.bytes.valid) == 0

    async def memory(ctx: Any) -> None:
        async for _, _, address in ctx.tick().sample(dut.buffer.addr):
            ctx.set(dut.buffer.data, [*answer.words, 0][address])

    async def take(ctx: Any) -> None:
        ready = 0
        async for _, _, valid, byte in ctx.tick().sample(dut.bytes.valid, dut.bytes.payload):
            if valid and ready:
                sent.append(byte)
            # a serial line is never ready in two neighbouring cycles
            ready = int(not ready and rng.random() < 0.5)
            ctx.set(dut.bytes.ready, ready)

    simulate(dut, bench, background=[memory, take])
    assert sent == pack_answer(answer)
