# SPDX-License-Identifier: Apache-2.0
from typing import Any

from systolith.boards.harness import Harness
from systolith.hdl.target import Target
from systolith.spec.arch import PRESETS
from systolith.spec.link import Space, ident, read_command
from tests.support.simulate import simulate

ARCH = PRESETS["tiny"].with_(act_lines=16, weight_lines=16, program_words=64, acc_depth=4, param_lines=4)


def test_few_pins() -> None:
    signature = Harness(arch=ARCH, target=Target.ECP5).signature
    assert sum(member.shape for member in signature.members.values()) == 7


def test_the_engine_answers_through_it() -> None:
    """Words go in bit by bit and are taken when told; the identity comes out bit by bit."""
    dut = Harness(arch=ARCH, target=Target.GENERIC)
    words: list[int] = []

    async def send(ctx: Any, word: int) -> None:
        for bit in reversed(range(32)):
            ctx.set(dut.word_in, word >> bit & 1)
            ctx.set(dut.in_valid, bit == 0)
            await ctx.tick()
        ctx.set(dut.in_valid, 0)

    async def receive(ctx: Any) -> None:
        """The answer is offered until it is taken: a cycle of ready, then 33 of shifting."""
        await ctx.tick().until(dut.out_valid)
        ctx.set(dut.out_ready, 1)
        await ctx.tick()
        ctx.set(dut.out_ready, 0)
        while ctx.get(dut.out_valid):
            await ctx.tick()
        word = 0
        for bit in range(32):
            word |= ctx.get(dut.word_out) << bit
            await ctx.tick()
        words.append(word)

    async def bench(ctx: Any) -> None:
        for word in read_command(Space.IDENT, 0, 1):
            await send(ctx, word)
        await receive(ctx)
        assert words == ident(ARCH)[:1]

    simulate(dut, bench)
