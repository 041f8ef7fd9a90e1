# SPDX-License-Identifier: Apache-2.0
"""The machine as a program sees it: a numpy model of the ISA, written from the specification alone.

It executes the encoded words of a :class:`~systolith.spec.image.Program` on memories of the engine's sizes, and yields
every store in the order the hardware makes it. It judges both the compiler (against the integer reference) and the RTL
(store by store), and therefore imports neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith.spec import link
from systolith.spec.arch import Arch
from systolith.spec.fixed import LaneWidths
from systolith.spec.image import Program, TensorMap
from systolith.spec.isa import Descriptor, IsaError, Loop, Op, Walk, decode_program
from systolith.spec.link import Space

__all__ = ["IsaModel", "StoreTrace", "read_tensor", "write_tensor"]

Ints = NDArray[np.int64]

_EXACT_BITS = 62
"""Products up to this many bits are computed in int64, wider ones on Python integers."""


@dataclass(frozen=True)
class StoreTrace:
    """The stores of one descriptor, in order: element addresses (S,) and data (S, lanes), int64."""

    descriptor: int
    addresses: Ints
    data: Ints


def _indices(tensor: TensorMap) -> Ints:
    """Element addresses of a tensor, (height, width, channels)."""
    y = np.arange(tensor.height)[:, None, None] * tensor.row_pitch
    x = np.arange(tensor.width)[None, :, None] * tensor.channel_pitch
    return np.asarray(tensor.base + y + x + np.arange(tensor.channels), dtype=np.int64)


def write_tensor(memory: Ints, tensor: TensorMap, values: Ints) -> None:
    """Put a tensor of ``tensor.shape`` (batch 1, NCHW or NC) into a memory of elements, in place."""
    memory[_indices(tensor)] = values.reshape(tensor.channels, tensor.height, tensor.width).transpose(1, 2, 0)


def read_tensor(memory: Ints, tensor: TensorMap) -> Ints:
    """Get a tensor out of a memory of elements, in ``tensor.shape``, int64."""
    return np.asarray(memory[_indices(tensor)].transpose(2, 0, 1).reshape(tensor.shape))


def _strides(steps: list[int], counts: list[int]) -> list[int]:
    """Absolute strides of nested loops (innermost first) from their relative steps."""
    strides: list[int] = []
    returned = 0
    for step, count in zip(steps, counts, strict=True):
        strides.append(step + returned)
        returned += (count - 1) * strides[-1]
    return strides


def _positions(start: int, strides: list[int], counts: list[int]) -> Ints:
    """All positions of nested loops, innermost fastest, flat."""
    flat = np.array([start], dtype=np.int64)
    for stride, count in zip(strides, counts, strict=True):
        flat = (np.arange(count, dtype=np.int64)[:, None] * stride + flat).ravel()
    return flat


def _coordinates(descriptor: Descriptor) -> tuple[Ints, Ints]:
    """Row and column of every window of the nest, flat in issue order."""
    counts = [loop.count for loop in descriptor.loops]
    rows = _strides([loop.row_step for loop in descriptor.loops], counts)
    cols = _strides([loop.col_step for loop in descriptor.loops], counts)
    return _positions(descriptor.row_start, rows, counts), _positions(descriptor.col_start, cols, counts)


def _count(loops: tuple[Loop, ...]) -> int:
    return int(np.prod([loop.count for loop in loops]))


def _signed(values: Ints, bits: int) -> Ints:
    """Unsigned fields of ``bits`` bits as two's complement."""
    return np.where(values >> (bits - 1) & 1, values - (1 << bits), values)


def _line_fields(words: NDArray[np.uint32], bits: int, count: int) -> Iterator[list[int]]:
    """Per line: ``count`` unsigned fields of ``bits`` bits."""
    mask = (1 << bits) - 1
    for line in words:
        whole = int.from_bytes(line.astype("<u4").tobytes(), "little")
        yield [(whole >> (index * bits)) & mask for index in range(count)]


class _Lanes:
    """The requantiser lanes on whole arrays: :mod:`systolith.spec.fixed`, element by element."""

    def __init__(self, arch: Arch) -> None:
        self._widths = LaneWidths(arch.act_bits, arch.acc_bits)
        wide = self._widths.operand + self._widths.mult > _EXACT_BITS
        self._dtype: type = object if wide else np.int64

    def _round(self, product: Ints, shift: int) -> Ints:
        floor: Ints = product >> shift
        rest = product - (floor << shift)
        half = 1 << (shift - 1)
        up = (rest > half) | ((rest == half) & (floor & 1 == 1))
        return np.asarray(floor + up.astype(np.int64))

    def requantise(self, acc: Ints, multiplier: Ints, shift: Ints, low: int, high: int) -> Ints:
        """Accumulators (..., lanes), bias included, to clamped values relative to the zero point."""
        limit = 1 << (self._widths.operand - 1)
        shifted = (acc.astype(self._dtype) << self._widths.headroom) >> shift
        operand = np.clip(shifted, -limit, limit - 1)
        rounded = self._round(operand * multiplier.astype(self._dtype), self._widths.post)
        return np.clip(rounded, low, high).astype(np.int64)

    def add(self, own: Ints, other: Ints, descriptor: Descriptor) -> Ints:
        """The fused residual add on values relative to their zero points."""
        total = own * descriptor.m_own + other * descriptor.m_res
        return np.clip(self._round(total, self._widths.add_post), descriptor.lo_sum, descriptor.hi_sum)


class IsaModel:
    """An engine of ``program.arch`` with the program loaded.

    ``activations`` is the activation memory, one int64 per element; it keeps its contents between runs, as the
    hardware does.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.arch = program.arch
        self.descriptors = decode_program(program.segments[Space.PROGRAM], self.arch)
        self.activations: Ints = np.zeros(1 << self.arch.act_addr_bits, dtype=np.int64)
        self._weights = self._unpack_weights()
        self._bias, self._multiplier, self._shift = self._unpack_params()
        self._lanes = _Lanes(self.arch)

    # ------------------------------------------------------------------ memories

    def _lines(self, space: Space) -> NDArray[np.uint32]:
        words = np.array(self.program.segments[space], dtype=np.uint32)
        return words.reshape(-1, link.line_words(space, self.arch))

    def _unpack_weights(self) -> Ints:
        """The weight memory as (lines, weight_rows, cols)."""
        arch = self.arch
        count = arch.weight_rows * arch.cols
        lines = list(_line_fields(self._lines(Space.WEIGHTS), arch.weight_bits, count))
        raw = np.array(lines, dtype=np.int64).reshape(-1, arch.weight_rows, arch.cols)
        return _signed(raw, arch.weight_bits)

    def _unpack_params(self) -> tuple[Ints, Ints, Ints]:
        """Bias, multiplier and shift, each (lines, lanes)."""
        slots = link.param_slots(self.arch)
        total = sum(bits for _, bits in slots.values())
        lines = list(_line_fields(self._lines(Space.PARAMS), total, self.arch.lanes))

        def part(name: str) -> Ints:
            offset, bits = slots[name]
            rows = [[(lane >> offset) & ((1 << bits) - 1) for lane in line] for line in lines]
            return np.array(rows, dtype=np.int64).reshape(-1, self.arch.lanes)

        return _signed(part("bias"), slots["bias"][1]), part("multiplier"), part("shift")

    # ------------------------------------------------------------------ execution

    def run(self, inputs: Mapping[str, Ints]) -> dict[str, Ints]:
        """One inference: engine integers in network shape in and out."""
        for tensor in self.program.inputs:
            self.load(tensor, inputs[tensor.name])
        for _ in self.stores():
            pass
        return {tensor.name: read_tensor(self.activations, tensor) for tensor in self.program.outputs}

    def load(self, tensor: TensorMap, values: Ints) -> None:
        """Write an input as the host link does: whole lines, padding elements 0."""
        lines = -(-tensor.elements // self.arch.line)
        self.activations[tensor.base : tensor.base + lines * self.arch.line] = 0
        write_tensor(self.activations, tensor, values)

    def stores(self) -> Iterator[StoreTrace]:
        """Execute descriptor by descriptor, yielding each one's stores after they are made."""
        weight_line = 0
        for index, descriptor in enumerate(self.descriptors):
            if descriptor.op == Op.MATRIX:
                sums = self._matrix(descriptor, weight_line)
                weight_line = descriptor.weights_next
            else:
                sums = self._vector(descriptor)
            yield self._retire(index, descriptor, sums)

    def _windows(self, descriptor: Descriptor, rows: Ints, cols: Ints, width: int) -> Ints:
        """The first ``width`` lanes of the windows at the given coordinates, (..., width)."""
        lane = np.arange(width)
        columns = cols[..., None] + lane
        addresses = (descriptor.base + rows[..., None] + columns) % self.activations.size
        inside = (columns >= 0) & (columns < descriptor.row_len)
        inside &= ((rows >= 0) & (rows < descriptor.plane))[..., None]
        return np.where(inside, self.activations[addresses], descriptor.fill)

    def _matrix(self, descriptor: Descriptor, weight_line: int) -> Ints:
        """Accumulators of a MATRIX descriptor, (blocks, pixels, steps, lanes)."""
        arch, loops = self.arch, descriptor.loops
        pixels, passes, blocks = _count(loops[:2]), _count(loops[2:5]), loops[5].count
        rows, cols = (part.reshape(blocks, passes, pixels) for part in _coordinates(descriptor))
        lines = blocks * passes * arch.pass_lines
        weights = self._weights[weight_line : weight_line + lines]
        if len(weights) < lines:
            raise IsaError(f"weights end at line {len(self._weights)}, needed up to {weight_line + lines}")
        weights = weights.reshape(blocks, passes, arch.rows, arch.cols)
        sums = np.zeros((blocks, pixels, arch.cols), dtype=np.int64)
        for block in range(blocks):
            for step in range(passes):
                window = self._windows(descriptor, rows[block, step], cols[block, step], arch.rows)
                # float64 is exact here: a partial sum has at most 16 + 16 + 8 bits
                sums[block] += (window.astype(np.float64) @ weights[block, step].astype(np.float64)).astype(np.int64)
        return sums.reshape(blocks, pixels, arch.lane_cycles, arch.lanes)

    def _vector(self, descriptor: Descriptor) -> Ints:
        """Sums or maxima of a VECTOR descriptor, (blocks, pixels, 1, lanes)."""
        loops, lanes = descriptor.loops, self.arch.lanes
        taps, pixels, blocks = _count(loops[:3]), _count(loops[3:5]), loops[5].count
        rows, cols = (part.reshape(blocks, pixels, taps) for part in _coordinates(descriptor))
        windows = self._windows(descriptor, rows, cols, lanes)
        reduced = windows.max(axis=2) if descriptor.maximum else windows.sum(axis=2)
        return np.asarray(reduced.reshape(blocks, pixels, 1, lanes))

    def _retire(self, index: int, descriptor: Descriptor, sums: Ints) -> StoreTrace:
        """Lanes and stores."""
        blocks, pixels, steps, lanes = sums.shape
        lines = descriptor.param_base + np.arange(blocks)[:, None] * steps + np.arange(steps)
        bias, multiplier, shift = (part[lines][:, None] for part in (self._bias, self._multiplier, self._shift))
        acc = sums + bias
        if np.abs(acc).max(initial=0) >= 1 << (self.arch.acc_bits - 1):
            raise IsaError(f"descriptor {index}: an accumulator overflows {self.arch.acc_bits} bits")
        values = self._lanes.requantise(acc, multiplier, shift, descriptor.lo, descriptor.hi)
        if descriptor.residual:
            operand = self.activations[self._walk(descriptor, descriptor.res, sums.shape)]
            values = self._lanes.add(values, operand - descriptor.res_zero, descriptor)
        values += descriptor.out_zero
        addresses = self._walk(descriptor, descriptor.out, sums.shape)
        flat, data = addresses[..., 0].ravel(), values.reshape(-1, lanes)
        # in store order, so that a later store to the same address wins
        for lane in range(lanes):
            self.activations[flat + lane] = data[:, lane]
        return StoreTrace(index, flat, data)

    def _walk(self, descriptor: Descriptor, walk: Walk, shape: tuple[int, ...]) -> Ints:
        """Element addresses of an output or residual walk, (blocks, pixels, steps, lanes)."""
        first = 0 if descriptor.op == Op.MATRIX else 3
        across, down = (loop.count for loop in descriptor.loops[first : first + 2])
        blocks, _, steps, lanes = shape
        stride_x, stride_y, stride_block = _strides([walk.x, walk.y, walk.block], [across, down, blocks])
        counts = [lanes, steps, across, down, blocks]
        flat = _positions(walk.base, [1, lanes, stride_x, stride_y, stride_block], counts)
        return (flat % self.activations.size).reshape(blocks, down * across, steps, lanes)
