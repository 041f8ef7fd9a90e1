# SPDX-License-Identifier: Apache-2.0
"""The frame layer against the same rules in Python, at the level of bytes, around a memory on the link."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
from amaranth.hdl import Module, ResetInserter
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from systolith.boards.host.protocol import Answer, Status, pack_answer, pack_request
from systolith.boards.shell.frames import FrameLayer
from systolith.spec.arch import PRESETS
from systolith.spec.link import DONE, Space, read_command, run_command, write_command
from tests.support.frame_peer import FramePeer
from tests.support.link_memory import LinkMemory
from tests.support.simulate import simulate

ARCH = PRESETS["tiny"]


class _Pair(wiring.Component):
    """A frame layer and a memory that RUN changes in its first line."""

    def __init__(self) -> None:
        super().__init__(
            {"rx": In(stream.Signature(8, always_ready=True)), "tx": Out(stream.Signature(8)), "drop": In(1)}
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        frames, memory = FrameLayer(), LinkMemory(ARCH, run_lines=1)
        m.submodules.frames = frames
        m.submodules.memory = ResetInserter(frames.engine_reset)(memory)
        m.d.comb += frames.drop.eq(self.drop)
        connect(m, flipped(self.rx), frames.rx)
        connect(m, frames.tx, flipped(self.tx))
        connect(m, frames.host_in, memory.host_in)
        connect(m, memory.host_out, frames.host_out)
        return m


def _talk(chunks: Sequence[bytes | None]) -> bytes:
    """Send chunks, each followed by time for its answer (None: a gap); all bytes that came back."""
    dut = _Pair()
    received = bytearray()

    async def feed(ctx: Any) -> None:
        for chunk in chunks:
            ctx.set(dut.drop, chunk is None)
            await ctx.tick()
            ctx.set(dut.drop, 0)
            for byte in chunk or b"":
                ctx.set(dut.rx.payload, byte)
                ctx.set(dut.rx.valid, 1)
                await ctx.tick()
                ctx.set(dut.rx.valid, 0)
                await ctx.tick().repeat(3)
            await ctx.tick().repeat(250)

    async def take(ctx: Any) -> None:
        ready = 0
        async for _, _, valid, byte in ctx.tick().sample(dut.tx.valid, dut.tx.payload):
            if valid and ready:
                received.append(byte)
            ready = 1 - ready
            ctx.set(dut.tx.ready, ready)

    simulate(dut, feed, background=[take])
    return bytes(received)


HELLO = pack_request(1, [], 0)
OPENED = pack_answer(Answer(1, Status.OK))


def test_hello_opens_a_session() -> None:
    assert _talk([HELLO]) == OPENED


def test_nothing_is_executed_without_a_session() -> None:
    request = pack_request(5, run_command(), 1)
    read = pack_request(2, read_command(Space.ACTIVATIONS, 0, 1), 1)
    assert _talk([request, HELLO, read]) == (
        pack_answer(Answer(5, Status.CLOSED)) + OPENED + pack_answer(Answer(2, Status.OK, (0,)))
    )


def test_repeated_request_is_answered_but_not_executed() -> None:
    run = pack_request(2, [*run_command(), *read_command(Space.ACTIVATIONS, 0, 1)], 2)
    answer = pack_answer(Answer(2, Status.OK, (DONE, 1)))
    assert _talk([HELLO, run, run, run]) == OPENED + answer * 3


def test_damaged_request_is_refused_and_not_executed() -> None:
    run = pack_request(2, [*run_command(), *read_command(Space.ACTIVATIONS, 0, 1)], 2)
    bad = run[:5] + bytes([run[5] ^ 1]) + run[6:]
    answers = pack_answer(Answer(2, Status.DAMAGED)) + pack_answer(Answer(2, Status.OK, (DONE, 1)))
    assert _talk([HELLO, bad, run]) == OPENED + answers


def test_gap_ends_a_half_received_request() -> None:
    write = pack_request(2, [*write_command(Space.ACTIVATIONS, 0, 1), 77, *read_command(Space.ACTIVATIONS, 0, 1)], 1)
    assert _talk([HELLO, write[:9], None, write]) == OPENED + pack_answer(Answer(2, Status.OK, (77,)))


def test_hello_rescues_an_engine_that_waits_for_words() -> None:
    # a WRITE that lacks its word: the frame layer is done, the memory is not
    short = pack_request(2, write_command(Space.ACTIVATIONS, 3, 1), 0)
    read = pack_request(3, read_command(Space.ACTIVATIONS, 3, 1), 1)
    answers = pack_answer(Answer(2, Status.OK)) + OPENED + pack_answer(Answer(3, Status.OK, (0,)))
    assert _talk([HELLO, short, HELLO, read]) == OPENED + answers


@pytest.mark.parametrize("seed", range(3))
def test_random_traffic_matches_the_rules(seed: int) -> None:
    rng = random.Random(seed)
    chunks: list[bytes | None] = [HELLO]
    sequence = 1
    for _ in range(40):
        sequence += rng.randrange(2)
        line, value = rng.randrange(8), rng.getrandbits(32)
        words, expect = rng.choice(
            [
                ([*write_command(Space.ACTIVATIONS, line, 1), value], 0),
                (read_command(Space.ACTIVATIONS, line, 4), 4),
                (run_command(), 1),
            ]
        )
        frame = pack_request(sequence, words, expect)
        if rng.random() < 0.3:
            index = rng.choice([1, *range(3, len(frame))])
            frame = frame[:index] + bytes([frame[index] ^ 1 << rng.randrange(8)]) + frame[index + 1 :]
        if rng.random() < 0.1:
            frame = frame[: rng.randrange(len(frame))]
        # another request under the number of the last one: its answer's length is its own affair
        chunks += [frame, None]
    peer, expected = FramePeer(ARCH), b""
    asked: dict[int, bytes] = {}
    kept: list[bytes | None] = []
    for chunk in chunks:
        if chunk is not None and len(chunk) > 4 and asked.setdefault(chunk[1], chunk[2:4]) != chunk[2:4]:
            continue
        kept.append(chunk)
        if chunk is None:
            peer.gap()
        else:
            expected += peer.take(chunk)
    assert _talk(kept) == expected
