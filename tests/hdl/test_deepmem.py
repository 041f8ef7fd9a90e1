# SPDX-License-Identifier: Apache-2.0
import random
from itertools import accumulate
from typing import Any

import pytest
from amaranth.hdl import Fragment

from systolith.hdl.deepmem import BLOCK_BITS, WIDE_DEPTH, DeepMemory, pieces
from systolith.hdl.target import Target
from tests.support.simulate import simulate


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        (100, [100]),
        (2048, [2048]),
        (4096, [2048, 2048]),
        (8448, [2048] * 4 + [256]),
        (14336, [8192, 2048, 2048, 2048]),
        (16640, [16384, 256]),
        (131072, [16384] * 8),
    ],
)
def test_pieces(depth: int, expected: list[int]) -> None:
    assert pieces(depth) == expected


def test_pieces_add_up_and_lie_at_multiples_of_their_size() -> None:
    for depth in [*range(2, 40000, 37), 1 << 17]:
        sizes = pieces(depth)
        assert sum(sizes) == depth
        for start, size in zip(accumulate(sizes[:-1], initial=0), sizes, strict=True):
            assert start % (1 << (size - 1).bit_length()) == 0, (depth, sizes)
        assert all(size <= BLOCK_BITS for size in sizes)
        assert all(size & (size - 1) == 0 and size >= WIDE_DEPTH for size in sizes[:-1])


@pytest.mark.parametrize("target", [Target.GENERIC, Target.ECP5])
@pytest.mark.parametrize("single_port", [True, False])
@pytest.mark.parametrize("depth", [64, 2048 + 70, 4096 + 70, 10240 + 2048 + 1])
def test_answers_what_was_written(depth: int, single_port: bool, target: Target) -> None:
    """Reads and writes at the pieces' ends and anywhere, back to back.

    With one port a write excludes a read; with two it is undefined what the line gives in the very cycle of its write.
    """
    rng, bits = random.Random(depth), 7
    dut = DeepMemory(bits=bits, depth=depth, single_port=single_port, target=target)
    ends = [place for start in accumulate(pieces(depth), initial=0) for place in (start - 1, start)]
    places = [place for place in ends if 0 <= place < depth] + [rng.randrange(depth) for _ in range(8)]

    async def bench(ctx: Any) -> None:
        model: dict[int, int] = {}
        answers: list[int | None] = []
        for _ in range(600):
            write, value = rng.random() < 0.4, rng.getrandbits(bits)
            line, other = rng.choice(places), rng.choice(places)
            for port, driven in ((dut.write_en, write), (dut.write_addr, line), (dut.write_data, value)):
                ctx.set(port, driven)
            ctx.set(dut.read_en, 1)
            ctx.set(dut.read_addr, other)
            answers.append(None if write and (single_port or other == line) else model.get(other, 0))
            if write:
                model[line] = value
            await ctx.tick()
            due = answers[-dut.latency] if len(answers) >= dut.latency else None
            assert due is None or ctx.get(dut.read_data) == due

    simulate(dut, bench)


def test_only_an_ecp5_cuts() -> None:
    for target in Target:
        dut = DeepMemory(bits=8, depth=4096, target=target)
        Fragment.get(dut, None)
        assert dut.latency == (3 if target is Target.ECP5 else 2)


def test_refuses_what_a_line_memory_refuses() -> None:
    with pytest.raises(ValueError, match="a single-port RAM has 16384 lines, got 16385"):
        DeepMemory(bits=32, depth=16385, target=Target.ICE40)
