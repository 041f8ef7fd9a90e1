# SPDX-License-Identifier: Apache-2.0
"""Random programs, descriptor by descriptor: shapes that no compiler would choose, too."""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from systolith.compiler.nest import Stride, make_loops, make_walk
from systolith.compiler.overlap import overlap
from systolith.spec import link
from systolith.spec.arch import Arch
from systolith.spec.encoding import encode_program
from systolith.spec.image import Program
from systolith.spec.isa import MASK_PLACES, Descriptor, Op, Walk
from systolith.spec.link import Space

__all__ = ["ProgramBuilder", "random_lines"]

QUARTERS = 4
"""Parts of the activation memory: input, residual operand and output of a descriptor each take one."""

GAP = 3
"""Most unused weight lines between two descriptors'."""


def random_lines(rng: random.Random, space: Space, arch: Arch, count: int) -> array[int]:
    """``count`` lines of random bits as link words."""
    words = array("I")
    for _ in range(count):
        value = rng.getrandbits(link.line_bits(space, arch))
        words.extend((value >> (32 * index)) & 0xFFFF_FFFF for index in range(link.line_words(space, arch)))
    return words


@dataclass
class ProgramBuilder:
    """Collects descriptors with random weights and parameters for an engine of ``arch``."""

    arch: Arch
    rng: random.Random

    def __post_init__(self) -> None:
        """Begin empty."""
        self.descriptors: list[Descriptor] = []
        self.weight_starts: list[tuple[int, int]] = []
        """First line of each MATRIX descriptor's weights, and how often their bits are halved."""
        self.weight_lines = self.param_lines = 0

    # ------------------------------------------------------------------ descriptors

    def matrix(
        self, *, pixels: tuple[int, int], reduction: tuple[int, int, int], blocks: int = 1, residual: bool = False
    ) -> None:
        """A tile of ``pixels`` (across, down) with three reduction loops, at random places with random steps."""
        self._add_weights(blocks * math.prod(reduction))
        counts = (*pixels, *reduction, blocks)
        self._add(Op.MATRIX, counts, (*pixels, blocks), residual)

    def vector(
        self, *, taps: tuple[int, int, int], pixels: tuple[int, int], blocks: int = 1, residual: bool = False
    ) -> None:
        """A pooling or, with a single tap, element-wise tile."""
        self._add(Op.VECTOR, (*taps, *pixels, blocks), (*pixels, blocks), residual)

    def depthwise(
        self, *, raster: tuple[int, int], reduction: tuple[int, int, int], blocks: int = 1, residual: bool = False
    ) -> None:
        """Rasters of ``raster`` (across, down), with random output pixels and masks.

        The lag is such that no tap reaches before the first window or behind the last, where its value is undefined.
        Line buffers may hold back less than a row, so that a descriptor does not end where it began in them.
        """
        rng, arch = self.rng, self.arch
        self._add_weights(blocks * math.prod(reduction))
        line_last = rng.choice([raster[0] - 1, rng.randint(1, raster[0] - 1)]) if arch.tap_rows > 1 else 0
        back = (arch.tap_rows - 1) * (line_last + 1) + arch.tap_cols - 1
        spare = (raster[0] - arch.tap_cols, raster[1] - arch.tap_rows)
        last_x, last_y = (rng.randint(max(0, size // 2), size) for size in spare)
        skip_x, skip_y = (rng.choice([0, 0, 1, 2]) for _ in raster)
        last_x, last_y = last_x // (skip_x + 1) * (skip_x + 1), last_y // (skip_y + 1) * (skip_y + 1)
        outputs = (last_x // (skip_x + 1) + 1, last_y // (skip_y + 1) + 1, blocks)
        self._add(Op.MATRIX, (*raster, *reduction, blocks), outputs, residual)
        self.descriptors[-1] = replace(
            self.descriptors[-1],
            depthwise=True,
            lag=back,
            line_last=line_last,
            last_x=last_x,
            last_y=last_y,
            skip_x=skip_x,
            skip_y=skip_y,
            mask_x=rng.getrandbits(MASK_PLACES * arch.tap_cols),
            mask_y=rng.getrandbits(MASK_PLACES * arch.tap_rows),
        )

    def product(
        self, *, pixels: tuple[int, int], reduction: tuple[int, int, int], blocks: int = 1, rows: tuple[int, int]
    ) -> None:
        """A tile whose weights are in part results: a VECTOR, or without vector unit a MATRIX, stores ``rows``."""
        rng, arch = self.rng, self.arch
        if arch.pool:
            self.vector(taps=(1, 1, 1), pixels=rows, residual=arch.residual and rng.random() < 0.5)
        else:
            self.matrix(pixels=rows, reduction=(1, 1, 1))
        walk = self._row_walk(rows, blocks * math.prod(reduction) * arch.rows)
        self.descriptors[-1] = replace(self.descriptors[-1], to_weights=True, out=walk)
        if arch.pool and rng.random() < 0.3:
            self.vector(taps=(1, 2, 1), pixels=(2, 1))
        self._add_weights(blocks * math.prod(reduction), narrow=0)
        self._add(Op.MATRIX, (*pixels, *reduction, blocks), (*pixels, blocks), residual=False)
        self.descriptors[-1] = replace(self.descriptors[-1], fresh=True)

    def _row_walk(self, rows: tuple[int, int], size: int) -> Walk:
        """Some of ``size`` rows of the weights to come; where lines have one row only, in any steps.

        Half of these go backwards, so that the row that is needed first comes last.
        """
        rng, arch = self.rng, self.arch
        across, count = rows[0], math.prod(rows)
        step = rng.randint(1, max(1, (size - 1) // count)) if arch.weight_rows == 1 else 1
        first = rng.randrange(0, size - step * (count - 1), arch.weight_rows)
        if arch.weight_rows == 1 and rng.random() < 0.5:
            first, step = first + step * (count - 1), -step
        return make_walk(self.weight_lines * arch.weight_rows + first, (across, step), (rows[1], across * step), (1, 0))

    def _add_weights(self, passes: int, narrow: int | None = None) -> None:
        narrow = self._any_narrow() if narrow is None else narrow
        self.weight_starts.append((self.weight_lines, narrow))
        self.weight_lines += -(-passes * self.arch.pass_lines >> narrow) + self.rng.randint(0, GAP)

    def _any_narrow(self) -> int:
        return self.rng.randrange(len(self.arch.stored_weight_bits)) if self.arch.narrow_weights else 0

    def _add(self, op: Op, counts: Sequence[int], outputs: tuple[int, int, int], residual: bool) -> None:
        rng, arch = self.rng, self.arch
        quarters = rng.sample(range(QUARTERS), 3)
        half = 1 << (arch.act_bits - 1)
        zero, res_zero, fill = (rng.randrange(-half, half) for _ in range(3))
        self.descriptors.append(
            Descriptor(
                op=op,
                maximum=arch.pool and op == Op.VECTOR and rng.random() < 0.5,
                fill=fill,
                loops=make_loops([Stride(count, *self._stride(count)) for count in counts]),
                out=self._walk(quarters[0], outputs),
                param_base=self.param_lines,
                out_zero=zero,
                lo=rng.choice((-half, -half, rng.randint(-half, 0))) - zero,
                hi=rng.choice((half - 1, half - 1, rng.randint(1, half - 1))) - zero,
                work=rng.randrange(100),
                **self._input(quarters[1]),
            )
        )
        self.param_lines += outputs[2] * arch.lane_cycles
        if arch.tables and rng.random() < 0.75:
            self.descriptors[-1] = replace(self.descriptors[-1], lookup=True, table=rng.randrange(arch.tables))
        if residual:
            self._add_residual(self._walk(quarters[2], outputs), res_zero)

    def _add_residual(self, walk: Walk, zero: int) -> None:
        widths, rng = self.arch.lane_widths, self.rng
        one, half = 1 << widths.add_post, 1 << (self.arch.act_bits - 1)
        base = self.descriptors[-1]
        if product := rng.random() < 0.4:
            base = replace(base, lo=-(1 << (widths.own - 1)), hi=(1 << (widths.own - 1)) - 1)
        self.descriptors[-1] = replace(
            base,
            residual=True,
            res=walk,
            res_zero=zero,
            m_own=rng.randrange(one // 2, 2 * one),
            m_res=0 if product else rng.randrange(one // 2, 2 * one),
            product=product,
            lo_sum=-half - base.out_zero,
            hi_sum=half - 1 - base.out_zero,
        )

    def _stride(self, count: int) -> tuple[int, int]:
        """Row and column step: small multiples of the granule and of a row."""
        if count == 1:
            return 0, 0
        return self.rng.choice((-1, 0, 0, 1)) * self._row_pitch, self.rng.randint(-2, 3) * self.arch.act_granule

    @property
    def _quarter(self) -> int:
        return self.arch.act_depth // QUARTERS

    @property
    def _row_pitch(self) -> int:
        return max(self.arch.act_granule, self._quarter // 8 // self.arch.act_granule * self.arch.act_granule)

    def _input(self, quarter: int) -> dict[str, Any]:
        """A tensor within a quarter, and a first window on its edge, inside or outside."""
        rng, granule, pitch = self.rng, self.arch.act_granule, self._row_pitch
        rows = rng.randint(4, 8)
        return {
            "base": quarter * self._quarter,
            "plane": rows * pitch,
            "row_len": pitch - rng.randint(0, 3),
            "row_start": rng.randint(-1, rows - 2) * pitch,
            "col_start": rng.randrange(-3 * granule, max(granule, pitch // 2), granule),
        }

    def _walk(self, quarter: int, outputs: tuple[int, int, int]) -> Walk:
        """All places of a walk differ: the order of the stores is what is tested, not what overwrites what."""
        across, down, blocks = outputs
        unit = self.arch.cols
        first = quarter * self._quarter
        size = unit * across * down * blocks
        if size > self._quarter:
            raise ValueError(f"an output must fit into {self._quarter} elements, got {size}")
        first += self.rng.randrange(0, self._quarter - size + 1, unit)
        return make_walk(first, (across, blocks * unit), (down, across * blocks * unit), (blocks, unit))

    # ------------------------------------------------------------------ the program

    def program(self) -> Program:
        """The program, its weights and parameters random."""
        arch, rng = self.arch, self.rng
        tables = link.space_lines(Space.TABLES, arch)
        following = iter([*self.weight_starts[1:], (0, self._any_narrow())])
        descriptors = [self._chained(one, *next(following)) if one.op == Op.MATRIX else one for one in self.descriptors]
        if self.weight_starts:
            descriptors[0] = replace(descriptors[0], narrow=self.weight_starts[0][1])
        return Program(
            name="random",
            arch=arch,
            segments={
                Space.PROGRAM: array("I", encode_program(overlap(descriptors, arch), arch)),
                Space.WEIGHTS: random_lines(rng, Space.WEIGHTS, arch, self.weight_lines),
                Space.PARAMS: self._params(),
                **({Space.TABLES: random_lines(rng, Space.TABLES, arch, tables)} if tables else {}),
            },
            inputs=(),
            outputs=(),
            layers=(),
        )

    def _chained(self, descriptor: Descriptor, line: int, narrow: int) -> Descriptor:
        """With the weights that come next; its own width does not count, unless it is the program's first."""
        return replace(descriptor, weights_next=line, narrow_next=narrow, narrow=self._any_narrow())

    def _params(self) -> array[int]:
        """Parameter lines whose results spread over the output's range."""
        arch, rng, words = self.arch, self.rng, array("I")
        slots, widths = link.param_slots(arch), arch.lane_widths
        share = sum(bits for _, bits in slots.values())
        for _ in range(self.param_lines):
            line = 0
            for lane in range(arch.lanes):
                reach = 1 << rng.randint(arch.act_bits, arch.psum_bits - 2)
                bias = rng.randrange(-reach, reach) % (1 << arch.acc_bits)
                multiplier = rng.randrange(1 << (widths.mult - 1), 1 << widths.mult)
                shift = rng.randint(widths.guard - 2, widths.guard + 5)
                for name, value in (("bias", bias), ("multiplier", multiplier), ("shift", shift)):
                    line |= value << (lane * share + slots[name][0])
            words.extend((line >> (32 * index)) & 0xFFFF_FFFF for index in range(link.line_words(Space.PARAMS, arch)))
        return words
