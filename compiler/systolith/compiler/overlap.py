# SPDX-License-Identifier: Apache-2.0
"""How early each descriptor may begin: the promises ``lead`` and ``apart`` of :mod:`systolith.spec.isa`.

The engine does not wait for a descriptor's last store before it issues the next one's windows; the program says how
many cycles may be left to it. Two bounds follow from the fixed latencies (:mod:`systolith.spec.timing`). A window must
be read after the stores of its elements: a store is made at least so many cycles before the last as the results between
them take, and window ``k`` is issued at least so many cycles after the first as lie between them undisturbed. And
sums must not reach the lanes before the last store, unless a drain sees to that. Where it does, a descriptor need not
even wait until the time of the last store is known, if what it reads is stored when a bank is free for it. Only the
descriptor directly before counts: the back section of one is not read before the last store of the one before the one
before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from systolith.spec import timing
from systolith.spec.arch import Arch
from systolith.spec.isa import Descriptor, Op, Walk, lead_free, output_counts

from .issue_model import output_pixels
from .nest import coordinates, positions
from .plan import Ints

__all__ = ["overlap"]

CHUNK = 1024
"""Windows looked at together."""

LONG_AGO = 1 << 40
"""Cycles from a store that has been made before anything could read too early."""


def _since_first(descriptor: Descriptor, arch: Arch, windows: Ints) -> Ints:
    """Least cycles from the first window's issue to the given ones'."""
    if descriptor.op == Op.VECTOR or descriptor.depthwise:
        return windows
    pixels = descriptor.loops[0].count * descriptor.loops[1].count
    number, pixel = np.divmod(windows, pixels)
    return np.asarray(number * timing.pass_cycles(arch, pixels) + pixel)


def _stores(descriptor: Descriptor, walk: Walk, arch: Arch) -> Ints:
    """First addresses of a walk in store order."""
    counts = [*output_counts(descriptor), descriptor.loops[5].count]
    return positions(walk.base, counts, [walk.x, walk.y, walk.block]) % (1 << arch.act_addr_bits)


def _reads(descriptor: Descriptor, arch: Arch) -> Iterator[tuple[Ints, Ints]]:
    """Chunks of windows: numbers (windows,) and addresses of their elements (windows, elements); -1 is outside."""
    rows, cols = coordinates(descriptor)
    wide = arch.cols if descriptor.op == Op.VECTOR or descriptor.depthwise else arch.rows
    lane = np.arange(wide)
    for first in range(0, len(rows), CHUNK):
        row, col = rows[first : first + CHUNK, None], cols[first : first + CHUNK, None] + lane
        inside = (row >= 0) & (row < descriptor.plane) & (col >= 0) & (col < descriptor.row_len)
        address = (descriptor.base + row + col) % (1 << arch.act_addr_bits)
        yield np.arange(first, first + len(row)), np.where(inside, address, -1)


def _to_last_store(descriptor: Descriptor, arch: Arch, *, disturbed: bool) -> Ints:
    """Least cycles from each store of a descriptor to its last, in store order.

    ``disturbed``: other accesses to the memory may delay its windows, so that a pass that waits for weights catches up.
    """
    pixels, blocks = output_pixels(descriptor), descriptor.loops[5].count
    windows = descriptor.loops[0].count * descriptor.loops[1].count
    apart = arch.lane_cycles
    if descriptor.op == Op.VECTOR:
        apart = max(apart, windows * descriptor.loops[2].count)
    block = pixels * apart
    if descriptor.op == Op.MATRIX and not arch.buffered:
        length = windows if descriptor.depthwise or disturbed else timing.pass_cycles(arch, windows)
        block = length * int(np.prod([loop.count for loop in descriptor.loops[2:5]]))
    ahead = np.arange(blocks)[::-1, None] * block + np.arange(pixels)[::-1] * apart
    return np.asarray(ahead.ravel())


def _data_lead(descriptor: Descriptor, arch: Arch, ahead: Ints, most: int) -> int:
    """Cycles that may be left to the last store so that every element is stored when it is read; at most ``most``."""
    lead = most
    for windows, addresses in _reads(descriptor, arch):
        since = _since_first(descriptor, arch, windows)
        if since[0] >= lead:
            break
        # the place behind the memory's last stands for all that is outside
        bound = (ahead[addresses].min(axis=1) + since).min() + timing.READ_LATENCY - 1 + timing.START_LATENCY
        lead = min(lead, int(bound))
    return lead


def _weights_lead(descriptor: Descriptor, line: int, before: Descriptor, arch: Arch, cycles: Ints) -> int:
    """Cycles that may be left to the last store so that every row of weights is stored when it is fetched.

    The weights begin at ``line``; ``cycles`` are those from each store of the descriptor before to its last.
    """
    row = _stores(before, before.out, arch) - line * arch.weight_rows
    passes = int(np.prod([loop.count for loop in descriptor.loops[2:6]]))
    wanted = (row >= 0) & (row < passes * arch.rows)
    number, place = np.divmod(row[wanted], arch.rows)
    length = timing.pass_cycles(arch, descriptor.loops[0].count * descriptor.loops[1].count)
    # a pass's weights are fetched when the one before begins, and that waits for its own
    since = np.where(number > 0, timing.pass_cycles(arch, 0) + (number - 1) * length, 0) + place // arch.weight_rows
    bound = (cycles[wanted] + since).min(initial=LONG_AGO)
    return int(bound) + timing.START_LATENCY - timing.NEST_LATENCY + timing.RELOAD_LATENCY - 1


def _first_sum(descriptor: Descriptor, arch: Arch) -> int:
    """Least cycles from the first window's issue to the descriptor's first sum."""
    vector = descriptor.op == Op.VECTOR
    since = timing.sum_cycles(arch, vector=vector)
    if vector:
        return since + int(np.prod([loop.count for loop in descriptor.loops[:3]])) - 1
    passes = int(np.prod([loop.count for loop in descriptor.loops[2:5]]))
    raster = descriptor.loops[0].count * descriptor.loops[1].count
    since += (passes - 1) * timing.pass_cycles(arch, raster) + descriptor.lag
    if not arch.buffered:
        return since
    last = descriptor.last_y * descriptor.loops[0].count + descriptor.last_x if descriptor.depthwise else raster - 1
    return since + last + 1 + timing.DRAIN_LATENCY


def _is_free(descriptor: Descriptor, before: Descriptor, arch: Arch, ahead: Ints) -> bool:
    """Whether a MATRIX may begin while accumulators of the one before wait for their drain.

    Its first block waits for a bank, and so finds one bank at most that is not read out, but for the windows ahead of
    a raster's first candidate: those find up to two.
    """
    pace = arch.lane_cycles
    bank = pace * output_pixels(before)
    banks = min(2, before.loops[5].count) * bank
    # the drain goes on with the next bank, or the sums of the last one are still in the array
    begins = max(pace - 1, timing.sum_cycles(arch, vector=False) - timing.START_LATENCY)
    ends = begins - pace + timing.DRAIN_LATENCY + timing.store_cycles(arch)
    for windows, addresses in _reads(descriptor, arch):
        waited = _since_first(descriptor, arch, windows) - descriptor.lag
        if waited[0] > bank + ends:
            break
        left = np.where(waited < 0, banks - windows, bank - waited) + ends
        if (ahead[addresses].min(axis=1) + timing.READ_LATENCY <= left).any():
            return False
    return True


@dataclass(frozen=True)
class _Before:
    """The descriptor before: least cycles to its last store from each store, and from that of each element.

    The last entry of ``elements``, behind the memory, stands for what it does not store.
    """

    descriptor: Descriptor
    cycles: Ints
    elements: Ints


def _lead(descriptor: Descriptor, line: int, before: _Before, arch: Arch) -> int:
    if descriptor.fresh and before.descriptor.to_weights:
        bound = _weights_lead(descriptor, line, before.descriptor, arch, before.cycles)
        return min(bound, _activations_lead(descriptor, before, arch, free=False))
    return _activations_lead(descriptor, before, arch, free=True)


def _activations_lead(descriptor: Descriptor, last: _Before, arch: Arch, *, free: bool) -> int:
    """The lead as far as activations and sums go; ``free``: it may be that of any time."""
    most, before, ahead = lead_free(arch) - 1, last.descriptor, last.elements
    if not (arch.buffered and descriptor.op == before.op == Op.MATRIX):
        # a sum comes two cycles after the last store or later
        most = min(most, _first_sum(descriptor, arch) + timing.START_LATENCY - 2)
    elif free and _is_free(descriptor, before, arch, ahead):
        return lead_free(arch)
    return _data_lead(descriptor, arch, ahead, most)


def _segments(first: int, stop: int, arch: Arch) -> set[int]:
    """The segments of the activation memory that a range of addresses touches."""
    size = (1 << arch.act_addr_bits) // arch.act_segments
    return {part % arch.act_segments for part in range(first // size, (stop - 1) // size + 1)}


def _operand_segments(descriptor: Descriptor, arch: Arch) -> set[int]:
    if not descriptor.residual:
        return set()
    addresses = _stores(descriptor, descriptor.res, arch)
    return _segments(int(addresses.min()), int(addresses.max()) + arch.cols, arch)


def _apart(descriptor: Descriptor, before: Descriptor | None, arch: Arch) -> bool:
    """Whether no residual operand of a descriptor or of the one before lies in a segment of its input."""
    if not arch.residual or arch.act_segments == 1:
        return False
    extent = max(descriptor.plane, descriptor.row_len)
    own = _segments(descriptor.base, descriptor.base + extent, arch)
    others = [one for one in (descriptor, before) if one is not None]
    return not any(own & _operand_segments(other, arch) for other in others)


def _before(descriptor: Descriptor, arch: Arch, *, disturbed: bool) -> _Before:
    size = 1 << arch.act_addr_bits
    ahead = np.full(size + 1, LONG_AGO, dtype=np.int64)
    addresses, cycles = _stores(descriptor, descriptor.out, arch), _to_last_store(descriptor, arch, disturbed=disturbed)
    if not descriptor.to_weights:
        for column in range(arch.cols):
            ahead[(addresses + column) % size] = cycles
    return _Before(descriptor, cycles, ahead)


def overlap(descriptors: Sequence[Descriptor], arch: Arch) -> list[Descriptor]:
    """The descriptors of a program, each with the largest ``lead`` that is safe, and with ``apart`` where it holds."""
    result: list[Descriptor] = []
    last: _Before | None = None
    line = 0
    for descriptor in descriptors:
        before = last.descriptor if last else None
        apart = _apart(descriptor, before, arch)
        lead = _lead(descriptor, line, last, arch) if last else 0
        operands = descriptor.residual or (before is not None and before.residual)
        last = _before(descriptor, arch, disturbed=arch.act_single_port or (operands and not apart))
        line = descriptor.weights_next if descriptor.op == Op.MATRIX else line
        result.append(replace(descriptor, lead=lead, apart=apart))
    return result
