# SPDX-License-Identifier: Apache-2.0
import random
from typing import Any

import pytest

from systolith.boards.shell.player import Player
from tests.support.simulate import simulate


def _play(words: list[int], answers: list[int], seed: int) -> tuple[list[int], list[int]]:
    """The words that came out of ``host_in``, and the answer buffer."""
    dut, rng = Player(), random.Random(seed)
    played: list[int] = []
    buffer = [0] * 256

    async def start(ctx: Any) -> None:
        ctx.set(dut.length, len(words))
        ctx.set(dut.expect, len(answers))
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        await ctx.tick().until(dut.done)

    async def memory(ctx: Any) -> None:
        async for _, _, address in ctx.tick().sample(dut.request.addr):
            ctx.set(dut.request.data, [*words, 0xDEAD][address])

    async def take(ctx: Any) -> None:
        async for _, _, valid, ready, word in ctx.tick().sample(
            dut.host_in.valid, dut.host_in.ready, dut.host_in.payload
        ):
            if valid and ready:
                played.append(word)
            ctx.set(dut.host_in.ready, rng.random() < 0.5)

    async def give(ctx: Any) -> None:
        left = list(answers)
        async for _, _, valid, ready in ctx.tick().sample(dut.host_out.valid, dut.host_out.ready):
            if valid and ready:
                left.pop(0)
            ctx.set(dut.host_out.valid, bool(left) and rng.random() < 0.5)
            ctx.set(dut.host_out.payload.data, left[0] if left else 0)

    async def store(ctx: Any) -> None:
        ports = (dut.answer.en, dut.answer.addr, dut.answer.data)
        async for _, _, enables, address, word in ctx.tick().sample(*ports):
            buffer[address] = word if enables == 0b1111 else buffer[address]

    simulate(dut, start, background=[memory, take, give, store])
    return played, buffer[: len(answers)]


@pytest.mark.parametrize("seed", range(4))
def test_plays_and_collects_at_once(seed: int) -> None:
    rng = random.Random(seed)
    words = [rng.getrandbits(32) for _ in range(rng.randrange(1, 40))]
    answers = [rng.getrandbits(32) for _ in range(rng.randrange(0, 40))]
    assert _play(words, answers, seed) == (words, answers)


def test_takes_nothing_while_idle() -> None:
    dut = Player()

    async def bench(ctx: Any) -> None:
        ctx.set(dut.host_out.valid, 1)
        for _ in range(5):
            await ctx.tick()
            assert ctx.get(dut.host_out.ready) == 0
            assert ctx.get(dut.host_in.valid) == 0

    simulate(dut, bench)
