# SPDX-License-Identifier: Apache-2.0
"""Cuts a stream of engine commands into requests, each of whole commands and small enough for a frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from systolith.spec import link
from systolith.spec.arch import Arch
from systolith.spec.link import ADDRESS_BITS, Command, Space

from .protocol import FRAME_WORDS

__all__ = ["Request", "cut"]

_COMMAND_WORDS = 2
"""Header and count."""


@dataclass
class Request:
    """The payload of one request frame."""

    words: list[int] = field(default_factory=list)
    expect: int = 0
    """Words that the engine answers."""
    runs: bool = False
    """It contains a RUN, so the answer may take long."""

    def room(self, line_words: int, *, read: bool) -> int:
        """Lines that one more READ or WRITE of this request could move."""
        free = FRAME_WORDS - len(self.words) - _COMMAND_WORDS
        if read:
            return 0 if free < 0 else (FRAME_WORDS - self.expect) // line_words
        return max(0, free) // line_words


class _Cutter:
    """Fills one request after the other."""

    def __init__(self, arch: Arch) -> None:
        self._arch = arch
        self._open = Request()

    def flush(self) -> Iterator[Request]:
        if self._open.words:
            yield self._open
            self._open = Request()

    def run(self, word: int) -> Iterator[Request]:
        if len(self._open.words) == FRAME_WORDS or self._open.expect == FRAME_WORDS:
            yield from self.flush()
        self._open.words.append(word)
        self._open.expect += 1
        self._open.runs = True

    def move(self, command: Command, space: Space, address: int, count: int, body: Sequence[int]) -> Iterator[Request]:
        """A READ (``body`` empty) or WRITE of ``count`` lines, in as many pieces as it needs."""
        size, read = link.line_words(space, self._arch), command == Command.READ
        done = 0
        while done < count:
            lines = min(count - done, self._open.room(size, read=read))
            if lines == 0:
                yield from self.flush()
                lines = min(count, Request().room(size, read=read))
                if lines == 0:
                    raise ValueError(f"a line of {space.name} has {size} words, a frame only {FRAME_WORDS}")
                continue
            self._open.words += [link.header(command, space, address + done), lines]
            self._open.words += body[done * size : (done + lines) * size]
            self._open.expect += lines * size if read else 0
            done += lines


def cut(words: Sequence[int], arch: Arch) -> Iterator[Request]:
    """Requests that do together what the commands in ``words`` do (see :mod:`systolith.spec.link`).

    Raises:
        ValueError: ``words`` are not complete, valid commands, or a line does not fit a frame.
    """
    cutter, position = _Cutter(arch), 0
    while position < len(words):
        command, space, address = _decode(words[position])
        if command == Command.RUN:
            yield from cutter.run(words[position])
            position += 1
            continue
        count = words[position + 1]
        start = position + _COMMAND_WORDS
        position = start if command == Command.READ else start + count * link.line_words(space, arch)
        if position > len(words):
            raise ValueError(f"{command.name} {space.name}: {position - len(words)} words are missing")
        yield from cutter.move(command, space, address, count, words[start:position])
    yield from cutter.flush()


def _decode(word: int) -> tuple[Command, Space, int]:
    address = word & ((1 << ADDRESS_BITS) - 1)
    return Command(word >> 28), Space(word >> ADDRESS_BITS & 0xF), address
