# SPDX-License-Identifier: Apache-2.0
"""What can go wrong between a host and a board; each message says what was seen and what to do."""

from __future__ import annotations

__all__ = ["LinkError", "LinkTimeout", "SessionLost", "TransportError", "WrongBoard"]


class LinkError(RuntimeError):
    """The base of all errors of the link."""


class TransportError(LinkError):
    """The serial port cannot be opened or used."""


class LinkTimeout(LinkError):
    """The board gave no intact answer, however often it was asked."""


class SessionLost(LinkError):
    """The board was reset: what it was told before is not to be relied on."""


class WrongBoard(LinkError):
    """What answers is not an engine of this tool."""
