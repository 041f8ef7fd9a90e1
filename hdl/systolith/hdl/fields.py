# SPDX-License-Identifier: Apache-2.0
"""The descriptor's two sections as Amaranth layouts, derived from the field table of the ISA."""

from __future__ import annotations

from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from systolith.spec.arch import Arch
from systolith.spec.isa import FIELDS, WORD_BITS, Section, layout, section_words

__all__ = ["section_layout"]


def section_layout(arch: Arch, section: Section) -> data.FlexibleLayout:
    """The words of a section that the hardware keeps in registers: the fields of the table that ``arch`` has.

    The fields that start words of their own, which are the section's last, are not among them.
    """
    start = WORD_BITS * sum(section_words(arch)[:section])
    slots = layout(arch)
    fields = {}
    for row in FIELDS:
        slot = slots[row.name]
        if row.section == section and slot.width and not row.aligned:
            shape = signed(slot.width) if slot.signed else unsigned(slot.width)
            fields[row.name] = data.Field(shape, slot.offset - start)
    size = max(field.offset + field.width for field in fields.values())
    return data.FlexibleLayout(-(-size // WORD_BITS) * WORD_BITS, fields)
