# SPDX-License-Identifier: Apache-2.0
import pytest

from systolith.boards.host.backend import BoardBackend
from systolith.boards.host.client import BoardClient
from systolith.boards.host.errors import SessionLost
from systolith.spec.arch import PRESETS
from systolith.spec.image import ImageError
from tests.support.frame_peer import FramePeer, PeerTransport
from tests.support.programs import random_case

# one word a line everywhere, as the peer has it, but for the parameters
ARCH = PRESETS["tiny"]


def test_program_of_another_arch_is_refused() -> None:
    program, samples = random_case(4, ARCH)
    transport = PeerTransport(FramePeer(PRESETS["4x4"]))
    with pytest.raises(ImageError, match="compiled for arch 'tiny'"):
        BoardBackend(BoardClient(transport)).run(program, [samples[0].inputs])
    assert not transport.peer.memory


def test_inference_is_repeated_after_a_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    program, samples = random_case(4, ARCH, count=2)
    transport = PeerTransport(FramePeer(ARCH))
    client = BoardClient(transport)
    loads: list[int] = []
    real, calls = client.infer, []

    def infer(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            transport.peer.reset()
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(client, "infer", infer)

    def load(*_: object) -> None:
        loads.append(client.open())

    monkeypatch.setattr(client, "load", load)
    results = BoardBackend(client).run(program, [sample.inputs for sample in samples])
    assert len(results) == 2
    assert len(loads) == 2


def test_reset_again_and_again_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    program, samples = random_case(4, ARCH, count=1)
    transport = PeerTransport(FramePeer(ARCH))
    client = BoardClient(transport)
    monkeypatch.setattr(client, "load", lambda *arguments: None)
    with pytest.raises(SessionLost, match="load the program again"):
        BoardBackend(client).run(program, [samples[0].inputs])
