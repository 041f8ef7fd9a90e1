# SPDX-License-Identifier: Apache-2.0
"""Pause generators: how long a stream's driver or receiver idles before each word.

Bubbles and back-pressure multiply every test instead of being tests of their own: any link job can carry a
:class:`Pauses` for either stream, and its seed reproduces the run.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat

__all__ = ["Pauses"]


@dataclass(frozen=True, kw_only=True)
class Pauses:
    """With ``probability`` a word is preceded by a pause of 1..``longest`` cycles, drawn evenly."""

    probability: float = 0.0
    """0 (never) to 1 (before every word)."""
    longest: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the parameters; raises ValueError."""
        if not 0 <= self.probability <= 1:
            raise ValueError(f"pause probability must be in 0..1, got {self.probability}")
        if self.longest < 1:
            raise ValueError(f"the longest pause must be at least 1 cycle, got {self.longest}")

    @property
    def never(self) -> bool:
        """True if no pause ever occurs; drivers then take their short way."""
        return self.probability == 0

    def gaps(self) -> Iterator[int]:
        """Cycles to idle before each word; endless, the same for the same seed."""
        return repeat(0) if self.never else self._draw()

    def _draw(self) -> Iterator[int]:
        generator = random.Random(self.seed)
        while True:
            yield generator.randint(1, self.longest) if generator.random() < self.probability else 0
