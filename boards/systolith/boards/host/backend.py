# SPDX-License-Identifier: Apache-2.0
"""A board as a back end: the interface that the models and the simulators have."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from systolith.compiler.runtime import RunResult
from systolith.spec.image import Program

from .client import BoardClient, Progress
from .errors import SessionLost

__all__ = ["BoardBackend"]

Ints = NDArray[np.int64]

_log = logging.getLogger(__name__)


def _no_progress(done: int, total: int) -> None:
    """Report to nobody."""


class BoardBackend:
    """A :class:`~systolith.compiler.runtime.Backend` that runs programs on a board."""

    def __init__(self, client: BoardClient, *, progress: Progress = _no_progress) -> None:
        """``progress`` is told how many words of the program are loaded, of how many."""
        self._client = client
        self._progress = progress

    def run(self, program: Program, inputs: Sequence[Mapping[str, Ints]]) -> list[RunResult]:
        """Load the program and run each element of ``inputs``; an inference in which the board is reset is repeated.

        Raises:
            ImageError: the engine on the board has another architecture.
            LinkError: the board does not answer, or loses its session again and again.
        """
        self._client.load(program, self._progress)
        return [self._infer(program, feed) for feed in inputs]

    def _infer(self, program: Program, feed: Mapping[str, Ints]) -> RunResult:
        try:
            return self._client.infer(program, feed)
        except SessionLost:
            _log.info("the board was reset; loading the program again")
            self._client.load(program, self._progress)
            return self._client.infer(program, feed)
