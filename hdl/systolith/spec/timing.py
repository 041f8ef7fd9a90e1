# SPDX-License-Identifier: Apache-2.0
"""The engine's fixed latencies, in cycles: what the hardware is built to and the cycle model counts with.

Nothing downstream of the issue of a window ever waits, so a handful of constants and the sizes of the
:class:`~systolith.spec.arch.Arch` give the time of everything.
"""

from __future__ import annotations

from .arch import Arch

__all__ = [
    "ACCUMULATOR_LATENCY",
    "CELL_LATENCY",
    "DRAIN_LATENCY",
    "FETCH_LATENCY",
    "LINE_LATENCY",
    "MIN_PASS",
    "NEST_LATENCY",
    "OPERAND_DELAY",
    "READ_LATENCY",
    "RELOAD_LATENCY",
    "START_LATENCY",
    "VECTOR_LATENCY",
    "drain_cycles",
    "lane_latency",
    "lanes_after_sum",
    "matrix_latency",
    "pass_cycles",
    "store_cycles",
    "sum_cycles",
    "table_latency",
    "tail_cycles",
]

NEST_LATENCY = 1
"""From the start of a descriptor to its first iteration."""

START_LATENCY = 1 + NEST_LATENCY
"""From the cycle that lets a descriptor begin to the issue of its first window."""

READ_LATENCY = 1
"""From the issue of a window to the cycle in which the activation memory is read."""

FETCH_LATENCY = 5
"""From the issue of a window to its elements: address, lines of the banks, memory, register, rotation and masking."""

RELOAD_LATENCY = 1
"""From a descriptor's start to the reading of its first weights where they are fetched anew; less than a memory of
weights on any target gives. A row can be read in the cycle after its store."""

LINE_LATENCY = 2
"""From the reading of a line buffer to the pixel that meets what it holds."""

CELL_LATENCY = 4
"""Through a cell of the array: activation register, product, sum of the products, sum with those from above."""

ACCUMULATOR_LATENCY = 1
"""From the last vector of a pixel to its sum; the sum so far is read ahead of the vector."""

DRAIN_LATENCY = 1
"""From the cycle that reads a buffered accumulator to its sum."""

MIN_PASS = 4
"""From a pixel's vector in one pass to the next: read, register, add, write."""

VECTOR_LATENCY = 2
"""From a pixel's last window to its result in the vector unit: a register, the running sum."""

OPERAND_DELAY = 2
"""From a lane's input to its residual operand, whose read takes longer than the parameters' and which meets the rest
later."""

_REQUANTISE, _ADD = 7, 5
"""Registers of a lane: bias, coarse shift, fine shift, product (two), rounding (two); residual add: operands, products
(two), sum, rounding; the second register of the first rounding is that of the operands."""


def matrix_latency(arch: Arch) -> int:
    """From a window to its partial sums: down the row groups, through the last cell, across the columns."""
    return arch.rows // arch.psum_spacing - 1 + CELL_LATENCY + arch.cols - 1


def lane_latency(arch: Arch) -> int:
    """From a lane's input to its output."""
    return _REQUANTISE + (_ADD if arch.residual else 0)


def table_latency(arch: Arch) -> int:
    """From a lane's output to the element that is stored: through the memory of the tables, if any, and a register."""
    return 2 if arch.tables else 0


def lanes_after_sum(arch: Arch) -> int:
    """From a sum to the lanes' input: split into steps that meet their parameters; with residual adds one more."""
    return 2 if arch.residual else 1


def pass_cycles(arch: Arch, pixels: int) -> int:
    """Length of a pass over ``pixels`` windows when nothing but the weights and the accumulator can hold it up."""
    return max(pixels, arch.pass_lines, MIN_PASS)


def sum_cycles(arch: Arch, *, vector: bool) -> int:
    """From the issue of a pixel's last window to its sum. With buffered accumulators it is a sum to be drained."""
    compute = VECTOR_LATENCY if vector else matrix_latency(arch) + ACCUMULATOR_LATENCY
    return FETCH_LATENCY + compute


def store_cycles(arch: Arch) -> int:
    """From a sum to its store."""
    return lanes_after_sum(arch) + (arch.lane_cycles - 1) + lane_latency(arch) + table_latency(arch)


def drain_cycles(arch: Arch, *, vector: bool) -> int:
    """From the issue of a descriptor's last window to its last store, where sums go straight to the lanes."""
    return sum_cycles(arch, vector=vector) + store_cycles(arch)


def tail_cycles(arch: Arch) -> int:
    """Most cycles that the last store can be ahead when its time is known (:class:`systolith.spec.isa` ``lead``)."""
    buffered = DRAIN_LATENCY + arch.lane_cycles * (arch.acc_depth - 1) + store_cycles(arch)
    straight = max(drain_cycles(arch, vector=vector) for vector in (False, True))
    return max(straight, buffered) if arch.buffered else straight
