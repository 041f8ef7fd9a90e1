# SPDX-License-Identifier: Apache-2.0
import os
from collections.abc import Iterator

import pytest

from systolith.boards.host.errors import TransportError
from systolith.boards.host.transport import SerialTransport

serial = pytest.importorskip("serial")


@pytest.fixture
def far_end() -> Iterator[tuple[int, str]]:
    """A pseudo terminal: the descriptor of one end, the name of the other."""
    pty = pytest.importorskip("pty")
    tty = pytest.importorskip("tty")
    near, far = pty.openpty()
    tty.setraw(near)
    yield near, os.ttyname(far)
    os.close(near)
    os.close(far)


def test_carries_all_bytes(far_end: tuple[int, str]) -> None:
    descriptor, name = far_end
    data = bytes(range(256))
    with SerialTransport(name, 115_200) as transport:
        transport.send(data)
        assert os.read(descriptor, 1000) == data
        os.write(descriptor, data[::-1])
        assert transport.receive(256, 5.0) == data[::-1]
        assert transport.receive(1, 0.01) == b""


def test_pause_throws_away_what_came_in(far_end: tuple[int, str]) -> None:
    descriptor, name = far_end
    with SerialTransport(name) as transport:
        os.write(descriptor, b"stale")
        transport.pause()
        assert transport.receive(1, 0.01) == b""


def test_missing_port_is_named() -> None:
    with pytest.raises(TransportError, match="serial port '/dev/none' at 1000000 baud"):
        SerialTransport("/dev/none")
