# SPDX-License-Identifier: Apache-2.0
"""What the exit code of ``systolith`` means."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["ExitCode"]


class ExitCode(IntEnum):
    """Exit codes of every command; ``meaning`` is the line that ``--help`` shows."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> ExitCode:
        """Attach the meaning to the number."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    OK = 0, "done; everything that was compared is equal"
    USAGE = 2, "the command line is wrong"
    INPUT = 3, "an input file is missing, damaged, or of the wrong kind or shape"
    UNSUPPORTED = 4, "the network uses something that is not supported"
    FIT = 5, "the network does not fit the architecture, or the design the board"
    TOOL = 6, "a tool is missing or failed (see `systolith doctor`)"
    MISMATCH = 7, "two back ends disagree, or the engine is not the one compiled for"
    LINK = 8, "a board does not answer, or not correctly"
