# SPDX-License-Identifier: Apache-2.0
import random

import pytest

from systolith.boards.host.protocol import FRAME_WORDS
from systolith.boards.host.requests import Request, cut
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.link import Command, Space, line_words, read_command, run_command, write_command

ARCH = PRESETS["4x4"].with_(weight_rows=2)


def _replay(requests: list[Request], arch: Arch) -> tuple[dict[tuple[int, int], list[int]], list[tuple[int, int]]]:
    """What the requests write, line by line, and the lines they read or the runs (-1, -1), in order."""
    written: dict[tuple[int, int], list[int]] = {}
    asked: list[tuple[int, int]] = []
    for request in requests:
        position = 0
        while position < len(request.words):
            word = request.words[position]
            if word >> 28 == Command.RUN:
                asked.append((-1, -1))
                position += 1
                continue
            space, address, count = word >> 24 & 0xF, word & 0xFFFFFF, request.words[position + 1]
            position += 2
            size = line_words(Space(space), arch)
            for line in range(address, address + count):
                if word >> 28 == Command.READ:
                    asked.append((space, line))
                else:
                    written[space, line] = request.words[position : position + size]
                    position += size
    return written, asked


def test_small_inference_is_one_request() -> None:
    write, read = write_command(Space.ACTIVATIONS, 5, 2), read_command(Space.ACTIVATIONS, 9, 3)
    words = [*write, 1, 2, *run_command(), *read]
    (request,) = cut(words, ARCH)
    assert request.words == words
    assert request.expect == 4
    assert request.runs


def test_long_write_is_cut_at_lines() -> None:
    size = line_words(Space.WEIGHTS, ARCH)
    assert size == 2
    body = list(range(400 * size))
    requests = list(cut(write_command(Space.WEIGHTS, 10, 400) + body, ARCH))
    assert len(requests) == 4
    assert all(len(request.words) <= FRAME_WORDS for request in requests)
    assert not any(request.runs for request in requests)
    written, _ = _replay(requests, ARCH)
    assert written == {(Space.WEIGHTS, 10 + line): body[2 * line : 2 * line + 2] for line in range(400)}


def test_long_read_is_cut_by_its_answer() -> None:
    requests = list(cut(read_command(Space.ACTIVATIONS, 0, 600), ARCH))
    assert [request.expect for request in requests] == [255, 255, 90]
    assert _replay(requests, ARCH)[1] == [(Space.ACTIVATIONS, line) for line in range(600)]


@pytest.mark.parametrize("seed", range(20))
def test_random_commands_do_the_same(seed: int) -> None:
    rng = random.Random(seed)
    words: list[int] = []
    for _ in range(rng.randrange(1, 30)):
        kind = rng.choice([Command.READ, Command.WRITE, Command.RUN])
        space, address, count = rng.choice(list(Space)), rng.randrange(100), rng.randrange(1, 300)
        if kind == Command.RUN:
            words += run_command()
        elif kind == Command.READ:
            words += read_command(space, address, count)
        else:
            words += write_command(space, address, count)
            words += [rng.getrandbits(32) for _ in range(count * line_words(space, ARCH))]
    requests = list(cut(words, ARCH))
    whole = Request(words)
    assert _replay(requests, ARCH) == _replay([whole], ARCH)
    assert all(len(request.words) <= FRAME_WORDS and request.expect <= FRAME_WORDS for request in requests)


def test_refuses_a_line_no_frame_holds() -> None:
    arch = PRESETS["32x32"].with_(cols=256, psum_spacing=4, weight_rows=4)
    words = write_command(Space.WEIGHTS, 0, 1) + [0] * line_words(Space.WEIGHTS, arch)
    with pytest.raises(ValueError, match="a line of WEIGHTS has 256 words, a frame only 255"):
        list(cut(words, arch))


def test_refuses_an_incomplete_write() -> None:
    with pytest.raises(ValueError, match="WRITE PROGRAM: 2 words are missing"):
        list(cut([*write_command(Space.PROGRAM, 0, 3), 1], ARCH))
