# SPDX-License-Identifier: Apache-2.0
import random

import pytest

from systolith.spec.arch import PRESETS
from systolith.spec.link import (
    Command,
    Space,
    header,
    ident,
    line_bits,
    line_words,
    pack_line,
    param_slots,
    read_command,
    run_command,
    space_lines,
    spaces,
    unpack_line,
    write_command,
)

ARCH = PRESETS["8x8"]


def test_headers() -> None:
    assert header(Command.WRITE, Space.ACTIVATIONS, 0x1234) == 0x1300_1234
    assert write_command(Space.WEIGHTS, 1, 2) == [0x1100_0001, 2]
    assert read_command(Space.COUNTERS, 0, 9) == [0x2400_0000, 9]
    assert run_command() == [0x3000_0000]


def test_an_address_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="line address must be in"):
        header(Command.READ, Space.PROGRAM, 1 << 24)


def test_lines_of_every_space() -> None:
    assert {space.name: line_bits(space, ARCH) for space in Space} == {
        "PROGRAM": 32,
        "WEIGHTS": 128,
        "PARAMS": 8 * 54,
        "ACTIVATIONS": 64,
        "COUNTERS": 32,
        "IDENT": 32,
        "TABLES": 8,
    }
    assert line_words(Space.PARAMS, ARCH) == 14
    assert space_lines(Space.ACTIVATIONS, ARCH) == ARCH.act_lines
    assert (line_words(Space.TABLES, ARCH), space_lines(Space.TABLES, ARCH)) == (1, 8 * 256)
    assert param_slots(ARCH) == {"bias": (0, 32), "multiplier": (32, 16), "shift": (48, 6)}


@pytest.mark.parametrize("bits", [3, 4, 8, 16, 54])
def test_lines_survive_packing(bits: int) -> None:
    rng = random.Random(bits)
    values = [rng.randrange(-(1 << (bits - 1)), 1 << (bits - 1)) for _ in range(7)]
    words = pack_line(values, bits)
    assert len(words) == -(-7 * bits // 32)
    assert unpack_line(words, bits, 7) == values


def test_ident_tells_the_architecture() -> None:
    assert ident(ARCH)[1] == ARCH.hash
    assert len(ident(ARCH)) == space_lines(Space.IDENT, ARCH)


def test_an_engine_without_tables_lacks_their_space() -> None:
    assert spaces(ARCH) == tuple(Space)
    bare = ARCH.with_(tables=0)
    assert spaces(bare) == tuple(space for space in Space if space is not Space.TABLES)
    assert space_lines(Space.TABLES, bare) == 0
