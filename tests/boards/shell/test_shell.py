# SPDX-License-Identifier: Apache-2.0
from typing import Any

import pytest

from systolith.boards.host.protocol import Answer, Status, pack_answer, pack_request
from systolith.boards.shell.shell import Shell
from systolith.spec.arch import PRESETS
from systolith.spec.link import DONE, Space, read_command, run_command
from tests.support.link_memory import LinkMemory
from tests.support.serial_bits import Listener, send_bytes
from tests.support.simulate import simulate

DIVISOR, GAP_BITS = 4, 64


def _shell() -> Shell:
    return Shell(engine=LinkMemory(PRESETS["tiny"], run_lines=1), divisor=DIVISOR, gap_bits=GAP_BITS)


def test_attributes_and_refusals() -> None:
    assert _shell().divisor == DIVISOR
    assert _shell().gap_cycles == DIVISOR * GAP_BITS
    with pytest.raises(ValueError, match="divisor must be at least 4"):
        Shell(engine=LinkMemory(PRESETS["tiny"]), divisor=2)


def _talk(*steps: bytes | str) -> bytes:
    """Send frames (or ``break``) one after the other; what came back, by the pins."""
    dut = _shell()
    listener = Listener(dut.tx, DIVISOR)

    async def drive(ctx: Any) -> None:
        for step in steps:
            if isinstance(step, str):
                ctx.set(dut.rx, 0)
                await ctx.tick().repeat(2 * dut.gap_cycles)
                ctx.set(dut.rx, 1)
            else:
                await send_bytes(ctx, dut.rx, step, DIVISOR)
            await ctx.tick().repeat(20 * 10 * DIVISOR)

    simulate(dut, drive, background=[listener.listen])
    assert listener.errors == 0
    return bytes(listener.received)


HELLO = pack_request(1, [], 0)
RUN = pack_request(2, [*run_command(), *read_command(Space.ACTIVATIONS, 0, 1)], 2)


def test_request_and_answer_at_the_pins() -> None:
    assert _talk(HELLO, RUN) == pack_answer(Answer(1, Status.OK)) + pack_answer(Answer(2, Status.OK, (DONE, 1)))


def test_break_closes_the_session() -> None:
    answers = [Answer(1, Status.OK), Answer(2, Status.CLOSED), Answer(1, Status.OK), Answer(2, Status.OK, (DONE, 1))]
    assert _talk(HELLO, "break", RUN, HELLO, RUN) == b"".join(map(pack_answer, answers))


def test_break_ends_a_half_received_request() -> None:
    assert _talk(HELLO, RUN[:7], "break", HELLO) == pack_answer(Answer(1, Status.OK)) * 2


def test_silence_ends_a_half_received_request() -> None:
    answers = [Answer(1, Status.OK), Answer(2, Status.OK, (DONE, 1))]
    assert _talk(HELLO, RUN[:7], RUN) == b"".join(map(pack_answer, answers))
