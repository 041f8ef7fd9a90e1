# SPDX-License-Identifier: Apache-2.0
"""The descriptor's two sections as Amaranth layouts, derived from the field table of the ISA."""

from __future__ import annotations

from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from systolith.spec.arch import Arch
from systolith.spec.isa import FIELDS, WORD_BITS, Section, layout, section_words

__all__ = ["section_layout"]


def section_layout(arch: Arch, section: Section) -> data.FlexibleLayout:
    """The words of one section of a descriptor, with a field for every row of the table that ``arch`` has."""
    words = section_words(arch)
    start = WORD_BITS * sum(words[:section])
    slots = layout(arch)
    fields = {}
    for row in FIELDS:
        slot = slots[row.name]
        if row.section == section and slot.width:
            shape = signed(slot.width) if slot.signed else unsigned(slot.width)
            fields[row.name] = data.Field(shape, slot.offset - start)
    return data.FlexibleLayout(WORD_BITS * words[section], fields)
