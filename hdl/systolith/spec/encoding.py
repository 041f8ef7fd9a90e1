# SPDX-License-Identifier: Apache-2.0
"""Descriptors to words and back, as text, and as a page of documentation: all from the field table of :mod:`.isa`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .arch import Arch
from .isa import (
    FIELDS,
    LINE_WORDS,
    LOOPS,
    WORD_BITS,
    Descriptor,
    IsaError,
    Loop,
    Op,
    Slot,
    Walk,
    descriptor_words,
    layout,
    section_lines,
)

__all__ = ["decode", "decode_program", "disassemble", "document", "encode", "encode_program"]

_FLAGS = ("maximum", "residual", "apart", "depthwise", "lookup", "product", "to_weights", "fresh")
"""Fields that are booleans in the descriptor."""

_PLAIN = tuple(
    row.name for row in FIELDS if row.name in Descriptor.__dataclass_fields__ and row.name not in ("op", *_FLAGS)
)
"""Integer fields of the same name and unit in the descriptor and in the table."""


def _flatten(descriptor: Descriptor) -> dict[str, int]:
    """Field name to value, in encoded units."""
    flat = {name: int(getattr(descriptor, name)) for name in ("op", *_FLAGS, *_PLAIN)}
    flat["mode"] = 0
    flat["passes"] = math.prod(loop.count for loop in descriptor.loops[2:5]) - 1 if descriptor.depthwise else 0
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


def _check_narrow(flat: Mapping[str, int], arch: Arch) -> None:
    """Refuse widths of weights that the field could hold but the engine does not have."""
    most = len(arch.stored_weight_bits) - 1
    for name in ("narrow", "narrow_next"):
        if arch.narrow_weights and flat[name] > most:
            raise IsaError(f"field {name}: must be in 0..{most}, got {flat[name]}")


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
    """The descriptor's 32-bit words (one line for END).

    Raises:
        IsaError: a value does not fit its field, or the architecture lacks the field.
    """
    if len(descriptor.loops) != LOOPS:
        raise IsaError(f"a descriptor has {LOOPS} loops, got {len(descriptor.loops)}")
    if descriptor.op == Op.END:
        return [int(Op.END), *[0] * (LINE_WORDS - 1)]
    bits, slots, flat = 0, layout(arch), _flatten(descriptor)
    _check_narrow(flat, arch)
    for name, value in flat.items():
        bits |= _encode_field(name, value, slots[name]) << slots[name].offset
    return [(bits >> (WORD_BITS * index)) & 0xFFFF_FFFF for index in range(descriptor_words(arch))]


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
    count = descriptor_words(arch)
    if len(words) < count:
        raise IsaError(f"a descriptor has {count} words, only {len(words)} are left")
    bits = sum(word << (WORD_BITS * index) for index, word in enumerate(words[:count]))
    slots = layout(arch)
    flat = {name: _decode_field(bits, slot) for name, slot in slots.items()}
    if flat["mode"]:
        raise IsaError(f"mode {flat['mode']} is reserved")
    _check_narrow(flat, arch)
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
        position += descriptor_words(arch)
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
    parts = ", ".join(f"{lines} {section.name.lower()}" for section, lines in section_lines(arch).items())
    lines = [
        f"A descriptor of `{arch.name}` has {descriptor_words(arch)} words, in lines of {LINE_WORDS}: {parts}.",
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
