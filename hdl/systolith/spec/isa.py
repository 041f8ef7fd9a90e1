# SPDX-License-Identifier: Apache-2.0
"""The instruction set: macro-descriptors with hardware loops, described by one field table.

A program is a sequence of descriptors in the program memory, ended by ``END``. A descriptor is one flat bit vector
cut into 32-bit words; its fields, with widths that follow from the :class:`~systolith.spec.arch.Arch`, are listed
once in :data:`FIELDS`. Encoder, decoder, disassembler, documentation and the hardware's slices all derive from that
table.

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
0        output pixel, x                                     reduction (taps)
1        output pixel, y                                     reduction (taps)
2        reduction (block of R in a kernel row)              reduction (taps)
3        reduction (kernel column, dilated or grouped)       output pixel, x
4        reduction (kernel row)                              output pixel, y
5        block of ``cols`` output channels                   block of ``lanes`` channels
=======  ==================================================  ==================================================

**MATRIX.** For each channel block, each reduction step is one *pass*: its R x C weights are taken from the weight
memory (consumption order, ``rows / weight_rows`` lines a pass), then every output pixel's window meets them. Window
lane ``r`` feeds array row ``r``. Accumulator ``m`` (``m`` counts the tile's pixels, x fastest) is written by the
first pass, added to by the others; the last pass's sums go to the lanes, which emit the block's ``cols`` channels in
``lane_cycles`` steps of ``lanes``.

**VECTOR.** For each block of ``lanes`` channels and each output pixel, the first ``lanes`` elements of the windows of
all reduction steps are summed, or their maximum taken, per lane, and the result goes to the lanes.

**The lanes.** ``acc + bias`` is requantised (:func:`systolith.spec.fixed.requantise`) with the parameters of
parameter line ``param_base + block * steps + step`` (``steps`` = ``lane_cycles`` for MATRIX, 1 for VECTOR) and
clamped to ``[lo, hi]``; with ``residual`` set the other branch's element is added
(:func:`systolith.spec.fixed.residual_add`); then ``out_zero`` is added and the element stored.

**Stores.** The element vectors are written in the order block, y, x, step (step fastest). The address starts at
``out_base``; step ``j`` adds ``j * lanes``; between pixels the relative steps ``out_x``, ``out_y`` and ``out_block``
apply exactly as in the loop nest (modulo the memory). The residual operand is read at the same points from
``res_base`` with ``res_x``, ``res_y``, ``res_block``. Both are always aligned to ``lanes`` elements. ``apart`` promises
that no element of the residual operand lies in a segment of the activation memory that holds an element of the input.

**Weights.** A run starts fetching at weight line 0. When the last pass of a MATRIX descriptor has taken its weights,
fetching goes on at its ``weights_next``: the first line of the next MATRIX descriptor's weights, which are thereby
prefetched across layers.

**Order.** A descriptor starts when all stores of the one before are done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from .arch import Arch, clog2
from .fixed import LaneWidths

__all__ = [
    "FIELDS",
    "LOOPS",
    "WORD_BITS",
    "Descriptor",
    "Field",
    "IsaError",
    "Loop",
    "Op",
    "Section",
    "Slot",
    "Walk",
    "decode",
    "decode_program",
    "disassemble",
    "document",
    "encode",
    "encode_program",
    "layout",
    "section_words",
]

WORD_BITS = 32
"""Bits of a program word (and of a word of the host link)."""

LOOPS = 6
"""Levels of the hardware loop nest."""


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
    """Which half of the engine holds a field while a descriptor runs."""

    FRONT = 0
    """Sequencer, fetch, weights: reloaded while the back half drains."""
    BACK = 1
    """Lanes and store: reloaded when all stores are done."""


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
    maximum: bool = False
    weights_next: int = 0
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
    out: Walk = field(default_factory=Walk)
    res: Walk = field(default_factory=Walk)
    param_base: int = 0
    out_zero: int = 0
    lo: int = 0
    hi: int = 0
    res_zero: int = 0
    m_own: int = 0
    m_res: int = 0
    lo_sum: int = 0
    hi_sum: int = 0
    work: int = 0


@dataclass(frozen=True)
class Field:
    """One row of the field table. A width of 0 means that the architecture lacks the field."""

    name: str
    section: Section
    width: Callable[[Arch], int]
    signed: bool
    doc: str
    aligned: bool = False
    """It starts a word: the hardware keeps such fields in a memory and not in registers."""


@dataclass(frozen=True)
class Slot:
    """Where a field lies in a descriptor: bit offset, bits, signedness."""

    offset: int
    width: int
    signed: bool


def _lane(arch: Arch) -> LaneWidths:
    return LaneWidths(arch.act_bits, arch.acc_bits)


def _address(arch: Arch) -> int:
    return arch.act_addr_bits


def _coordinate(arch: Arch) -> int:
    return arch.coord_bits


def _only_residual(width: Callable[[Arch], int]) -> Callable[[Arch], int]:
    return lambda arch: width(arch) if arch.residual else 0


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
            rows.append(Field(f"loop{level}_{axis}", Section.FRONT, _coordinate, True, doc, aligned=True))
    return rows


def _walk_fields(prefix: str, what: str, width: Callable[[Arch], int]) -> list[Field]:
    return [
        Field(f"{prefix}_base", Section.BACK, width, False, f"{what}: first element address"),
        Field(f"{prefix}_x", Section.BACK, width, False, f"{what}: relative step to the next pixel (modulo)"),
        Field(f"{prefix}_y", Section.BACK, width, False, f"{what}: relative step to the next pixel row (modulo)"),
        Field(
            f"{prefix}_block", Section.BACK, width, False, f"{what}: relative step to the next channel block (modulo)"
        ),
    ]


def _fields() -> tuple[Field, ...]:
    front, back = Section.FRONT, Section.BACK
    delta = _only_residual(lambda a: _lane(a).delta)
    factor = _only_residual(lambda a: _lane(a).add_mult)
    return (
        Field("op", front, lambda a: 4, False, "operation: 0 END, 1 MATRIX, 2 VECTOR; the others are reserved"),
        Field("mode", front, lambda a: 8, False, "reserved (narrow weights, products of activations, ...), must be 0"),
        Field("maximum", front, lambda a: 1 if a.pool else 0, False, "VECTOR: maximum instead of sum"),
        Field(
            "weights_next",
            front,
            lambda a: clog2(a.weight_lines),
            False,
            "MATRIX: weight line of the next MATRIX descriptor",
        ),
        Field("base", front, _address, False, "input: address of the element at row 0, col 0"),
        Field("row_start", front, _coordinate, True, "input: first row coordinate (elements)"),
        Field("col_start", front, _coordinate, True, "input: first column coordinate (elements)"),
        Field("plane", front, _coordinate, False, "input: height x row pitch (elements)"),
        Field("row_len", front, _coordinate, False, "input: width x channel pitch (elements)"),
        Field("fill", front, lambda a: a.act_bits, True, "value read outside the tensor"),
        *_count_fields(),
        *_step_fields(),
        *_walk_fields("out", "output", _address),
        Field("param_base", back, lambda a: clog2(a.param_lines), False, "first line of the lane parameters"),
        Field("out_zero", back, lambda a: a.act_bits, True, "zero point of the output"),
        Field("lo", back, lambda a: _lane(a).delta, True, "lower bound, relative to the zero point"),
        Field("hi", back, lambda a: _lane(a).delta, True, "upper bound, relative to the zero point"),
        Field("work", back, lambda a: a.counter_bits, False, "useful MACs per output pixel (statistics)"),
        Field("residual", back, _only_residual(lambda a: 1), False, "add a second tensor"),
        Field(
            "apart",
            back,
            _only_residual(lambda a: 1 if a.act_segments > 1 else 0),
            False,
            "input and residual operand lie wholly in different segments",
        ),
        *_walk_fields("res", "residual operand", _only_residual(_address)),
        Field("res_zero", back, _only_residual(lambda a: a.act_bits), True, "zero point of the residual operand"),
        Field("m_own", back, factor, False, "residual add: multiplier of the lane's own result"),
        Field("m_res", back, factor, False, "residual add: multiplier of the residual operand"),
        Field("lo_sum", back, delta, True, "residual add: lower bound of the sum, relative to the zero point"),
        Field("hi_sum", back, delta, True, "residual add: upper bound of the sum, relative to the zero point"),
    )


FIELDS: tuple[Field, ...] = _fields()
"""The field table: the order of the rows is the order of the bits, least significant first."""


def layout(arch: Arch) -> dict[str, Slot]:
    """Where each field lies, in bits from the descriptor's start. Aligned fields and the back section start a word."""
    slots: dict[str, Slot] = {}
    offset = 0
    section = Section.FRONT
    for row in FIELDS:
        if row.section != section or row.aligned:
            offset = -(-offset // WORD_BITS) * WORD_BITS
            section = row.section
        slots[row.name] = Slot(offset, row.width(arch), row.signed)
        offset += row.width(arch)
    return slots


def section_words(arch: Arch) -> tuple[int, int]:
    """Words of the front and of the back section of a descriptor."""
    slots = layout(arch)
    ends = dict.fromkeys(Section, 0)
    for row in FIELDS:
        ends[row.section] = slots[row.name].offset + slots[row.name].width
    front = -(-ends[Section.FRONT] // WORD_BITS)
    return front, -(-ends[Section.BACK] // WORD_BITS) - front


_FLAGS = ("maximum", "residual", "apart")
"""Fields that are booleans in the descriptor."""

_PLAIN = tuple(
    row.name for row in FIELDS if row.name in Descriptor.__dataclass_fields__ and row.name not in ("op", *_FLAGS)
)
"""Integer fields of the same name and unit in the descriptor and in the table."""


def _flatten(descriptor: Descriptor) -> dict[str, int]:
    """Field name to value, in encoded units."""
    flat = {name: int(getattr(descriptor, name)) for name in ("op", *_FLAGS, *_PLAIN)}
    flat["mode"] = 0
    for level, loop in enumerate(descriptor.loops):
        flat |= {
            f"loop{level}_count": loop.count - 1,
            f"loop{level}_row": loop.row_step,
            f"loop{level}_col": loop.col_step,
        }
    for prefix, walk in (("out", descriptor.out), ("res", descriptor.res)):
        flat |= {f"{prefix}_{part}": getattr(walk, part) for part in ("base", "x", "y", "block")}
    return flat


_MODULO = tuple(f"{prefix}_{part}" for prefix in ("out", "res") for part in ("x", "y", "block"))
"""Unsigned fields that hold signed steps modulo their range."""


def _encode_field(name: str, value: int, slot: Slot) -> int:
    if slot.width == 0:
        if value:
            raise IsaError(f"field {name}: this architecture does not have it, got {value}")
        return 0
    if name in _MODULO:
        value &= (1 << slot.width) - 1
    low = -(1 << (slot.width - 1)) if slot.signed else 0
    high = low + (1 << slot.width) - 1
    if not low <= value <= high:
        raise IsaError(f"field {name}: must be in {low}..{high}, got {value}")
    return value & ((1 << slot.width) - 1)


def encode(descriptor: Descriptor, arch: Arch) -> list[int]:
    """The descriptor's 32-bit words (one word for END).

    Raises:
        IsaError: a value does not fit its field, or the architecture lacks the field.
    """
    if len(descriptor.loops) != LOOPS:
        raise IsaError(f"a descriptor has {LOOPS} loops, got {len(descriptor.loops)}")
    if descriptor.op == Op.END:
        return [int(Op.END)]
    bits = 0
    for name, value in _flatten(descriptor).items():
        slot = layout(arch)[name]
        bits |= _encode_field(name, value, slot) << slot.offset
    return [(bits >> (WORD_BITS * index)) & 0xFFFF_FFFF for index in range(sum(section_words(arch)))]


def encode_program(descriptors: Sequence[Descriptor], arch: Arch) -> list[int]:
    """The words of a whole program, END appended."""
    words = [word for descriptor in descriptors for word in encode(descriptor, arch)]
    return [*words, *encode(Descriptor(op=Op.END), arch)]


def _decode_field(bits: int, slot: Slot) -> int:
    value = (bits >> slot.offset) & ((1 << slot.width) - 1)
    return value - (1 << slot.width) if slot.signed and slot.width and value >> (slot.width - 1) else value


def _signed_step(value: int, width: int) -> int:
    return value - (1 << width) if width and value >> (width - 1) else value


def decode(words: Sequence[int], arch: Arch) -> Descriptor:
    """The descriptor that starts at ``words[0]``. Raises :class:`IsaError` if it is not one."""
    try:
        op = Op(words[0] & 0xF)
    except ValueError as error:
        raise IsaError(f"unknown operation {words[0] & 0xF}") from error
    except IndexError as error:
        raise IsaError("the program ends without END") from error
    if op == Op.END:
        return Descriptor(op=op)
    count = sum(section_words(arch))
    if len(words) < count:
        raise IsaError(f"a descriptor has {count} words, only {len(words)} are left")
    bits = sum(word << (WORD_BITS * index) for index, word in enumerate(words[:count]))
    slots = layout(arch)
    flat = {name: _decode_field(bits, slot) for name, slot in slots.items()}
    if flat["mode"]:
        raise IsaError(f"mode {flat['mode']} is reserved")
    flat |= {name: _signed_step(flat[name], slots[name].width) for name in _MODULO}
    return _unflatten(op, flat)


def _unflatten(op: Op, flat: dict[str, int]) -> Descriptor:
    loops = tuple(
        Loop(flat[f"loop{level}_count"] + 1, flat[f"loop{level}_row"], flat[f"loop{level}_col"])
        for level in range(LOOPS)
    )
    out, res = (
        Walk(flat[f"{prefix}_base"], flat[f"{prefix}_x"], flat[f"{prefix}_y"], flat[f"{prefix}_block"])
        for prefix in ("out", "res")
    )
    rest: dict[str, Any] = {name: bool(flat[name]) for name in _FLAGS} | {name: flat[name] for name in _PLAIN}
    return Descriptor(op=op, loops=loops, out=out, res=res, **rest)


def decode_program(words: Sequence[int], arch: Arch) -> list[Descriptor]:
    """All descriptors up to (not including) END."""
    descriptors: list[Descriptor] = []
    position = 0
    while (descriptor := decode(words[position:], arch)).op != Op.END:
        descriptors.append(descriptor)
        position += sum(section_words(arch))
    return descriptors


def disassemble(descriptor: Descriptor) -> str:
    """One descriptor as readable text: the operation, then the fields that are not at their default."""
    default = Descriptor(op=descriptor.op)
    lines = [descriptor.op.name]
    for name, value in vars(descriptor).items():
        if name not in ("op", "loops") and value != getattr(default, name):
            lines.append(f"    {name:<13} {value}")
    for level, loop in enumerate(descriptor.loops):
        if loop.count > 1:
            lines.append(f"    loop {level}        {loop.count} x (row {loop.row_step:+d}, col {loop.col_step:+d})")
    return "\n".join(lines)


def document(arch: Arch) -> str:
    """The field table as Markdown, with the widths of ``arch``."""
    front, back = section_words(arch)
    lines = [
        f"A descriptor of `{arch.name}` has {front + back} words: {front} front, {back} back.",
        "",
        "| field | section | first bit | bits | | meaning |",
        "|---|---|---:|---:|---|---|",
    ]
    slots = layout(arch)
    for row in FIELDS:
        slot = slots[row.name]
        sign = "signed" if row.signed else ""
        lines.append(
            f"| `{row.name}` | {row.section.name.lower()} | {slot.offset} | {slot.width} | {sign} | {row.doc} |"
        )
    return "\n".join(lines) + "\n"
