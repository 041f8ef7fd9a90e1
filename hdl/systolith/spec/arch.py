# SPDX-License-Identifier: Apache-2.0
"""The architecture description: one frozen object from which every width of the engine derives.

An :class:`Arch` is a handful of numbers in a JSON file. The generator, the compiler, the ISA model and
the host link all read the same object; its :attr:`Arch.hash` travels in every program and is read back
from the hardware, so that a program never runs on an engine it was not compiled for.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from .fixed import LaneWidths

__all__ = ["MOST_TABLES", "NARROWABLE_BITS", "PRESETS", "TABLE_BITS", "Arch", "ArchError", "clog2", "load_arch"]

TABLE_BITS = 8
"""Most bits of an activation that a table can be looked up by."""

MOST_TABLES = 256
"""Tables that an engine may have."""

NARROWABLE_BITS = 8
"""Bits of a weight in an engine that also takes weights of half and a quarter of them."""


class ArchError(ValueError):
    """An architecture description is malformed; the message names the parameter and the accepted values."""


def clog2(count: int) -> int:
    """Bits needed to number ``count`` things (0 for one thing)."""
    return (count - 1).bit_length()


def _is_power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0


@dataclass(frozen=True, kw_only=True)
class Arch:
    """A weight-stationary systolic engine: R x C multipliers, its memories and its data widths.

    Units: *element* is one activation of ``act_bits``; a *line* of the activation memory holds
    ``max(rows, cols)`` elements; a line of the weight memory holds ``weight_rows * cols`` weights; a line of
    the parameter memory holds the requantisation parameters of ``lanes`` output channels.
    """

    name: str
    """Free text; not part of the hash."""
    rows: int
    """R: length of the reduction done in one pass. Power of two, 2..256."""
    cols: int
    """C: output channels computed side by side. Power of two, 2..256."""
    act_bits: int = 8
    """Bits of a (signed) activation, 4..16."""
    weight_bits: int = 8
    """Bits of a (signed) weight, 2..16."""
    acc_bits: int = 32
    """Bits of an accumulator, 16..64."""
    precision: int = 0
    """Bits of the lanes' arithmetic beyond those that one 18 x 18 multiplier takes, 0..4. The results are then closer
    to those of real numbers, for wider multipliers (:class:`~systolith.spec.fixed.LaneWidths`)."""
    psum_spacing: int = 4
    """Rows summed combinationally between two partial-sum registers. Power of two dividing ``rows``."""
    weight_rows: int = 1
    """WL: weight rows loaded per cycle. Power of two, at most ``psum_spacing``."""
    lane_cycles: int = 1
    """q: cycles a requantiser lane group needs for one C-vector; there are C / q lanes."""
    act_lines: int = 4096
    """Depth of the activation memory in lines. A multiple of ``act_segments``."""
    act_granule: int = 1
    """G: elements per memory bank; reads must start at a multiple of it. Power of two, at most a line."""
    act_segments: int = 1
    """Independently addressed parts of the activation memory (power of two); each serves one read a cycle."""
    act_single_port: bool = False
    """True where a segment serves one read *or* one write a cycle (iCE40 SPRAM); a write then wins."""
    weight_lines: int = 4096
    """Depth of the weight memory in lines."""
    acc_depth: int = 512
    """Most output pixels of a tile: depth of a bank of accumulators. There are two banks where ``lane_cycles`` > 1;
    else a tile of a single pass keeps nothing and may be larger."""
    param_lines: int = 64
    """Depth of the parameter memory in lines."""
    program_words: int = 4096
    """Depth of the program memory in 32-bit words."""
    dim_bits: int = 12
    """Bits of a hardware loop count."""
    counter_bits: int = 32
    """Bits of a performance counter, 16..32."""
    residual: bool = True
    """The lanes can add a second tensor (fused residual add)."""
    pool: bool = True
    """The engine has the vector unit: max and average pooling, stand-alone add, requantisation."""
    depthwise: bool = True
    """The array has the depthwise feed: a column convolves its own channel."""
    line_depth: int = 512
    """Pixels that a line buffer of the depthwise feed can hold back. Without effect where ``tap_rows`` is 1."""
    tables: int = 0
    """Tables behind the lanes that replace an output element by an entry, ``2**act_bits`` entries each. Power of two up
    to 256, with ``act_bits`` of at most 8; 0: none."""
    narrow_weights: bool = False
    """A descriptor's weights may be stored with half or a quarter of ``weight_bits``, which must be 8."""
    dynamic_weights: bool = False
    """Results may be stored into the weight memory: products of two activations. ``act_bits`` and ``weight_bits`` must
    be equal."""

    def __post_init__(self) -> None:
        """Check every parameter; raises :class:`ArchError`."""
        self._check_types()
        self._check_powers_of_two()
        self._check_ranges()
        self._check_relations()

    # ------------------------------------------------------------------ checks

    def _fail(self, what: str, expected: str, got: object) -> ArchError:
        return ArchError(f"arch {self.name!r}: {what} must be {expected}, got {got!r}")

    def _check_types(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value).__name__ != field.type:
                raise self._fail(field.name, f"of type {field.type}", value)

    def _check_powers_of_two(self) -> None:
        names = ("rows", "cols", "psum_spacing", "weight_rows", "lane_cycles", "act_granule", "act_segments")
        for name in names:
            if not _is_power_of_two(getattr(self, name)):
                raise self._fail(name, "a power of two", getattr(self, name))
        if self.tables and not _is_power_of_two(self.tables):
            raise self._fail("tables", "0 or a power of two", self.tables)

    def _check_ranges(self) -> None:
        ranges = {
            "rows": (2, 256),
            "cols": (2, 256),
            "act_bits": (4, 16),
            "weight_bits": (2, 16),
            "acc_bits": (16, 64),
            "precision": (0, 4),
            "dim_bits": (4, 16),
            "counter_bits": (16, 32),
            "acc_depth": (4, 1 << 16),
            "param_lines": (2, 1 << 16),
            "program_words": (64, 1 << 20),
            "weight_lines": (4, 1 << 24),
            "act_lines": (4, 1 << 24),
            "act_segments": (1, 2),
            "line_depth": (4, 1 << 16),
            "tables": (0, MOST_TABLES),
        }
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise self._fail(name, f"in {low}..{high}", getattr(self, name))

    def _check_relations(self) -> None:
        if self.rows % self.psum_spacing:
            raise self._fail("psum_spacing", f"a divisor of rows ({self.rows})", self.psum_spacing)
        if self.weight_rows > self.psum_spacing:
            raise self._fail("weight_rows", f"at most psum_spacing ({self.psum_spacing})", self.weight_rows)
        if self.cols % self.lane_cycles:
            raise self._fail("lane_cycles", f"a divisor of cols ({self.cols})", self.lane_cycles)
        if self.program_words % 2:
            raise self._fail("program_words", "even", self.program_words)
        if self.act_granule > self.line:
            raise self._fail("act_granule", f"at most a line ({self.line})", self.act_granule)
        if self.act_lines % self.act_segments:
            raise self._fail("act_lines", f"a multiple of act_segments ({self.act_segments})", self.act_lines)
        if self.act_segments == 2 and not _is_power_of_two(self.act_lines):
            raise self._fail("act_lines", "a power of two where act_segments is 2", self.act_lines)
        if self.act_single_port and self.residual:
            # a residual read and a store can be due in the same cycle, and neither can wait
            raise self._fail("act_single_port", "false in an engine with residual adds", self.act_single_port)
        if self.tables and self.act_bits > TABLE_BITS:
            raise self._fail("tables", f"0 where act_bits is more than {TABLE_BITS}", self.tables)
        if self.acc_bits < self.psum_bits:
            raise self._fail("acc_bits", f"at least the array's {self.psum_bits} bits", self.acc_bits)
        self._check_weights()

    def _check_weights(self) -> None:
        if self.narrow_weights and self.weight_bits != NARROWABLE_BITS:
            raise self._fail("weight_bits", f"{NARROWABLE_BITS} where narrow_weights is true", self.weight_bits)
        if self.dynamic_weights and self.weight_bits != self.act_bits:
            raise self._fail(
                "weight_bits", f"{self.act_bits} as act_bits where dynamic_weights is true", self.weight_bits
            )

    # ------------------------------------------------------------------ derived sizes

    @property
    def lanes(self) -> int:
        """Requantiser lanes: output elements produced a cycle."""
        return self.cols // self.lane_cycles

    @property
    def buffered(self) -> bool:
        """Two banks of accumulators: one is drained through the lanes while the array fills the other."""
        return self.lane_cycles > 1

    @property
    def line(self) -> int:
        """L: elements in a line of the activation memory."""
        return max(self.rows, self.cols)

    @property
    def window(self) -> int:
        """Elements the fetch stage delivers a cycle: R for the array, C for vector unit and depthwise feed."""
        return max(self.rows, self.cols) if self.pool or self.depthwise else self.rows

    @property
    def tap_cols(self) -> int:
        """Neighbouring pixels of a kernel row that meet in a pass of the depthwise feed."""
        return min(3, self.rows)

    @property
    def tap_rows(self) -> int:
        """Kernel rows that meet in a pass of the depthwise feed; the rows before the newest come from line buffers."""
        return min(3, self.rows // self.tap_cols)

    @property
    def taps(self) -> int:
        """Rows of the array that the depthwise feed reaches."""
        return self.tap_rows * self.tap_cols

    @property
    def banks(self) -> int:
        """Banks of the activation memory, each ``act_granule`` elements wide."""
        return self.line // self.act_granule

    @property
    def act_depth(self) -> int:
        """Elements in the activation memory."""
        return self.act_lines * self.line

    @property
    def act_addr_bits(self) -> int:
        """Bits of an element address."""
        return clog2(self.act_lines) + clog2(self.line)

    @property
    def coord_bits(self) -> int:
        """Bits of a signed row or column coordinate (in elements)."""
        return self.act_addr_bits + 1

    @property
    def lane_widths(self) -> LaneWidths:
        """Widths of the lanes' arithmetic."""
        return LaneWidths(self.act_bits, self.acc_bits, self.precision)

    @property
    def product_bits(self) -> int:
        """Bits of one product."""
        return self.act_bits + self.weight_bits

    @property
    def psum_bits(self) -> int:
        """Bits of a partial sum inside the array: no sum of R products can overflow it."""
        return self.product_bits + clog2(self.rows)

    @property
    def table_entries(self) -> int:
        """Entries of a table: one for each integer that an activation can be."""
        return 1 << self.act_bits

    @property
    def pass_lines(self) -> int:
        """Weight lines (= load cycles) of one pass."""
        return self.rows // self.weight_rows

    @property
    def weight_line_bits(self) -> int:
        """Bits of a line of the weight memory."""
        return self.weight_rows * self.cols * self.weight_bits

    @property
    def weight_row_bits(self) -> int:
        """Bits of the address of a row of weights, of which a line of the weight memory holds ``weight_rows``."""
        return clog2(self.weight_lines) + clog2(self.weight_rows)

    @property
    def store_addr_bits(self) -> int:
        """Bits of the place of a store: an element address, and above it whether it is a row of weights instead."""
        return self.act_addr_bits + int(self.dynamic_weights)

    @property
    def stored_weight_bits(self) -> tuple[int, ...]:
        """Bits that a weight may take in the weight memory, by the ISA's ``narrow``."""
        halvings = 3 if self.narrow_weights else 1
        return tuple(self.weight_bits >> narrow for narrow in range(halvings))

    @property
    def act_line_bits(self) -> int:
        """Bits of a line of the activation memory."""
        return self.line * self.act_bits

    # ------------------------------------------------------------------ JSON and identity

    def to_json(self) -> dict[str, Any]:
        """The description as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Arch:
        """Build from a JSON object; raises :class:`ArchError` for unknown or missing parameters."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(data) - known)
        if unknown:
            raise ArchError(f"arch: unknown parameter {unknown[0]!r}; known: {', '.join(sorted(known))}")
        missing = sorted({"name", "rows", "cols"} - set(data))
        if missing:
            raise ArchError(f"arch: parameter {missing[0]!r} is missing")
        return cls(**data)

    @property
    def hash(self) -> int:
        """32-bit identity of the hardware: everything but the name."""
        body = {key: value for key, value in self.to_json().items() if key != "name"}
        text = json.dumps(body, sort_keys=True)
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")

    def with_(self, **changes: Any) -> Arch:
        """A copy with some parameters changed (checked again)."""
        return replace(self, **changes)


def _presets() -> dict[str, Arch]:
    up5k = Arch(
        name="up5k",
        rows=4,
        cols=4,
        acc_bits=24,
        psum_spacing=4,
        lane_cycles=4,
        act_lines=16384,
        act_granule=2,
        act_single_port=True,
        weight_lines=16384,
        acc_depth=256,
        param_lines=256,
        program_words=512,
        dim_bits=8,
        counter_bits=24,
        residual=False,
    )
    return {
        "tiny": Arch(
            name="tiny",
            rows=2,
            cols=2,
            psum_spacing=2,
            lane_cycles=2,
            act_lines=4096,
            weight_lines=8192,
            acc_depth=64,
            param_lines=256,
            program_words=1024,
            tables=2,
            narrow_weights=True,
            dynamic_weights=True,
        ),
        "4x4": Arch(
            name="4x4",
            rows=4,
            cols=4,
            psum_spacing=4,
            lane_cycles=4,
            act_lines=16384,
            weight_lines=131072,
            acc_depth=256,
            param_lines=4096,
            act_segments=2,
            tables=8,
            narrow_weights=True,
            dynamic_weights=True,
        ),
        "8x8": Arch(
            name="8x8",
            rows=8,
            cols=8,
            psum_spacing=4,
            weight_rows=2,
            act_lines=8192,
            weight_lines=16640,
            acc_depth=512,
            param_lines=512,
            program_words=2048,
            act_segments=2,
            tables=8,
            narrow_weights=True,
            dynamic_weights=True,
        ),
        "16x16": Arch(
            name="16x16",
            rows=16,
            cols=16,
            psum_spacing=4,
            weight_rows=2,
            act_lines=4096,
            weight_lines=8448,
            acc_depth=512,
            param_lines=512,
            program_words=2048,
            act_segments=2,
            narrow_weights=True,
            dynamic_weights=True,
        ),
        "32x32": Arch(
            name="32x32",
            rows=32,
            cols=32,
            psum_spacing=1,
            act_lines=8192,
            weight_lines=16384,
            acc_depth=512,
            param_lines=128,
            act_segments=2,
            tables=8,
        ),
        "up5k": up5k,
        # beside the shell of a board there is no room for the feed
        "icebreaker": up5k.with_(name="icebreaker", depthwise=False),
        "ulx3s-25f": Arch(
            name="ulx3s-25f",
            rows=4,
            cols=4,
            psum_spacing=4,
            lane_cycles=4,
            act_lines=8192,
            weight_lines=11776,
            acc_depth=512,
            param_lines=512,
            program_words=1024,
            tables=8,
            narrow_weights=True,
        ),
        "ulx3s-85f": Arch(
            name="ulx3s-85f",
            rows=8,
            cols=8,
            psum_spacing=4,
            weight_rows=2,
            act_lines=16384,
            weight_lines=8192,
            acc_depth=512,
            param_lines=512,
            program_words=2048,
            act_segments=2,
            tables=8,
            narrow_weights=True,
            dynamic_weights=True,
        ),
    }


PRESETS: dict[str, Arch] = _presets()
"""The architectures known by name; ``systolith archs`` lists them."""


def load_arch(name_or_file: str) -> Arch:
    """Find a preset by name or read a JSON file; raises :class:`ArchError` naming what is wrong."""
    if name_or_file in PRESETS:
        return PRESETS[name_or_file]
    path = Path(name_or_file)
    if not path.is_file():
        raise ArchError(f"arch {name_or_file!r} is neither a file nor a preset; presets: {', '.join(PRESETS)}")
    try:
        data = json.loads(path.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ArchError(f"arch file {path}: not JSON ({error})") from error
    if not isinstance(data, dict):
        raise ArchError(f"arch file {path}: expected a JSON object, got {type(data).__name__}")
    return Arch.from_json(data)
