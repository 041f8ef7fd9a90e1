# SPDX-License-Identifier: Apache-2.0
"""Weights as they lie in the weight memory: of full width or, where the engine can, of half or a quarter of it.

How many bits a layer's weights take there is decided by the integers alone: the fewest that hold them. It costs no
cycle, so that there is nothing to choose.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from systolith.spec.arch import Arch

from .plan import Ints
from .runtime import Words, pack_fields

__all__ = ["narrowing", "pack_weights", "weight_range"]


def weight_range(bits: int) -> tuple[int, int]:
    """Smallest and largest signed integer of ``bits`` bits."""
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def narrowing(blocks: Sequence[Ints], arch: Arch) -> int:
    """How often the bits of a layer's weights can be halved (:mod:`systolith.spec.isa`, ``narrow``).

    ``blocks`` are a layer's weights; they fit ``arch.weight_bits``.
    """
    low = min((int(block.min(initial=0)) for block in blocks), default=0)
    high = max((int(block.max(initial=0)) for block in blocks), default=0)
    fitting = [
        narrow
        for narrow, bits in enumerate(arch.stored_weight_bits)
        if weight_range(bits)[0] <= low and high <= weight_range(bits)[1]
    ]
    return fitting[-1] if blocks else 0


def pack_weights(block: Ints, narrow: int, arch: Arch) -> Words:
    """A block of weights (passes, rows, cols) as whole lines of the weight memory, in link words, (lines, words).

    What is left of the last line, with narrow weights, is zero.
    """
    lines = block.reshape(-1, arch.weight_rows * arch.cols)
    parts, bits = 1 << narrow, arch.weight_bits >> narrow
    whole = np.pad(lines, ((0, -len(lines) % parts), (0, 0))).reshape(-1, parts, lines.shape[1])
    places = (whole & ((1 << bits) - 1)) << (np.arange(parts)[:, None] * bits)
    return pack_fields([(places.sum(axis=1), arch.weight_bits)])
