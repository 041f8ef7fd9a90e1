# SPDX-License-Identifier: Apache-2.0
"""All boards by name."""

from __future__ import annotations

from . import icebreaker, ulx3s
from .board import Board, BoardError

__all__ = ["BOARDS", "find_board"]

BOARDS: dict[str, Board] = {board.name: board for board in (*icebreaker.BOARDS, *ulx3s.BOARDS)}
"""The boards ``--board`` accepts."""


def find_board(name: str) -> Board:
    """The board of that name; raises :class:`BoardError` that lists those there are."""
    if name not in BOARDS:
        raise BoardError(f"board {name!r} is unknown; boards: {', '.join(sorted(BOARDS))}")
    return BOARDS[name]
