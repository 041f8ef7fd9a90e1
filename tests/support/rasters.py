# SPDX-License-Identifier: Apache-2.0
"""Random depthwise rasters, and what the specification says of each of their windows, in plain Python."""

from __future__ import annotations

import random
from dataclasses import dataclass

from systolith.hdl.payload import Advance
from systolith.spec.arch import Arch
from systolith.spec.isa import MASK_PLACES

__all__ = ["Raster"]


def _masked(place: int, last: int, masks: int, taps: int) -> int:
    """The masked taps of an axis as bits, at a column or row of the candidates."""
    parts = [masks >> (part * taps) & ((1 << taps) - 1) for part in range(MASK_PLACES)]
    result = 0
    for part, where in zip(parts, (0, 1, last - 1, last), strict=True):
        result |= part if place == where else 0
    return result


def _last(rng: random.Random, size: int, skip: int) -> int:
    """Column or row of the last output pixel: a multiple of the stride inside the raster, often the greatest."""
    return rng.choice([size - 1, rng.randrange(size)]) // (skip + 1) * (skip + 1)


@dataclass(frozen=True)
class Raster:
    """Depthwise fields of a descriptor; ``passes`` is the product of the counts of loops 2 to 4."""

    arch: Arch
    wide: int
    high: int
    passes: int
    blocks: int
    lag: int
    last_x: int
    last_y: int
    skip_x: int
    skip_y: int
    mask_x: int
    mask_y: int

    @classmethod
    def draw(
        cls, rng: random.Random, arch: Arch, *, size: tuple[int, int], passes: int, blocks: int, lag: int
    ) -> Raster:
        """Rasters of ``size`` (across, down) with random strides, output pixels and masks."""
        skip_x, skip_y = (rng.choice([0, 0, 1, 2]) for _ in size)
        return cls(
            arch,
            *size,
            passes,
            blocks,
            lag,
            _last(rng, size[0], skip_x),
            _last(rng, size[1], skip_y),
            skip_x,
            skip_y,
            rng.getrandbits(MASK_PLACES * arch.tap_cols),
            rng.getrandbits(MASK_PLACES * arch.tap_rows),
        )

    @property
    def windows(self) -> int:
        """Windows that are issued: to the end of the nest and of the last output pixel."""
        raster = self.wide * self.high
        total = self.passes * self.blocks * raster
        return max(total, total - raster + self.lag + self.last_y * self.wide + self.last_x + 1)

    def fields(self) -> dict[str, int]:
        """The front section's fields, without loops 2 to 4."""
        names = ("lag", "last_x", "last_y", "skip_x", "skip_y", "mask_x", "mask_y")
        return {name: getattr(self, name) for name in names} | {
            "depthwise": 1,
            "passes": self.passes - 1,
            "loop0_count": self.wide - 1,
            "loop1_count": self.high - 1,
            "loop5_count": self.blocks - 1,
        }

    def candidate(self, window: int) -> dict[str, int] | None:
        """What a window completes; None if there is no candidate with it."""
        number = window - self.lag
        if not 0 <= number < self.wide * self.high * self.passes * self.blocks:
            return None
        rest, x = divmod(number, self.wide)
        rest, y = divmod(rest, self.high)
        block, step = divmod(rest, self.passes)
        final = block == self.blocks - 1
        return {
            "emit": int(self._is_output(x, y)),
            "start": int(x == y == 0),
            "first": int(step == 0),
            "last": int(step == self.passes - 1),
            "final": int(final),
            "advance": self._advance(x, y, final),
            "mask_x": _masked(x, self.last_x, self.mask_x, self.arch.tap_cols),
            "mask_y": _masked(y, self.last_y, self.mask_y, self.arch.tap_rows),
        }

    def _is_output(self, x: int, y: int) -> bool:
        inside = x <= self.last_x and y <= self.last_y
        return inside and x % (self.skip_x + 1) == 0 and y % (self.skip_y + 1) == 0

    def _advance(self, x: int, y: int, final: bool) -> int:
        """The way to the next output pixel of the pass, or out of the block."""
        if x < self.last_x:
            return Advance.PIXEL
        if y < self.last_y:
            return Advance.ROW
        return Advance.END if final else Advance.BLOCK

    def completes(self, window: int) -> bool:
        """Whether a window completes the descriptor's last output pixel."""
        found = self.candidate(window)
        return bool(found and found["emit"] and found["last"] and found["advance"] == Advance.END)
