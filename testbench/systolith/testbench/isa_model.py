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
from systolith.spec.encoding import decode_program
from systolith.spec.fixed import FINER
from systolith.spec.image import Program, TensorMap
from systolith.spec.isa import Descriptor, IsaError, Loop, Op, Walk, output_counts
from systolith.spec.link import Space

__all__ = ["IsaModel", "StoreTrace", "read_tensor", "write_tensor"]

Ints = NDArray[np.int64]

_EXACT_BITS = 62
"""Products up to this many bits are computed in int64, wider ones on Python integers."""


@dataclass(frozen=True)
class StoreTrace:
    """The stores of one descriptor, in order: element addresses (S,) and data (S, cols), int64.

    Addresses behind the activation memory, ``1 << act_addr_bits`` and more, are rows of the weight memory.
    """

    descriptor: int
    addresses: Ints
    data: Ints


def _indices(tensor: TensorMap) -> Ints:
    """Element addresses of a tensor, (height, width, channels)."""
    block_y, inner_y = np.divmod(np.arange(tensor.height)[:, None, None], tensor.block[0])
    block_x, inner_x = np.divmod(np.arange(tensor.width)[None, :, None], tensor.block[1])
    start = tensor.base + block_y * tensor.row_pitch + block_x * tensor.channel_pitch
    inner = (inner_y * tensor.block[1] + inner_x) * tensor.channels + np.arange(tensor.channels)
    return np.asarray(start + inner, dtype=np.int64)


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


def _candidates(descriptor: Descriptor) -> Ints:
    """Numbers of the candidates that are output pixels, (blocks, passes, pixels)."""
    wide, high = descriptor.loops[0].count, descriptor.loops[1].count
    passes, blocks = _count(descriptor.loops[2:5]), descriptor.loops[5].count
    x = np.arange(0, descriptor.last_x + 1, descriptor.skip_x + 1)
    y = np.arange(0, descriptor.last_y + 1, descriptor.skip_y + 1)
    raster = np.arange(blocks * passes).reshape(blocks, passes, 1) * (wide * high)
    return np.asarray(raster + (y[:, None] * wide + x).ravel())


def _masked(place: int, last: int, masks: int, taps: int) -> list[bool]:
    """Whether each of the taps of an axis is masked at a column or row of the candidates."""
    active = [part for part, where in enumerate((0, 1, last - 1, last)) if place == where]
    return [any(masks >> (part * taps + tap) & 1 for part in active) for tap in range(taps)]


def _taps(descriptor: Descriptor, arch: Arch) -> tuple[Ints, NDArray[np.bool_]]:
    """How many windows back each tap lies, (taps,), and whether an output pixel's are masked, (pixels, taps)."""
    wide, high = arch.tap_cols, arch.tap_rows
    back = np.arange(high)[::-1, None] * (descriptor.line_last + 1) + np.arange(wide)[::-1]
    across, down = output_counts(descriptor)
    columns = [x * (descriptor.skip_x + 1) for x in range(across)]
    rows = [y * (descriptor.skip_y + 1) for y in range(down)]
    mask_x = np.array([_masked(x, descriptor.last_x, descriptor.mask_x, wide) for x in columns])
    mask_y = np.array([_masked(y, descriptor.last_y, descriptor.mask_y, high) for y in rows])
    masked = mask_y[:, None, :, None] | mask_x[None, :, None, :]
    return back.ravel(), masked.reshape(across * down, high * wide)


class _Lanes:
    """The requantiser lanes on whole arrays: :mod:`systolith.spec.fixed`, element by element."""

    def __init__(self, arch: Arch) -> None:
        self._widths = arch.lane_widths
        wide = self._widths.operand + self._widths.mult > _EXACT_BITS
        self._dtype: type = object if wide else np.int64

    def _round(self, product: Ints, shift: int) -> Ints:
        floor: Ints = product >> shift
        rest = product - (floor << shift)
        half = 1 << (shift - 1)
        up = (rest > half) | ((rest == half) & (floor & 1 == 1))
        return np.asarray(floor + up.astype(np.int64))

    def requantise(self, acc: Ints, multiplier: Ints, shift: Ints, descriptor: Descriptor) -> Ints:
        """Accumulators (..., lanes), bias included, to clamped values relative to the zero point."""
        limit = 1 << (self._widths.operand - 1)
        shifted = (acc.astype(self._dtype) << self._widths.headroom) >> shift
        operand = np.clip(shifted, -limit, limit - 1)
        post = self._widths.post - (FINER if descriptor.residual and descriptor.product else 0)
        rounded = self._round(operand * multiplier.astype(self._dtype), post)
        return np.clip(rounded, descriptor.lo, descriptor.hi).astype(np.int64)

    def add(self, own: Ints, other: Ints, descriptor: Descriptor) -> Ints:
        """The fused residual add or product on values relative to their zero points."""
        widths = self._widths
        unit = widths.add_post - widths.product_post
        total = own * (other << unit if descriptor.product else descriptor.m_own) + other * descriptor.m_res
        return np.clip(self._round(total, widths.add_post), descriptor.lo_sum, descriptor.hi_sum)


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
        self._tables = self._unpack_tables()
        self._lanes = _Lanes(self.arch)

    # ------------------------------------------------------------------ memories

    def _lines(self, space: Space) -> NDArray[np.uint32]:
        words = np.array(self.program.segments[space], dtype=np.uint32)
        return words.reshape(-1, link.line_words(space, self.arch))

    def _unpack_weights(self) -> Ints:
        """The weight memory as (lines, weights a line), unsigned."""
        arch = self.arch
        count = arch.weight_rows * arch.cols
        lines = list(_line_fields(self._lines(Space.WEIGHTS), arch.weight_bits, count))
        return np.array(lines, dtype=np.int64).reshape(-1, count)

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

    def _unpack_tables(self) -> Ints:
        """The entries of all tables that the program has, flat."""
        words = np.array(self.program.segments.get(Space.TABLES, ()), dtype=np.int64)
        return _signed(words & (self.arch.table_entries - 1), self.arch.act_bits)

    # ------------------------------------------------------------------ execution

    def run(self, inputs: Mapping[str, Ints]) -> dict[str, Ints]:
        """One inference: engine integers in network shape in and out."""
        for tensor in self.program.inputs:
            self.load(tensor, inputs[tensor.name])
        for _ in self.stores():
            pass
        return {tensor.name: read_tensor(self.activations, tensor) for tensor in self.program.outputs}

    def load(self, tensor: TensorMap, values: Ints) -> None:
        """Write an input as the host link does: whole lines, padding elements the zero point."""
        lines = -(-tensor.elements // self.arch.line)
        self.activations[tensor.base : tensor.base + lines * self.arch.line] = tensor.zero_point
        write_tensor(self.activations, tensor, values)

    def stores(self) -> Iterator[StoreTrace]:
        """Execute descriptor by descriptor, yielding each one's stores after they are made."""
        weight_line, narrow = 0, self.descriptors[0].narrow if self.descriptors else 0
        self._stored = np.zeros(self._weights.shape[0], dtype=np.bool_)
        for index, descriptor in enumerate(self.descriptors):
            if descriptor.op == Op.MATRIX:
                compute = self._depthwise if descriptor.depthwise else self._matrix
                sums = compute(descriptor, self._pass_weights(index, descriptor, weight_line, narrow))
                weight_line, narrow = descriptor.weights_next, descriptor.narrow_next
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

    def _pass_weights(self, index: int, descriptor: Descriptor, weight_line: int, narrow: int) -> Ints:
        """The weights of a MATRIX descriptor, (blocks, passes, rows, cols), of ``narrow`` times halved bits."""
        arch = self.arch
        passes, blocks = _count(descriptor.loops[2:5]), descriptor.loops[5].count
        lines = blocks * passes * arch.pass_lines
        stored, bits = -(-lines >> narrow), arch.weight_bits >> narrow
        words = self._weights[weight_line : weight_line + stored]
        if len(words) < stored:
            raise IsaError(f"weights end at line {len(self._weights)}, needed up to {weight_line + stored}")
        self._check_fresh(index, descriptor, slice(weight_line, weight_line + stored), narrow)
        parts = words[:, None] >> np.arange(1 << narrow)[:, None] * bits & ((1 << bits) - 1)
        weights = _signed(parts.reshape(-1, words.shape[1])[:lines], bits)
        return weights.reshape(blocks, passes, arch.rows, arch.cols)

    def _check_fresh(self, index: int, descriptor: Descriptor, lines: slice, narrow: int) -> None:
        """Weights that the run has stored are only there for who fetches them anew, and not narrow."""
        if descriptor.fresh and narrow:
            raise IsaError(f"descriptor {index}: fresh weights are not narrow")
        if self._stored[lines].any() and not descriptor.fresh:
            raise IsaError(f"descriptor {index}: its weights are stored in the run, and it is not fresh")

    def _matrix(self, descriptor: Descriptor, weights: Ints) -> Ints:
        """Accumulators of a MATRIX descriptor, (blocks, pixels, cols)."""
        arch = self.arch
        blocks, passes = weights.shape[:2]
        pixels = _count(descriptor.loops[:2])
        rows, cols = (part.reshape(blocks, passes, pixels) for part in _coordinates(descriptor))
        sums = np.zeros((blocks, pixels, arch.cols), dtype=np.int64)
        for block in range(blocks):
            for step in range(passes):
                window = self._windows(descriptor, rows[block, step], cols[block, step], arch.rows)
                # float64 is exact here: a partial sum has at most 16 + 16 + 8 bits
                sums[block] += (window.astype(np.float64) @ weights[block, step].astype(np.float64)).astype(np.int64)
        return sums

    def _depthwise(self, descriptor: Descriptor, weights: Ints) -> Ints:
        """Accumulators of a depthwise MATRIX descriptor, (blocks, output pixels, cols)."""
        arch = self.arch
        raster = self._windows(descriptor, *_coordinates(descriptor), arch.window)
        # what lies before the first window or behind the last is undefined: zeros here
        before, after = arch.tap_rows * (descriptor.line_last + 1) + arch.tap_cols, descriptor.lag
        stream = np.pad(raster, ((before, after), (0, 0)))
        taps, masked = _taps(descriptor, arch)
        candidates = _candidates(descriptor)
        sums = np.zeros((weights.shape[0], candidates.shape[2], arch.cols), dtype=np.int64)
        for block, step in np.ndindex(weights.shape[:2]):
            newest = candidates[block, step] + descriptor.lag + before
            own = stream[newest[:, None] - taps][..., : arch.cols]
            own = np.where(masked[..., None], descriptor.fill, own)
            shared = stream[newest, arch.taps : arch.rows]
            sums[block] += np.einsum("prc,rc->pc", own, weights[block, step, : arch.taps])
            sums[block] += shared @ weights[block, step, arch.taps :]
        return sums

    def _vector(self, descriptor: Descriptor) -> Ints:
        """Sums or maxima of a VECTOR descriptor, (blocks, pixels, cols)."""
        loops, width = descriptor.loops, self.arch.cols
        taps, pixels, blocks = _count(loops[:3]), _count(loops[3:5]), loops[5].count
        rows, cols = (part.reshape(blocks, pixels, taps) for part in _coordinates(descriptor))
        windows = self._windows(descriptor, rows, cols, width)
        return np.asarray(windows.max(axis=2) if descriptor.maximum else windows.sum(axis=2))

    def _retire(self, index: int, descriptor: Descriptor, sums: Ints) -> StoreTrace:
        """Lanes and stores."""
        blocks, pixels, cols = sums.shape
        steps, lanes = self.arch.lane_cycles, self.arch.lanes
        lines = descriptor.param_base + np.arange(blocks)[:, None] * steps + np.arange(steps)
        bias, multiplier, shift = (part[lines][:, None] for part in (self._bias, self._multiplier, self._shift))
        acc = sums.reshape(blocks, pixels, steps, lanes) + bias
        if np.abs(acc).max(initial=0) >= 1 << (self.arch.acc_bits - 1):
            raise IsaError(f"descriptor {index}: an accumulator overflows {self.arch.acc_bits} bits")
        requantised = self._lanes.requantise(acc, multiplier, shift, descriptor)
        values = requantised.reshape(blocks * pixels, cols)
        if descriptor.residual:
            operand = self.activations[self._walk(descriptor, descriptor.res)]
            values = self._lanes.add(values, operand - descriptor.res_zero, descriptor)
        values += descriptor.out_zero
        if descriptor.lookup:
            values = self._look_up(index, descriptor.table, values)
        addresses = self._walk(descriptor, descriptor.out)
        if descriptor.to_weights:
            return self._store_weights(index, addresses[:, 0], values)
        # in store order, so that a later store to the same address wins
        for column in range(cols):
            self.activations[addresses[:, column]] = values[:, column]
        return StoreTrace(index, addresses[:, 0], values)

    def _store_weights(self, index: int, rows: Ints, values: Ints) -> StoreTrace:
        """C-vectors into rows of the weight memory, of which the program's image must have all."""
        arch = self.arch
        memory = self._weights.reshape(-1, arch.cols)
        if rows.max(initial=0) >= len(memory):
            raise IsaError(f"descriptor {index}: it stores weights in row {rows.max()}, the program has {len(memory)}")
        before = np.concatenate([[-1], rows[:-1]])
        if ((rows % arch.weight_rows > 0) & (before != rows - 1)).any():
            raise IsaError(f"descriptor {index}: the rows of a line of weights are not stored one after another")
        for row, value in zip(rows, values, strict=True):
            memory[row] = value & ((1 << arch.weight_bits) - 1)
            memory[row + 1 : row + arch.weight_rows - row % arch.weight_rows] = 0
        self._stored[rows // arch.weight_rows] = True
        return StoreTrace(index, rows + self.activations.size, values)

    def _look_up(self, index: int, table: int, values: Ints) -> Ints:
        """The table's entries for stored integers."""
        size = self.arch.table_entries
        entries = self._tables[table * size : (table + 1) * size]
        if len(entries) < size:
            raise IsaError(
                f"descriptor {index}: it looks up in table {table}, the program has {len(self._tables)} lines"
            )
        return entries[values + size // 2]

    def _walk(self, descriptor: Descriptor, walk: Walk) -> Ints:
        """Element addresses of an output or residual walk, (stores, cols)."""
        counts = [*output_counts(descriptor), descriptor.loops[5].count]
        flat = _positions(walk.base, _strides([walk.x, walk.y, walk.block], counts), counts)
        return np.asarray((flat[:, None] + np.arange(self.arch.cols)) % self.activations.size)
