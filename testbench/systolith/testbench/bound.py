# SPDX-License-Identifier: Apache-2.0
"""How long a run can take at the very most: the patience of a bench, not a prediction."""

from __future__ import annotations

from math import prod

from systolith.spec.arch import Arch
from systolith.spec.encoding import decode_program
from systolith.spec.image import Program
from systolith.spec.isa import Descriptor
from systolith.spec.link import Space

__all__ = ["cycle_bound"]

_MARGIN = 4
"""Cycles a window may wait for memory besides the lanes, and a pass for its minimum length."""

_OVERHEAD = 1000
"""Cycles of a descriptor that do not depend on its loops: reading it, draining."""


def _descriptor_bound(descriptor: Descriptor, arch: Arch) -> int:
    counts = [loop.count for loop in descriptor.loops]
    windows, passes = prod(counts), prod(counts[2:])
    return windows * (arch.lane_cycles + _MARGIN) + passes * (arch.pass_lines + _MARGIN) + _OVERHEAD


def cycle_bound(program: Program) -> int:
    """Cycles after which a run of ``program`` that has not answered is hung."""
    descriptors = decode_program(program.segments[Space.PROGRAM], program.arch)
    return _OVERHEAD + sum(_descriptor_bound(descriptor, program.arch) for descriptor in descriptors)
