# SPDX-License-Identifier: Apache-2.0
import random
import re

import pytest

from systolith.boards.host.client import BoardClient, Patience
from systolith.boards.host.errors import LinkTimeout, SessionLost, WrongBoard
from systolith.boards.host.protocol import Answer, Status, pack_answer
from systolith.spec.arch import PRESETS
from systolith.spec.link import DONE, Space, read_command, run_command, write_command
from tests.support.frame_peer import FramePeer, PeerTransport

ARCH = PRESETS["tiny"]


def _open(attempts: int = 3) -> tuple[BoardClient, PeerTransport]:
    transport = PeerTransport(FramePeer(ARCH))
    client = BoardClient(transport, patience=Patience(attempts=attempts))
    assert client.open() == ARCH.hash
    return client, transport


def _flip(data: bytes, index: int) -> bytes:
    return data[:index] + bytes([data[index] ^ 0x10]) + data[index + 1 :]


def test_plays_commands_and_reports_progress() -> None:
    client, _ = _open()
    seen: list[tuple[int, int]] = []
    words = [*write_command(Space.PROGRAM, 0, 300), *range(300), *read_command(Space.PROGRAM, 298, 2), *run_command()]
    assert client.play(words, ARCH, lambda done, total: seen.append((done, total))) == [298, 299, DONE]
    assert seen[-1] == (len(words), len(words))
    assert len(seen) > 1


@pytest.mark.parametrize("index", [0, 1, 2, 3, 4, -1])
def test_damaged_request_is_sent_again(index: int) -> None:
    client, transport = _open()
    first = transport.sent
    transport.damage = lambda number, data: _flip(data, index % len(data)) if number == first else data
    assert client.play([*write_command(Space.PROGRAM, 0, 1), 42, *read_command(Space.PROGRAM, 0, 1)], ARCH) == [42]
    assert transport.sent == first + 2


@pytest.mark.parametrize("index", [0, 1, 2, 3, 4, -1])
def test_damaged_answer_does_not_run_twice(index: int) -> None:
    client, transport = _open()
    first = transport.sent
    transport.damage_answer = lambda number, data: _flip(data, index % len(data)) if number == first else data
    assert client.play(run_command(), ARCH) == [DONE]
    assert transport.peer.runs == 1


@pytest.mark.parametrize("lost", ["request", "answer"])
def test_lost_frame_is_repeated(lost: str) -> None:
    client, transport = _open()
    first = transport.sent

    def drop(number: int, data: bytes) -> bytes:
        return b"" if number == first else data

    if lost == "request":
        transport.damage = drop
    else:
        transport.damage_answer = drop
    assert client.play(run_command(), ARCH) == [DONE]
    assert transport.peer.runs == 1


@pytest.mark.parametrize("seed", range(10))
def test_noisy_line_gives_right_answers(seed: int) -> None:
    rng = random.Random(seed)
    client, transport = _open(attempts=100)

    def noise(number: int, data: bytes) -> bytes:
        kind = rng.randrange(6)
        if kind > 1 or not data:
            return data
        index = rng.randrange(len(data))
        return _flip(data, index) if kind == 0 else data[:index] + data[index + 1 :]

    transport.damage = transport.damage_answer = noise
    for runs in range(1, 30):
        value = rng.getrandbits(32)
        words = [*write_command(Space.PROGRAM, 3, 1), value, *run_command(), *read_command(Space.PROGRAM, 3, 1)]
        assert client.play(words, ARCH) == [DONE, value]
        assert transport.peer.runs == runs


def test_answer_to_an_earlier_request_is_skipped() -> None:
    client, transport = _open()
    stale = pack_answer(Answer(transport.peer.last, Status.OK, (1,)))
    transport.damage_answer = lambda number, data: stale + data
    assert client.play(run_command(), ARCH) == [DONE]


def test_silent_board_is_reset_once() -> None:
    transport = PeerTransport(FramePeer(ARCH))
    transport.deaf = True
    assert BoardClient(transport, patience=Patience(attempts=2)).open() == ARCH.hash
    assert transport.interrupts == 1


def test_gives_up_with_advice() -> None:
    client, transport = _open()
    transport.deaf = True
    expected = "no intact answer to request 3 in 3 attempts of 1 s; is the board programmed with this bitstream"
    with pytest.raises(LinkTimeout, match=re.escape(expected)):
        client.play(read_command(Space.PROGRAM, 0, 1), ARCH)


def test_reset_board_is_noticed() -> None:
    client, transport = _open()
    transport.peer.reset()
    with pytest.raises(SessionLost, match="reset since the session was opened; load the program again"):
        client.play(run_command(), ARCH)
    assert transport.peer.runs == 0


def test_other_hardware_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.frame_peer.ident", lambda arch: [0x1234, arch.hash])
    with pytest.raises(WrongBoard, match="identifies itself as 00001234, expected 5c510001: wrong bitstream"):
        BoardClient(PeerTransport(FramePeer(ARCH))).open()
