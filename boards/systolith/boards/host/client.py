# SPDX-License-Identifier: Apache-2.0
"""The client of a board: sessions, requests with retries, programs and inferences."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith.compiler.runtime import RunResult, inference_words, load_words, parse_response
from systolith.spec.arch import Arch
from systolith.spec.image import Program
from systolith.spec.link import IDENT_LINES, MAGIC, Space, read_command

from .errors import LinkTimeout, SessionLost, WrongBoard
from .protocol import (
    ANSWER_SYNC,
    CRC_BYTES,
    HEADER_BYTES,
    SEQUENCES,
    WORD_BYTES,
    Answer,
    Status,
    checksum,
    pack_request,
    unpack_words,
)
from .requests import Request, cut
from .transport import Transport

__all__ = ["BoardClient", "Patience", "Progress"]

Ints = NDArray[np.int64]
Progress = Callable[[int, int], None]
"""Is told: words done, words in all."""

_log = logging.getLogger(__name__)


def _no_progress(done: int, total: int) -> None:
    """Report to nobody."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to wait, in seconds, and how often to try."""

    answer: float = 1.0
    """For an answer that needs no run."""
    run: float = 10.0
    """For an answer that needs a run."""
    attempts: int = 5
    """Times a request is sent before giving up."""


class BoardClient:
    """Talks to the engine on a board through a :class:`~systolith.boards.host.transport.Transport`.

    :meth:`open` first; then :meth:`load` a program and :meth:`infer` as often as wanted. All methods raise
    :class:`LinkTimeout` when the board does not answer and :class:`SessionLost` when it was reset since :meth:`open`.
    """

    def __init__(self, transport: Transport, *, patience: Patience | None = None) -> None:
        """Take a transport; nothing is sent yet."""
        self._transport = transport
        self._patience = patience or Patience()
        self._sequence = 0

    # ------------------------------------------------------------------ sessions

    def open(self) -> int:
        """Open a session, which resets the engine (its memories keep their contents); the architecture's hash.

        A board that does not answer is reset by a break of the line and asked once more.

        Raises:
            WrongBoard: something answers, but it is not an engine of this tool.
        """
        self._transport.pause()
        try:
            self._exchange(Request())
        except LinkTimeout:
            _log.info("no answer; resetting the board")
            self._transport.interrupt()
            self._exchange(Request())
        magic, arch_hash = self._exchange(Request(read_command(Space.IDENT, 0, IDENT_LINES), IDENT_LINES))
        if magic != MAGIC:
            raise WrongBoard(f"the board identifies itself as {magic:08x}, expected {MAGIC:08x}: wrong bitstream?")
        return arch_hash

    # ------------------------------------------------------------------ programs

    def load(self, program: Program, progress: Progress = _no_progress) -> None:
        """Check that the engine is the program's and write all its segments.

        Raises:
            ImageError: the engine on the board has another architecture.
        """
        program.check_arch(self.open())
        self.play(load_words(program), program.arch, progress)

    def infer(self, program: Program, inputs: Mapping[str, Ints]) -> RunResult:
        """One inference with the program loaded before: engine-signed integers in network shape, by tensor name.

        Raises:
            ValueError: an input is missing or does not fit.
            ResponseError: the engine's answer is not that of a completed run.
        """
        return parse_response(program, self.play(inference_words(program, inputs), program.arch))

    def play(self, words: Sequence[int], arch: Arch, progress: Progress = _no_progress) -> list[int]:
        """Send a stream of whole commands (:mod:`systolith.spec.link`); the words that the engine answers."""
        answers: list[int] = []
        done = 0
        for request in cut(words, arch):
            answers += self._exchange(request)
            done = min(len(words), done + len(request.words))
            progress(done, len(words))
        return answers

    # ------------------------------------------------------------------ frames

    def _exchange(self, request: Request) -> tuple[int, ...]:
        """Send until it is answered; every repetition carries the same sequence number, so it is executed once."""
        self._sequence = (self._sequence + 1) % SEQUENCES
        frame = pack_request(self._sequence, request.words, request.expect)
        seconds = self._patience.run if request.runs else self._patience.answer
        for attempt in range(self._patience.attempts):
            if attempt:
                _log.info("request %d: attempt %d", self._sequence, attempt + 1)
                self._transport.pause()
            self._transport.send(frame)
            answer = self._receive(seconds)
            if answer is None or answer.status == Status.DAMAGED:
                continue
            if answer.status == Status.CLOSED:
                raise SessionLost("the board was reset since the session was opened; load the program again")
            return self._checked(answer, request)
        raise LinkTimeout(
            f"no intact answer to request {self._sequence} in {self._patience.attempts} attempts of {seconds:g} s; "
            "is the board programmed with this bitstream, and are port and baud rate right?"
        )

    def _checked(self, answer: Answer, request: Request) -> tuple[int, ...]:
        if len(answer.words) != request.expect:
            raise WrongBoard(f"expected an answer of {request.expect} words, got {len(answer.words)}")
        return answer.words

    def _receive(self, seconds: float) -> Answer | None:
        """The intact answer to the request under way; None if none comes in time or it is damaged.

        A refusal of a damaged request counts whatever its sequence number, which may itself be damaged.
        """
        while (answer := self._receive_frame(seconds)) is not None:
            if answer.sequence == self._sequence or answer.status == Status.DAMAGED:
                return answer
        return None

    def _receive_frame(self, seconds: float) -> Answer | None:
        """The next frame; None if it does not come, is cut short or damaged."""
        sync = bytes([ANSWER_SYNC])
        while (byte := self._transport.receive(1, seconds)) != sync:
            if not byte:
                return None
        head = self._transport.receive(HEADER_BYTES - 1, seconds)
        if len(head) < HEADER_BYTES - 1:
            return None
        sequence, status, length = head
        rest = self._transport.receive(length * WORD_BYTES + CRC_BYTES, self._patience.answer)
        # The checksum over a frame and its own checksum is zero.
        if len(rest) < length * WORD_BYTES + CRC_BYTES or checksum(sync + head + rest):
            return None
        if status not in set(Status):
            return None
        return Answer(sequence, Status(status), unpack_words(rest[:-CRC_BYTES]))
