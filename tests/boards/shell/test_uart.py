# SPDX-License-Identifier: Apache-2.0
from typing import Any

import pytest

from systolith.boards.shell.uart import MIN_DIVISOR, UartReceiver, UartTransmitter
from tests.support.serial_bits import Listener, send_bytes
from tests.support.simulate import simulate

EVERY_BYTE = bytes(range(256))


@pytest.mark.parametrize("component", [UartReceiver, UartTransmitter])
def test_attributes_and_refusals(component: Any) -> None:
    assert component(divisor=12).divisor == 12
    with pytest.raises(TypeError, match="divisor must be an int, got 4.5"):
        component(divisor=4.5)
    with pytest.raises(ValueError, match="divisor must be at least 4 cycles per bit, got 3"):
        component(divisor=MIN_DIVISOR - 1)


def _receive(divisor: int, levels: list[tuple[int, int]]) -> bytes:
    """The bytes received from a line that has each level for so many cycles."""
    dut, received = UartReceiver(divisor=divisor), bytearray()

    async def drive(ctx: Any) -> None:
        for level, cycles in levels:
            ctx.set(dut.line, level)
            await ctx.tick().repeat(cycles)

    async def watch(ctx: Any) -> None:
        async for _, _, valid, byte in ctx.tick().sample(dut.data.valid, dut.data.payload):
            if valid:
                received.append(byte)

    simulate(dut, drive, background=[watch])
    return bytes(received)


def _levels(data: bytes, divisor: float) -> list[tuple[int, int]]:
    """A line whose bits last ``divisor`` cycles, not necessarily a whole number."""
    levels, time = [], 0.0
    for byte in data:
        for bit in (0, *((byte >> index) & 1 for index in range(8)), 1):
            cycles = round(time + divisor) - round(time)
            levels.append((bit, cycles))
            time += divisor
    return [(1, 20), *levels, (1, 40)]


@pytest.mark.parametrize("divisor", [4, 5, 12])
def test_receives_every_byte_back_to_back(divisor: int) -> None:
    assert _receive(divisor, _levels(EVERY_BYTE, divisor)) == EVERY_BYTE


@pytest.mark.parametrize("error", [0.98, 1.02])
def test_tolerates_a_wrong_rate(error: float) -> None:
    assert _receive(12, _levels(EVERY_BYTE, 12 * error)) == EVERY_BYTE


def test_glitch_is_no_start_bit() -> None:
    assert _receive(8, [(1, 20), (0, 2), (1, 60), *_levels(b"a", 8)]) == b"a"


def test_byte_without_stop_bit_is_dropped() -> None:
    assert _receive(8, [(1, 20), (0, 8 * 30), (1, 100), *_levels(b"a", 8)]) == b"a"


@pytest.mark.parametrize("divisor", [4, 12])
def test_sends_every_byte(divisor: int) -> None:
    dut = UartTransmitter(divisor=divisor)
    listener = Listener(dut.line, divisor)

    async def feed(ctx: Any) -> None:
        for byte in EVERY_BYTE:
            ctx.set(dut.data.payload, byte)
            ctx.set(dut.data.valid, 1)
            await ctx.tick().until(dut.data.ready)
        ctx.set(dut.data.valid, 0)
        await ctx.tick().repeat(12 * divisor)
        assert ctx.get(dut.line) == 1

    simulate(dut, feed, background=[listener.listen])
    assert listener.received == EVERY_BYTE
    assert listener.errors == 0


def test_back_to_back_bytes_take_ten_bits_and_a_cycle() -> None:
    dut = UartTransmitter(divisor=4)
    accepted: list[int] = []

    async def feed(ctx: Any) -> None:
        ctx.set(dut.data.valid, 1)
        for cycle in range(200):
            if ctx.get(dut.data.ready):
                accepted.append(cycle)
            await ctx.tick()

    simulate(dut, feed)
    assert {after - before for before, after in zip(accepted, accepted[1:], strict=False)} == {41}


def test_line_and_bench_agree() -> None:
    dut = UartReceiver(divisor=4)
    received = bytearray()

    async def drive(ctx: Any) -> None:
        await send_bytes(ctx, dut.line, b"\x00\xff", 4)

    async def watch(ctx: Any) -> None:
        async for _, _, valid, byte in ctx.tick().sample(dut.data.valid, dut.data.payload):
            if valid:
                received.append(byte)

    simulate(dut, drive, background=[watch])
    assert received == b"\x00\xff"[: len(received)]
    assert received
