# SPDX-License-Identifier: Apache-2.0
"""A board in Python: the link's rules (docs/link.md) around one-word-a-line memories; a line that loses and damages."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from systolith.boards.host.protocol import (
    CRC_BYTES,
    HEADER_BYTES,
    REQUEST_SYNC,
    WORD_BYTES,
    Answer,
    Status,
    checksum,
    pack_answer,
    unpack_words,
)
from systolith.spec.arch import Arch
from systolith.spec.link import DONE, Command, Space, ident

__all__ = ["FramePeer", "PeerTransport"]


@dataclass
class FramePeer:
    """Bytes in, bytes out. RUN adds one to word 0 of ACTIVATIONS, so that a run executed twice shows."""

    arch: Arch
    memory: dict[tuple[int, int], int] = field(default_factory=dict)
    runs: int = 0
    session: bool = False
    last: int = -1
    kept: tuple[int, ...] = ()
    pending: bytearray = field(default_factory=bytearray)

    def reset(self) -> None:
        """A break of the line."""
        self.session, self.last = False, -1
        self.pending.clear()

    def gap(self) -> None:
        """Silence: a half-received frame is dropped."""
        self.pending.clear()

    def take(self, data: bytes) -> bytes:
        """Receive bytes; the answers they cause."""
        self.pending += data
        answers = b""
        while (frame := self._frame()) is not None:
            answers += pack_answer(self._answer(frame))
        return answers

    def _frame(self) -> bytes | None:
        while self.pending and self.pending[0] != REQUEST_SYNC:
            del self.pending[0]
        if len(self.pending) < HEADER_BYTES:
            return None
        size = HEADER_BYTES + self.pending[2] * WORD_BYTES + CRC_BYTES
        if len(self.pending) < size:
            return None
        frame = bytes(self.pending[:size])
        del self.pending[:size]
        return frame

    def _answer(self, frame: bytes) -> Answer:
        sequence, length = frame[1], frame[2]
        if checksum(frame):
            return Answer(sequence, Status.DAMAGED)
        if length == 0:
            self.session, self.last, self.kept = True, sequence, ()
            return Answer(sequence, Status.OK)
        if not self.session:
            return Answer(sequence, Status.CLOSED)
        if sequence != self.last:
            self.last = sequence
            self.kept = tuple(self._execute(unpack_words(frame[HEADER_BYTES:-CRC_BYTES])))
        return Answer(sequence, Status.OK, self.kept)

    def _execute(self, words: Sequence[int]) -> Iterator[int]:
        position = 0
        while position < len(words):
            command, space, address = words[position] >> 28, words[position] >> 24 & 0xF, words[position] & 0xFFFFFF
            if command == Command.RUN:
                self.runs += 1
                key = (int(Space.ACTIVATIONS), 0)
                self.memory[key] = self.memory.get(key, 0) + 1
                position += 1
                yield DONE
                continue
            count = words[position + 1]
            position += 2
            for line in range(address, address + count):
                if command == Command.WRITE:
                    self.memory[space, line] = words[position]
                    position += 1
                elif space == Space.IDENT:
                    yield ident(self.arch)[line]
                else:
                    yield self.memory.get((space, line), 0)


class PeerTransport:
    """A transport to a :class:`FramePeer`. ``damage`` may change any frame: (number of the frame, bytes) to bytes."""

    def __init__(self, peer: FramePeer) -> None:
        self.peer = peer
        self.damage: Callable[[int, bytes], bytes] = lambda number, data: data
        self.damage_answer: Callable[[int, bytes], bytes] = lambda number, data: data
        self.sent = 0
        self.pauses = 0
        self.interrupts = 0
        self.deaf = False
        self._inbox = bytearray()

    def send(self, data: bytes) -> None:
        """To the peer, and its answer into the inbox."""
        damaged = self.damage(self.sent, data)
        answer = b"" if self.deaf else self.peer.take(damaged)
        self._inbox += self.damage_answer(self.sent, answer)
        self.sent += 1

    def receive(self, count: int, timeout: float) -> bytes:
        """What there is; nothing more will come."""
        taken = bytes(self._inbox[:count])
        del self._inbox[:count]
        return taken

    def pause(self) -> None:
        """The peer's gap."""
        self.pauses += 1
        self.peer.gap()
        self._inbox.clear()

    def interrupt(self) -> None:
        """The peer's reset."""
        self.interrupts += 1
        self.deaf = False
        self.peer.reset()
        self.pause()

    def put(self, *words: int) -> None:
        """Bytes that no request caused."""
        self._inbox += struct.pack(f"<{len(words)}I", *words)
