# SPDX-License-Identifier: Apache-2.0
"""Passes of an array cycle by cycle: what enters the datapath when, and what must come out."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from systolith.spec.arch import Arch
from systolith.spec.timing import MIN_PASS

__all__ = ["Pass", "Schedule", "draw_blocks", "no_raster", "plan"]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Pass:
    """Windows (M, window) that meet weights (rows, cols); the first and the last of their block's reduction or not."""

    windows: Ints
    weights: Ints
    first: bool
    last: bool

    @property
    def sums(self) -> Ints:
        """(M, cols)."""
        return np.asarray(self.windows[:, : len(self.weights)] @ self.weights)


@dataclass
class Schedule:
    """Payloads by cycle."""

    windows: dict[int, dict[str, Any]] = field(default_factory=dict)
    weights: dict[int, dict[str, Any]] = field(default_factory=dict)

    @property
    def cycles(self) -> int:
        return max(self.windows) + 1


def _extreme(rng: np.random.Generator, bits: int, shape: tuple[int, ...]) -> Ints:
    """Random values, a third of them the ends of the range."""
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    values = rng.integers(low, high + 1, shape)
    return np.where(rng.random(shape) < 1 / 3, rng.choice([low, high], shape), values)


def draw_blocks(arch: Arch, seed: int, sizes: list[tuple[int, int]]) -> list[list[Pass]]:
    """For each (pixels, passes) a block of passes over as many pixels."""
    rng = np.random.default_rng(seed)
    return [
        [
            Pass(
                _extreme(rng, arch.act_bits, (pixels, arch.window)),
                _extreme(rng, arch.weight_bits, (arch.rows, arch.cols)),
                first=index == 0,
                last=index == count - 1,
            )
            for index in range(count)
        ]
        for pixels, count in sizes
    ]


def plan(arch: Arch, passes: list[Pass], rng: random.Random, *, relaxed: bool) -> Schedule:
    """When the passes run: as densely as the contract allows, or (``relaxed``) with gaps and late weights.

    The weights of a pass come from the cycle of the previous pass's first window on (the earliest allowed); relaxed,
    later, but before the pass's own first window (the latest allowed).
    """
    schedule, start, previous = Schedule(), 0, -arch.pass_lines
    for item in passes:
        begin = start - arch.pass_lines if relaxed and rng.random() < 0.5 else previous
        begin = max(begin, previous)
        start = max(start, begin + arch.pass_lines)
        _load(schedule, arch, item.weights, begin)
        previous = start
        start = max(_run(schedule, arch, item, start, rng, relaxed), previous + arch.pass_lines)
    earliest = min(schedule.weights)
    return Schedule(
        {cycle - earliest: payload for cycle, payload in schedule.windows.items()},
        {cycle - earliest: payload for cycle, payload in schedule.weights.items()},
    )


def _load(schedule: Schedule, arch: Arch, weights: Ints, begin: int) -> None:
    for row in range(arch.pass_lines):
        lines = weights[row * arch.weight_rows : (row + 1) * arch.weight_rows]
        schedule.weights[begin + row] = {"row": row, "data": lines.tolist()}


def no_raster(arch: Arch) -> dict[str, Any]:
    """What a window that is no pixel of a raster says to the depthwise feed."""
    return {"dw": {"depthwise": 0, "emit": 1, "mask_x": 0, "mask_y": 0}} if arch.depthwise else {}


def _run(schedule: Schedule, arch: Arch, item: Pass, start: int, rng: random.Random, relaxed: bool) -> int:
    """Enter the windows; returns the first cycle in which the next pass may begin.

    That is when every pixel's next window, even if no gap holds it up, comes MIN_PASS cycles after its present one.
    """
    cycle, following = start, start
    final = len(item.windows) - 1
    for pixel, window in enumerate(item.windows):
        # within a block the next pixel or row follows, behind it the next block or the descriptor's end
        advance = pixel % 2 + 2 * (pixel == final)
        tag = {"start": int(pixel == 0), "first": int(item.first), "last": int(item.last), "advance": advance}
        schedule.windows[cycle] = {"vector": 0, "tag": tag, "data": window.tolist()} | no_raster(arch)
        following = max(following, cycle + 1, cycle - pixel + MIN_PASS)
        cycle += 1 + (rng.randrange(4) if relaxed and rng.random() < 0.4 else 0)
    return following
