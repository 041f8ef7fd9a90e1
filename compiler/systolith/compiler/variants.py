# SPDX-License-Identifier: Apache-2.0
"""Layouts that a convolution's tensors may have besides the plain ones; see :mod:`systolith.compiler.packing`."""

from __future__ import annotations

from collections.abc import Iterator

from systolith.spec.arch import Arch

from .ir import Node
from .layout import Layout, round_up
from .packing import unrolled

__all__ = ["input_variants", "output_variants"]


def _unrolled(plain: Layout, pitch: int, arch: Arch) -> Layout:
    """The layout of a pitch; rows are filled up to whole vectors of C."""
    dense = Layout(plain.height, plain.width, plain.channels, pitch)
    pixels = unrolled(dense, arch)
    return Layout(plain.height, plain.width, plain.channels, pitch, round_up(plain.width, pixels) * pitch)


def output_variants(plain: Layout, arch: Arch) -> list[Layout]:
    """Layouts in which neighbouring pixels share a vector of C, the fewest first; none for a single column."""
    multiples = [1 << bits for bits in range(arch.cols.bit_length() - 1) if 1 << bits >= arch.act_granule]
    pitches = {round_up(plain.channels, multiple) for multiple in multiples}
    if plain.width == 1:
        return []
    return [_unrolled(plain, pitch, arch) for pitch in sorted(pitches, reverse=True) if pitch % arch.cols]


def _divisors(value: int) -> list[int]:
    return [one for one in range(1, value + 1) if value % one == 0]


def _blocked(plain: Layout, block: tuple[int, int], arch: Arch) -> Iterator[Layout]:
    """The layouts by rows and by columns of a block size."""
    size = (plain.height, plain.width, plain.channels)
    pitch = round_up(plain.channels * block[0] * block[1], arch.act_granule)
    rows = Layout(*size, pitch, block=block)
    if block != (1, 1):
        yield rows
    down = rows.blocks.height
    # a single line needs no other direction, and its direction could not be told from its pitches
    if down > 1 and rows.blocks.width > 1:
        yield Layout(*size, down * pitch, pitch, block)


def input_variants(plain: Layout, node: Node, unroll: int, arch: Arch) -> list[Layout]:
    """Layouts of a network input that only ``node`` reads, which computes ``unroll`` pixels at a time: by columns, and
    in blocks that divide its stride; the smallest blocks first.
    """
    down, across = node.attributes["strides"]
    blocks = [(by, bx) for by in _divisors(down) for bx in _divisors(across * unroll)]
    return [
        layout for block in sorted(blocks, key=lambda one: one[0] * one[1]) for layout in _blocked(plain, block, arch)
    ]
