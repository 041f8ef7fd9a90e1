# SPDX-License-Identifier: Apache-2.0
"""Bytes that a program moves in and out of the engine's memories, counted from its descriptors.

They are what the data path takes and gives, whatever the width of a memory's line: a window counts as its R elements
(VECTOR: C), a store as its C elements, a pass as its R x C weights of full width: narrow ones take less memory, but a
line of them is read once for each of its parts. How often a memory works times its width is what its energy goes with,
so these figures serve as a proxy where no measurement of a chip is at hand.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

from systolith.compiler.issue_model import issued_windows, output_pixels
from systolith.spec import link
from systolith.spec.arch import Arch
from systolith.spec.isa import WORD_BITS, Descriptor, Op, descriptor_words
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
    "entries": ("tables", "entries looked up"),
    "lines": ("line buffers", "pixels written and read"),
    "sums_written": ("accumulators", "partial sums kept"),
    "sums_read": ("accumulators", "partial sums read back"),
    "program": ("program memory", "descriptors read"),
}
"""What is counted: the memory, and what is done there."""


def _matrix(descriptor: Descriptor, arch: Arch) -> dict[str, Access]:
    counts = [loop.count for loop in descriptor.loops]
    passes, blocks = prod(counts[2:5]), counts[5]
    windows, results = issued_windows(descriptor), blocks * output_pixels(descriptor)
    kept = results * (passes if arch.buffered else passes - 1)
    vector = arch.cols * arch.act_bits
    return {
        "windows": Access(windows, vector if descriptor.depthwise else arch.rows * arch.act_bits),
        "lines": Access(2 * windows if descriptor.depthwise else 0, (arch.tap_rows - 1) * vector),
        "weights": Access(blocks * passes * arch.pass_lines, arch.weight_line_bits),
        "sums_written": Access(kept, arch.cols * arch.acc_bits),
        "sums_read": Access(kept, arch.cols * arch.acc_bits),
        **_lanes(descriptor, arch, results),
    }


def _vector(descriptor: Descriptor, arch: Arch) -> dict[str, Access]:
    windows = Access(issued_windows(descriptor), arch.cols * arch.act_bits)
    return {"windows": windows, **_lanes(descriptor, arch, descriptor.loops[5].count * output_pixels(descriptor))}


def _lanes(descriptor: Descriptor, arch: Arch, results: int) -> dict[str, Access]:
    """What retires with so many C-vectors."""
    vector = arch.cols * arch.act_bits
    return {
        "residuals": Access(results if descriptor.residual else 0, vector),
        "stores": Access(results, vector),
        "params": Access(results * arch.lane_cycles, link.line_bits(Space.PARAMS, arch)),
        "entries": Access(results * arch.cols if descriptor.lookup else 0, arch.act_bits),
    }


def descriptor_traffic(descriptor: Descriptor, arch: Arch) -> dict[str, Access]:
    """All that one descriptor moves, by :data:`KINDS`; what it has not is an access of count 0."""
    moved = _matrix(descriptor, arch) if descriptor.op == Op.MATRIX else _vector(descriptor, arch)
    moved["program"] = Access(descriptor_words(arch), WORD_BITS)
    return {kind: moved.get(kind, Access(0, 0)) for kind in KINDS}


def total_traffic(parts: Iterable[dict[str, Access]]) -> dict[str, tuple[int, float]]:
    """Accesses and bytes of several descriptors together, by kind."""
    listed = list(parts)
    return {kind: (sum(p[kind].count for p in listed), sum(p[kind].bytes for p in listed)) for kind in KINDS}
