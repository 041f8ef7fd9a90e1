# SPDX-License-Identifier: Apache-2.0
"""Who gets the multiplier blocks of a device that has fewer than the engine has products.

The lanes come first: their products are wide. What is left goes to the array, its first columns, and the other cells
make their products of logic.
"""

from __future__ import annotations

from collections.abc import Iterator

from systolith.hdl.target import Target
from systolith.spec.arch import Arch

__all__ = ["cell_blocks", "lane_products"]


def lane_products(arch: Arch) -> int:
    """Products of all lanes: the scaling of the sums and, with residual adds, that of the two operands."""
    return arch.lanes * (3 if arch.residual else 1)


def cell_blocks(arch: Arch, target: Target) -> Iterator[int]:
    """Blocks of each cell of the array, column by column from the top."""
    cells = arch.cols * arch.rows // arch.psum_spacing
    left = cells * arch.psum_spacing
    if target.multipliers is not None:
        left = max(0, target.multipliers - lane_products(arch))
    for _ in range(cells):
        blocks = min(left, arch.psum_spacing)
        left -= blocks
        yield blocks
