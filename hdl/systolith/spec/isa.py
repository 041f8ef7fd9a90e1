# SPDX-License-Identifier: Apache-2.0
"""The instruction set: macro-descriptors with hardware loops, described by one field table.

A program is a sequence of descriptors in the program memory, ended by ``END``. A descriptor is one flat bit vector
cut into lines of two 32-bit words; its fields, with widths that follow from the :class:`~systolith.spec.arch.Arch`, are
listed once in :data:`FIELDS`. Encoder, decoder, disassembler, documentation and the hardware's slices all derive from
that table.

**The loop nest.** Six loops, 0 innermost. Each carries a ``count`` and a *relative* step ``(row_step, col_step)``: the
amounts added to the walk's coordinates when that loop advances, all loops inside it having wrapped (so the compiler
folds the inner loops' return trip into the step). The walk starts at ``(row_start, col_start)``.

``row`` and ``col`` are element coordinates: ``row = y * row_pitch`` and ``col = x * channel_pitch + channel``. The
window read at ``(row, col)`` is the ``window`` elements at address ``base + row + col`` (modulo the memory). An
element of the window is inside the tensor if ``0 <= row < plane`` and ``0 <= col + lane < row_len``; every other
element reads as ``fill``.

=======  ==================================================  ==================================================
loop     MATRIX                                              VECTOR
=======  ==================================================  ==================================================
0        output pixel, x (depthwise: pixel of a raster row)  reduction (taps)
1        output pixel, y (depthwise: raster row)             reduction (taps)
2        reduction (block of R in a kernel row)              reduction (taps)
3        reduction (kernel column, dilated or grouped)       output pixel, x
4        reduction (kernel row)                              output pixel, y
5        block of ``cols`` output channels                   block of ``cols`` channels
=======  ==================================================  ==================================================

**MATRIX.** For each channel block, each reduction step is one *pass*: its R x C weights are taken from the weight
memory (consumption order, ``rows / weight_rows`` lines a pass), then every output pixel's window meets them. Window
lane ``r`` feeds array row ``r``. Accumulator ``m`` (``m`` counts the tile's pixels, x fastest) is written by the
first pass, added to by the others; the last pass's sums go to the lanes, which requantise the block's ``cols`` channels
in ``lane_cycles`` steps.

**Depthwise.** With ``depthwise`` set, a MATRIX walks rasters of pixels instead of output pixels: each pass, loops 0
and 1 bring the pixels of one raster, whose first C elements are the C-vector ``x[n]``, ``n`` counting all windows of
the descriptor. Output candidate ``u`` comes with window ``n = u + lag``; the digits of ``u`` (bases: the counts of
loops 0 and 1, the product of those of loops 2 to 4, the count of loop 5) are the candidate's column, row, pass and
block. It is an output pixel if its column is a multiple of ``skip_x + 1`` and at most ``last_x``, itself a multiple,
and its row likewise (``skip_y``, ``last_y``). For an output pixel, array row ``r = j * I + i`` of the first ``J * I``
(``I = tap_cols``, ``J = tap_rows``) gets in column ``c`` element ``c`` of ``x[n - (J - 1 - j) * (line_last + 1) - (I -
1 - i)]``, or ``fill`` if the tap is masked; the rows below get their lane of the window as ever. Tap column ``i`` is
masked if bit ``i`` of one of the four ``I``-bit parts of ``mask_x`` is set and the candidate's column is 0, 1,
``last_x - 1``, ``last_x`` respectively; tap row ``j`` likewise by ``mask_y``. What an unmasked tap reads before the
descriptor's first window or behind its last is undefined; weights of 0 make it harmless. Windows are walked, beyond
the end of the nest if need be, until the nest has ended and the last output pixel is complete.

**VECTOR.** For each block of ``cols`` channels and each output pixel, the first ``cols`` elements of the windows of
all reduction steps are summed, or their maximum taken, per channel, and the result goes to the lanes.

**The lanes.** ``acc + bias`` is requantised (:func:`systolith.spec.fixed.requantise`) with the parameters of parameter
line ``param_base + block * lane_cycles + step`` and clamped to ``[lo, hi]``; with ``residual`` set the other branch's
element is added (:func:`systolith.spec.fixed.residual_add`). With ``product`` set as well the own result keeps
``FINER`` bits more, in which ``lo`` and ``hi`` count then, and that element takes the place of ``m_own``, in units of
``2**-act_bits``: with ``m_res`` = 0 the two are multiplied (:func:`systolith.spec.fixed.residual_multiply`). Then
``out_zero`` is added. With ``lookup`` set, the element stored is not this ``e`` but entry ``e + 2**(act_bits - 1)`` of
the table numbered ``table``.

**Stores.** The C-vectors are stored whole, in the order block, y, x. The address starts at ``out_base``; between pixels
the relative steps ``out_x``, ``out_y`` and ``out_block`` apply exactly as in the loop nest (modulo the memory). The
residual operand is read at the same points from ``res_base`` with ``res_x``, ``res_y``, ``res_block``. Both are aligned
to ``cols`` elements, but for rows of weights (below). ``apart`` promises that no residual operand read while the
descriptor's windows are lies in a segment of the activation memory that holds an element of its input.

**Weights.** A run starts fetching at weight line 0. When the last pass of a MATRIX descriptor has taken its weights,
fetching goes on at its ``weights_next``: the first line of the next MATRIX descriptor's weights, which are thereby
prefetched across layers. On an engine with ``narrow_weights`` a descriptor's weights may be stored with ``weight_bits
>> narrow`` bits each, signed. A memory line then holds ``2**narrow`` of the lines that the array takes, in consumption
order: where one weight of full width would be there is one of each of them, the first in the least significant bits.
Fetching must know the width before the descriptor is read: ``narrow`` counts in the first descriptor of a program,
where it is that of the first MATRIX; from then on each MATRIX says ``narrow_next`` with ``weights_next``.

**Weights from activations.** On an engine with ``dynamic_weights`` a descriptor with ``to_weights`` stores its
C-vectors into the weight memory: the store walk then counts rows of C weights, of which a line holds ``weight_rows``
(row ``a`` is row ``a % weight_rows`` of line ``a // weight_rows``). Only whole lines are written: the rows of a line
are stored in their order, one after another, and those behind the last one stored become zero. Reading ahead would find
what was there before, so a MATRIX whose weights the run has stored says ``fresh``: as it begins, the weights of its
first pass are fetched anew. They are not narrow. ``lead`` promises that none of its weights is fetched before it is
stored, either; the first may be fetched from the cycle after its start on.

**Order.** Descriptors are issued one after another, and their results are stored in that order. A descriptor may begin
while results of those before it are on their way: when at most ``lead`` cycles are left to their last store, or at any
time if ``lead`` has all its bits set. It is the program's promise that no window or residual operand is then read
before it is stored, and that the descriptor's first sum comes no sooner than two cycles after the last store, unless
both are MATRIX on an engine with buffered accumulators, which sees to that itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from types import MappingProxyType

from .arch import Arch, clog2
from .timing import START_LATENCY, tail_cycles

__all__ = [
    "FIELDS",
    "LINE_BITS",
    "LINE_WORDS",
    "LOOPS",
    "MASK_PLACES",
    "SKIP_BITS",
    "WORD_BITS",
    "Descriptor",
    "Field",
    "IsaError",
    "Loop",
    "Op",
    "Section",
    "Slot",
    "Walk",
    "descriptor_words",
    "layout",
    "lead_free",
    "output_counts",
    "section_lines",
]

WORD_BITS = 32
"""Bits of a program word (and of a word of the host link)."""

LINE_WORDS = 2
"""Words that the sequencer reads at a time; each section of a descriptor is a number of such lines."""

LINE_BITS = LINE_WORDS * WORD_BITS
"""Bits of a line of the program."""

LOOPS = 6
"""Levels of the hardware loop nest."""

MASK_PLACES = 4
"""Places along an axis at which depthwise taps can be masked: the first two and the last two."""

SKIP_BITS = 3
"""Bits of a depthwise stride minus one."""

LARGEST_LAG = 16
"""More pixels than a kernel row of the depthwise feed looks back, line buffers apart."""


class IsaError(ValueError):
    """A field value does not fit, or words do not decode."""


class Op(IntEnum):
    """What a descriptor does."""

    END = 0
    """Stop; the run is complete."""
    MATRIX = 1
    """A tile of a convolution or matrix product on the array."""
    VECTOR = 2
    """A tile of pooling, stand-alone add or requantisation on the vector unit."""


class Section(IntEnum):
    """Parts of a descriptor, in their order, by when the engine reads and needs them."""

    HEAD = 0
    """Read ahead: what comes next, and when it may begin."""
    STEPS = 1
    """Read ahead into the memories of the loops' steps; a line a loop."""
    BACK = 2
    """Lanes and store: read ahead, in force from the last store of the descriptor before."""
    FRONT = 3
    """Issue and fetch: read when the descriptor before has issued its last window."""


@dataclass(frozen=True)
class Loop:
    """One loop: ``count`` iterations (1 or more) and the coordinates' relative step, in elements."""

    count: int = 1
    row_step: int = 0
    col_step: int = 0


@dataclass(frozen=True)
class Walk:
    """An aligned walk over a tensor in store order: first address and relative steps, in elements."""

    base: int = 0
    x: int = 0
    y: int = 0
    block: int = 0


@dataclass(frozen=True, kw_only=True)
class Descriptor:
    """One macro-descriptor, in natural units (counts are counts, not counts minus one)."""

    op: Op
    narrow: int = 0
    """Times that the bits of the own weights (VECTOR: of the next MATRIX's) are halved in the weight memory."""
    maximum: bool = False
    weights_next: int = 0
    narrow_next: int = 0
    base: int = 0
    row_start: int = 0
    col_start: int = 0
    plane: int = 0
    row_len: int = 0
    fill: int = 0
    loops: tuple[Loop, ...] = (Loop(),) * LOOPS
    residual: bool = False
    apart: bool = False
    """A promise that saves cycles: without it every residual read keeps the fetch waiting."""
    lead: int = 0
    """0 waits for everything before to be stored."""
    depthwise: bool = False
    lag: int = 0
    line_last: int = 0
    last_x: int = 0
    last_y: int = 0
    skip_x: int = 0
    skip_y: int = 0
    mask_x: int = 0
    mask_y: int = 0
    out: Walk = field(default_factory=Walk)
    res: Walk = field(default_factory=Walk)
    param_base: int = 0
    out_zero: int = 0
    lo: int = 0
    hi: int = 0
    res_zero: int = 0
    m_own: int = 0
    m_res: int = 0
    product: bool = False
    """Multiplies: the residual operand, ``2**-act_bits`` being its unit, takes the place of ``m_own``."""
    lo_sum: int = 0
    hi_sum: int = 0
    lookup: bool = False
    table: int = 0
    to_weights: bool = False
    """The store walk counts rows of the weight memory."""
    fresh: bool = False
    """MATRIX: its weights were stored in this run."""
    work: int = 0


def output_counts(descriptor: Descriptor) -> tuple[int, int]:
    """Output pixels of a descriptor, across and down; each block has as many."""
    if descriptor.depthwise:
        across = descriptor.last_x // (descriptor.skip_x + 1) + 1
        return across, descriptor.last_y // (descriptor.skip_y + 1) + 1
    first = 0 if descriptor.op == Op.MATRIX else 3
    return descriptor.loops[first].count, descriptor.loops[first + 1].count


@dataclass(frozen=True)
class Field:
    """One row of the field table. A width of 0 means that the architecture lacks the field."""

    name: str
    section: Section
    width: Callable[[Arch], int]
    signed: bool
    doc: str

    @property
    def in_memory(self) -> bool:
        """It has a word of its own: the hardware keeps such fields in a memory and not in registers."""
        return self.section == Section.STEPS


@dataclass(frozen=True)
class Slot:
    """Where a field lies in a descriptor: bit offset, bits, signedness."""

    offset: int
    width: int
    signed: bool


def _address(arch: Arch) -> int:
    return arch.act_addr_bits


def _coordinate(arch: Arch) -> int:
    return arch.coord_bits


def _only(has: Callable[[Arch], bool], width: Callable[[Arch], int]) -> Callable[[Arch], int]:
    return lambda arch: width(arch) if has(arch) else 0


def _only_residual(width: Callable[[Arch], int]) -> Callable[[Arch], int]:
    return _only(lambda arch: arch.residual, width)


def _only_depthwise(width: Callable[[Arch], int]) -> Callable[[Arch], int]:
    return _only(lambda arch: arch.depthwise, width)


def _dynamic_flag(arch: Arch) -> int:
    return int(arch.dynamic_weights)


def _narrow_bits(arch: Arch) -> int:
    return clog2(len(arch.stored_weight_bits))


@lru_cache
def lead_free(arch: Arch) -> int:
    """The ``lead`` of a descriptor that may begin at any time."""
    return (1 << clog2(tail_cycles(arch) + START_LATENCY + 2)) - 1


def _count_fields() -> list[Field]:
    front, bits = Section.FRONT, (lambda a: a.dim_bits)
    return [
        Field(f"loop{level}_count", front, bits, False, f"loop {level}: iterations minus one") for level in range(LOOPS)
    ]


def _step_fields() -> list[Field]:
    rows: list[Field] = []
    for level in range(LOOPS):
        for axis in ("row", "col"):
            doc = f"loop {level}: relative step of {axis}"
            rows.append(Field(f"loop{level}_{axis}", Section.STEPS, _coordinate, True, doc))
    return rows


def _lag_bits(arch: Arch) -> int:
    """A raster row a line buffer, and the pixels of a kernel row."""
    return clog2((arch.tap_rows - 1) * arch.line_depth + LARGEST_LAG)


def _depthwise_fields() -> list[Field]:
    front = Section.FRONT
    rows: list[tuple[str, Callable[[Arch], int], str]] = [
        ("depthwise", lambda a: 1, "MATRIX: each column convolves its own channel"),
        ("lag", _lag_bits, "depthwise: windows before that of the first output candidate"),
        (
            "line_last",
            lambda a: clog2(a.line_depth) if a.tap_rows > 1 else 0,
            "depthwise: pixels that a line buffer holds back, minus one; 2 or more",
        ),
        ("passes", lambda a: a.dim_bits, "depthwise: product of the counts of loops 2 to 4, minus one"),
        ("last_x", lambda a: a.dim_bits, "depthwise: column of the last output pixel of a row"),
        ("last_y", lambda a: a.dim_bits, "depthwise: row of the last output pixels"),
        ("skip_x", lambda a: SKIP_BITS, "depthwise: candidates between output pixels of a row"),
        ("skip_y", lambda a: SKIP_BITS, "depthwise: rows of candidates between output rows"),
        ("mask_x", lambda a: MASK_PLACES * a.tap_cols, "depthwise: masked tap columns at column 0, 1, last - 1, last"),
        ("mask_y", lambda a: MASK_PLACES * a.tap_rows, "depthwise: masked tap rows at row 0, 1, last - 1, last"),
    ]
    return [Field(name, front, _only_depthwise(width), False, doc) for name, width, doc in rows]


def _walk_fields(prefix: str, what: str, width: Callable[[Arch], int]) -> list[Field]:
    return [
        Field(f"{prefix}_base", Section.BACK, width, False, f"{what}: first element address"),
        Field(f"{prefix}_x", Section.BACK, width, False, f"{what}: relative step to the next pixel (modulo)"),
        Field(f"{prefix}_y", Section.BACK, width, False, f"{what}: relative step to the next pixel row (modulo)"),
        Field(
            f"{prefix}_block", Section.BACK, width, False, f"{what}: relative step to the next channel block (modulo)"
        ),
    ]


def _front_fields() -> list[Field]:
    front = Section.FRONT
    return [
        Field("maximum", front, lambda a: 1 if a.pool else 0, False, "VECTOR: maximum instead of sum"),
        Field(
            "apart",
            front,
            _only_residual(lambda a: 1 if a.act_segments > 1 else 0),
            False,
            "input and residual operands lie wholly in different segments",
        ),
        Field(
            "weights_next",
            front,
            lambda a: clog2(a.weight_lines),
            False,
            "MATRIX: weight line of the next MATRIX descriptor",
        ),
        Field("narrow_next", front, _narrow_bits, False, "MATRIX: `narrow` of the next MATRIX descriptor"),
        Field(
            "fresh", front, _dynamic_flag, False, "MATRIX: fetch the first pass's weights anew: the run has stored them"
        ),
        Field("base", front, _address, False, "input: address of the element at row 0, col 0"),
        Field("row_start", front, _coordinate, True, "input: first row coordinate (elements)"),
        Field("col_start", front, _coordinate, True, "input: first column coordinate (elements)"),
        Field("plane", front, _coordinate, False, "input: height x row pitch (elements)"),
        Field("row_len", front, _coordinate, False, "input: width x channel pitch (elements)"),
        Field("fill", front, lambda a: a.act_bits, True, "value read outside the tensor"),
        *_count_fields(),
        Field("work", front, lambda a: a.counter_bits, False, "useful MACs per output pixel (statistics)"),
        *_depthwise_fields(),
    ]


def _own(arch: Arch) -> int:
    """Bits of a bound of the lane's own result."""
    return arch.lane_widths.own if arch.residual else arch.lane_widths.delta


def _back_fields() -> list[Field]:
    back = Section.BACK
    delta = _only_residual(lambda a: a.lane_widths.delta)
    factor = _only_residual(lambda a: a.lane_widths.add_mult)
    return [
        *_walk_fields("out", "output", _address),
        Field("param_base", back, lambda a: clog2(a.param_lines), False, "first line of the lane parameters"),
        Field("out_zero", back, lambda a: a.act_bits, True, "zero point of the output"),
        Field("lo", back, _own, True, "lower bound of the own result, relative to the zero point"),
        Field("hi", back, _own, True, "upper bound of the own result, relative to the zero point"),
        Field(
            "residual",
            back,
            _only_residual(lambda a: 1),
            False,
            "add a second tensor, or with `product` multiply by it",
        ),
        *_walk_fields("res", "residual operand", _only_residual(_address)),
        Field("res_zero", back, _only_residual(lambda a: a.act_bits), True, "zero point of the residual operand"),
        Field("m_own", back, factor, False, "residual add: multiplier of the lane's own result"),
        Field("m_res", back, factor, False, "residual add: multiplier of the residual operand"),
        Field("product", back, _only_residual(lambda a: 1), False, "the residual operand takes the place of `m_own`"),
        Field("lo_sum", back, delta, True, "lower bound of the sum or product, relative to the zero point"),
        Field("hi_sum", back, delta, True, "upper bound of the sum or product, relative to the zero point"),
        Field("lookup", back, lambda a: 1 if a.tables else 0, False, "store the table's entry for each element"),
        Field("table", back, lambda a: clog2(a.tables) if a.tables else 0, False, "number of the table"),
        Field("to_weights", back, _dynamic_flag, False, "the output is rows of the weight memory"),
    ]


def _fields() -> tuple[Field, ...]:
    head = Section.HEAD
    return (
        Field("op", head, lambda a: 4, False, "operation: 0 END, 1 MATRIX, 2 VECTOR; the others are reserved"),
        Field("mode", head, lambda a: 8, False, "reserved, must be 0"),
        Field(
            "lead",
            head,
            lambda a: lead_free(a).bit_length(),
            False,
            "most cycles to the last store before it at which the descriptor may begin; all ones: any",
        ),
        Field(
            "narrow",
            head,
            _narrow_bits,
            False,
            "times that the bits of this or the next MATRIX descriptor's weights are halved",
        ),
        *_step_fields(),
        *_back_fields(),
        *_front_fields(),
    )


FIELDS: tuple[Field, ...] = _fields()
"""The field table: the order of the rows is the order of the bits, least significant first."""


@lru_cache
def layout(arch: Arch) -> Mapping[str, Slot]:
    """Where each field lies, in bits from the descriptor's start. Sections start a line, steps a word."""
    slots: dict[str, Slot] = {}
    offset = 0
    section = Section.HEAD
    for row in FIELDS:
        if row.section != section:
            offset = -(-offset // LINE_BITS) * LINE_BITS
            section = row.section
        if row.in_memory:
            offset = -(-offset // WORD_BITS) * WORD_BITS
        slots[row.name] = Slot(offset, row.width(arch), row.signed)
        offset += row.width(arch)
    return MappingProxyType(slots)


@lru_cache
def section_lines(arch: Arch) -> Mapping[Section, int]:
    """Program lines of each section of a descriptor."""
    slots = layout(arch)
    ends = {row.section: slots[row.name].offset + slots[row.name].width for row in FIELDS}
    stops = {section: -(-ends[section] // LINE_BITS) for section in Section}
    lines = {section: stops[section] - (stops[Section(section - 1)] if section else 0) for section in Section}
    return MappingProxyType(lines)


def descriptor_words(arch: Arch) -> int:
    """Words of a descriptor."""
    return LINE_WORDS * sum(section_lines(arch).values())
