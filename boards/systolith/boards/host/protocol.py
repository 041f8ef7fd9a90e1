# SPDX-License-Identifier: Apache-2.0
"""The frames between a host and a board: layout, checksum and rules, stated once for both ends.

The gateware of the shell reads its constants from here, the client its functions; docs/link.md has the prose.
A frame is a header of four bytes, ``length`` 32-bit words (least significant byte first) and a CRC-16 of all that
precedes it (most significant byte first):

=====  ==================  ==========================================
byte   request             answer
=====  ==================  ==========================================
0      ``REQUEST_SYNC``    ``ANSWER_SYNC``
1      sequence number     sequence number of the request
2      length, 0..255      :class:`Status`
3      answer's length     length, 0..255
=====  ==================  ==========================================
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

__all__ = [
    "ANSWER_SYNC",
    "CRC_BYTES",
    "FRAME_WORDS",
    "GAP_BITS",
    "HEADER_BYTES",
    "REQUEST_SYNC",
    "SEQUENCES",
    "WORD_BYTES",
    "Answer",
    "Status",
    "checksum",
    "pack_answer",
    "pack_request",
    "unpack_words",
]

REQUEST_SYNC = 0xA5
"""First byte of a request."""

ANSWER_SYNC = 0x5A
"""First byte of an answer; another value, so that an echo is never taken for an answer."""

HEADER_BYTES = 4
"""Bytes before the payload."""

CRC_BYTES = 2
"""Bytes after the payload."""

WORD_BYTES = 4
"""Bytes of a payload word."""

FRAME_WORDS = 255
"""Longest payload in words, of a request and of an answer."""

SEQUENCES = 256
"""Sequence numbers there are."""

GAP_BITS = 1 << 14
"""Bit times without a level change after which the board drops a half-received frame or, if the line is low, resets."""


class Status(IntEnum):
    """What became of a request."""

    OK = 0
    """Executed (now or, for a repeated sequence number, before); the answer's words follow."""
    DAMAGED = 1
    """The checksum was wrong; nothing was executed."""
    CLOSED = 2
    """No session is open (the board was reset since); nothing was executed."""


@dataclass(frozen=True)
class Answer:
    """One intact answer frame."""

    sequence: int
    status: Status
    words: tuple[int, ...] = ()


def checksum(data: bytes) -> int:
    """CRC-16 with polynomial 0x1021 and initial value 0xFFFF (catalogued as CRC-16/IBM-3740)."""
    return binascii.crc_hqx(data, 0xFFFF)


def _seal(head: bytes, words: Sequence[int]) -> bytes:
    body = head + struct.pack(f"<{len(words)}I", *words)
    return body + struct.pack(">H", checksum(body))


def _check_length(what: str, length: int) -> None:
    if not 0 <= length <= FRAME_WORDS:
        raise ValueError(f"{what} must have 0..{FRAME_WORDS} words, got {length}")


def pack_request(sequence: int, words: Sequence[int], expect: int) -> bytes:
    """The bytes of a request whose answer will have ``expect`` words. Raises ValueError if a frame cannot hold it."""
    _check_length("a request", len(words))
    _check_length("an answer", expect)
    return _seal(bytes([REQUEST_SYNC, sequence % SEQUENCES, len(words), expect]), words)


def pack_answer(answer: Answer) -> bytes:
    """The bytes of an answer, as the board sends them. Raises ValueError if a frame cannot hold it."""
    _check_length("an answer", len(answer.words))
    head = bytes([ANSWER_SYNC, answer.sequence % SEQUENCES, answer.status, len(answer.words)])
    return _seal(head, answer.words)


def unpack_words(data: bytes) -> tuple[int, ...]:
    """The words of a payload."""
    return struct.unpack(f"<{len(data) // WORD_BYTES}I", data)
