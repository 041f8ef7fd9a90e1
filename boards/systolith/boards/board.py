# SPDX-License-Identifier: Apache-2.0
"""What a board is to this tool: a platform with a serial line and lamps, an architecture, a clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from systolith.hdl.target import Target
from systolith.spec.arch import PRESETS, Arch

from .pll import Pll

__all__ = ["Board", "BoardError"]


class BoardError(ValueError):
    """A board is unknown, or cannot be built as asked; the message says what would do."""


@dataclass(frozen=True, kw_only=True)
class Board:
    """One board.

    The platform has a resource ``uart`` with subsignals ``rx`` (input) and ``tx`` (output), and two of ``led``.
    """

    name: str
    """As in ``--board``; also the name of its architecture preset."""
    title: str
    """For reports."""
    platform: Callable[[], Any]
    """Makes the Amaranth platform."""
    target: Target
    """Primitives to use."""
    oscillator_hz: int
    """What drives the design without a PLL."""
    baud: int
    """Bits a second of the serial line."""
    loader: str
    """The board's name for openFPGALoader."""
    pll: Pll | None = None
    """Makes the engine's clock from the oscillator's."""

    def __post_init__(self) -> None:
        """Check that clock and baud rate fit; raises :class:`BoardError`."""
        if abs(self.clock_hz / self.divisor / self.baud - 1) > _BAUD_ERROR:
            raise BoardError(
                f"board {self.name!r}: {self.baud} baud is not within {_BAUD_ERROR:.0%} of {self.clock_hz} Hz divided "
                f"by {self.divisor}"
            )

    @property
    def clock_hz(self) -> int:
        """The engine's clock."""
        return self.pll.output_hz if self.pll else self.oscillator_hz

    @property
    def divisor(self) -> int:
        """Clock cycles per bit of the serial line."""
        return round(self.clock_hz / self.baud)

    @property
    def arch(self) -> Arch:
        """The architecture its bitstream has unless another is asked for."""
        return PRESETS[self.name]


_BAUD_ERROR = 0.02
"""Relative error of the baud rate: a fifth of a bit after the ten bits of a byte, of half a bit there is."""
