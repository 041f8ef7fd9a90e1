# SPDX-License-Identifier: Apache-2.0
from typing import Any

from systolith.boards.host.protocol import pack_request
from systolith.boards.shell.request import RequestReceiver
from tests.support.simulate import simulate

DROP = -1
"""In a stream of bytes: the line was silent."""


def _receive(stream: list[int], enable: bool = True) -> tuple[list[tuple[int, int, int, int]], dict[int, list[int]]]:
    """The (sequence, length, expect, intact) of each frame, and the buffer's bytes by word."""
    dut = RequestReceiver()
    frames: list[tuple[int, int, int, int]] = []
    buffer: dict[int, list[int]] = {}

    async def feed(ctx: Any) -> None:
        ctx.set(dut.enable, enable)
        for item in stream:
            ctx.set(dut.drop if item == DROP else dut.bytes.valid, 1)
            ctx.set(dut.bytes.payload, max(item, 0))
            await ctx.tick()
            ctx.set(dut.drop, 0)
            ctx.set(dut.bytes.valid, 0)
            # a serial line leaves at least so many cycles
            await ctx.tick().repeat(3)

    async def watch(ctx: Any) -> None:
        ports = (dut.done, dut.intact, dut.header, dut.buffer.en, dut.buffer.addr, dut.buffer.data)
        async for _, _, done, intact, header, enables, address, data in ctx.tick().sample(*ports):
            if done:
                frames.append((header.sequence, header.length, header.expect, intact))
            for lane in range(4):
                if enables >> lane & 1:
                    buffer.setdefault(address, [0] * 4)[lane] = data >> 8 * lane & 0xFF

    simulate(dut, feed, background=[watch])
    return frames, buffer


def test_whole_frames() -> None:
    stream = [*pack_request(7, [0x11223344, 0xA5A5A5A5], 9), *pack_request(8, [], 0), *pack_request(9, [1], 255)]
    frames, buffer = _receive(stream)
    assert frames == [(7, 2, 9, 1), (8, 0, 0, 1), (9, 1, 255, 1)]
    assert buffer == {0: [1, 0, 0, 0], 1: [0xA5] * 4}


def test_longest_frame() -> None:
    frames, buffer = _receive(list(pack_request(1, list(range(255)), 0)))
    assert frames == [(1, 255, 0, 1)]
    assert buffer == {word: [word, 0, 0, 0] for word in range(255)}


def test_every_damaged_byte_shows() -> None:
    good = pack_request(7, [0x11223344], 2)
    for index in range(1, len(good)):
        if index == 2:  # the length: the frame then ends elsewhere
            continue
        bad = [byte ^ (0x40 if place == index else 0) for place, byte in enumerate(good)]
        frames, _ = _receive(bad)
        assert [frame[3] for frame in frames] == [0], f"byte {index}"


def test_garbage_before_a_frame_is_skipped() -> None:
    assert _receive([0, 1, 0x5A, *pack_request(3, [5], 0)])[0] == [(3, 1, 0, 1)]


def test_silence_drops_half_a_frame_wherever_it_is_cut() -> None:
    half = pack_request(1, [5, 6], 0)
    for cut in range(1, len(half)):
        assert _receive([*half[:cut], DROP, *pack_request(2, [7], 0)])[0] == [(2, 1, 0, 1)], f"cut at {cut}"


def test_nothing_begins_while_disabled() -> None:
    assert _receive(list(pack_request(1, [5], 0)), enable=False) == ([], {})
