# SPDX-License-Identifier: Apache-2.0
"""Bytes that a program moves in and out of the engine's memories, counted from its descriptors.

They are what the data path takes and gives, whatever the width of a memory's line: a window counts as its R elements
(VECTOR: ``lanes``), a store as its ``lanes`` elements, a pass as its R x C weights. How often a memory works times its
width is what its energy goes with, so these figures serve as a proxy where no measurement of a chip is at hand.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

from systolith.spec import link
from systolith.spec.arch import Arch
from systolith.spec.isa import WORD_BITS, Descriptor, Op, section_words
from systolith.spec.link import Space

__all__ = ["KINDS", "Access", "descriptor_traffic", "total_traffic"]


@dataclass(frozen=True)
class Access:
    """So many accesses of so many bits each."""

    count: int
    bits: int

    @property
    def bytes(self) -> float:
        """Bytes moved; a fraction where the widths are not whole bytes."""
        return self.count * self.bits / 8


KINDS = {
    "windows": ("activation memory", "windows read"),
    "residuals": ("activation memory", "residual operands read"),
    "stores": ("activation memory", "results stored"),
    "weights": ("weight memory", "weights read"),
    "params": ("parameter memory", "parameter lines read"),
    "sums_written": ("accumulators", "partial sums kept"),
    "sums_read": ("accumulators", "partial sums read back"),
    "program": ("program memory", "descriptors read"),
}
"""What is counted: the memory, and what is done there."""


def _matrix(descriptor: Descriptor, arch: Arch) -> dict[str, Access]:
    counts = [loop.count for loop in descriptor.loops]
    pixels, passes, blocks = prod(counts[:2]), prod(counts[2:5]), counts[5]
    steps = blocks * pixels * arch.lane_cycles
    kept = blocks * pixels * (passes - 1)
    return {
        "windows": Access(blocks * passes * pixels, arch.rows * arch.act_bits),
        "weights": Access(blocks * passes * arch.pass_lines, arch.weight_line_bits),
        "sums_written": Access(kept, arch.cols * arch.acc_bits),
        "sums_read": Access(kept, arch.cols * arch.acc_bits),
        **_lanes(descriptor, arch, steps),
    }


def _vector(descriptor: Descriptor, arch: Arch) -> dict[str, Access]:
    counts = [loop.count for loop in descriptor.loops]
    windows = Access(prod(counts), arch.lanes * arch.act_bits)
    return {"windows": windows, **_lanes(descriptor, arch, prod(counts[3:]))}


def _lanes(descriptor: Descriptor, arch: Arch, steps: int) -> dict[str, Access]:
    """What retires with ``steps`` steps of the lanes."""
    elements = arch.lanes * arch.act_bits
    return {
        "residuals": Access(steps if descriptor.residual else 0, elements),
        "stores": Access(steps, elements),
        "params": Access(steps, link.line_bits(Space.PARAMS, arch)),
    }


def descriptor_traffic(descriptor: Descriptor, arch: Arch) -> dict[str, Access]:
    """All that one descriptor moves, by :data:`KINDS`; what it has not is an access of count 0."""
    moved = _matrix(descriptor, arch) if descriptor.op == Op.MATRIX else _vector(descriptor, arch)
    moved["program"] = Access(sum(section_words(arch)), WORD_BITS)
    return {kind: moved.get(kind, Access(0, 0)) for kind in KINDS}


def total_traffic(parts: Iterable[dict[str, Access]]) -> dict[str, tuple[int, float]]:
    """Accesses and bytes of several descriptors together, by kind."""
    listed = list(parts)
    return {kind: (sum(p[kind].count for p in listed), sum(p[kind].bytes for p in listed)) for kind in KINDS}
