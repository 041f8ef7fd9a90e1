# SPDX-License-Identifier: Apache-2.0
"""Descriptors of random shape, for what depends on shapes and addresses alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from systolith.compiler.nest import Stride, make_loops, make_walk
from systolith.spec import timing
from systolith.spec.arch import Arch
from systolith.spec.isa import Descriptor, Op

__all__ = ["random_shape"]


def _places(rng: np.random.Generator, arch: Arch) -> int:
    """A line of the memory, most often one of the first few, so that descriptors meet."""
    lines = (1 << arch.act_addr_bits) // arch.cols
    return int(rng.choice([rng.integers(0, 24), rng.integers(0, lines)], p=(0.8, 0.2))) * arch.cols


def random_shape(rng: np.random.Generator, arch: Arch, *, longest: int = 14) -> Descriptor:
    """A descriptor of any kind that reads and stores somewhere."""
    counts = [int(count) for count in rng.integers(1, 4, 6)]
    kind = rng.choice(["matrix", "depthwise", "vector"])
    counts[int(rng.integers(0, 6))] = int(rng.integers(1, longest + 1))
    if kind == "depthwise":
        counts[:2] = (int(size) for size in rng.integers(2, 6, 2))
    made = Descriptor(op=Op.VECTOR if kind == "vector" else Op.MATRIX, loops=make_loops([Stride(n) for n in counts]))
    first = 3 if kind == "vector" else 0
    outputs = counts[first], counts[first + 1]
    if kind == "depthwise":
        made, outputs = _raster(rng, arch, made)
    across, down, cols = *outputs, arch.cols
    steps = [int(step) for step in rng.choice([0, 1, 2, 4], 6)]
    pitch = cols * int(rng.integers(1, 3))
    walk = (across, pitch), (down, across * pitch), (counts[5], across * down * pitch)
    return replace(
        made,
        loops=make_loops([Stride(n, col=step * arch.act_granule) for n, step in zip(counts, steps, strict=True)]),
        base=_places(rng, arch),
        col_start=int(rng.integers(-2, 3)) * arch.act_granule,
        plane=int(rng.integers(0, 4)),
        row_len=int(rng.integers(1, 100)),
        residual=arch.residual and bool(rng.random() < 0.4),
        out=make_walk(_places(rng, arch), *walk),
        res=make_walk(_places(rng, arch), *walk),
        work=int(rng.integers(0, 9)),
    )


def _raster(rng: np.random.Generator, arch: Arch, made: Descriptor) -> tuple[Descriptor, tuple[int, int]]:
    """A raster of at least a pass's least length, with outputs at regular places; returns how many."""
    wide, high = made.loops[0].count, made.loops[1].count
    assert wide * high >= timing.MIN_PASS
    skips = [int(skip) for skip in rng.integers(0, 3, 2)]
    most = [(size - 1) // (skip + 1) + 1 for size, skip in zip((wide, high), skips, strict=True)]
    outputs = [int(rng.integers(1, count + 1)) for count in most]
    last = [(count - 1) * (skip + 1) for count, skip in zip(outputs, skips, strict=True)]
    lag = int(rng.integers(0, 2 * wide + 3))
    made = replace(made, depthwise=True, lag=lag, skip_x=skips[0], skip_y=skips[1], last_x=last[0], last_y=last[1])
    return made, (outputs[0], outputs[1])
