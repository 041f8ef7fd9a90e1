# SPDX-License-Identifier: Apache-2.0
"""The descriptor's sections as Amaranth layouts, derived from the field table of the ISA."""

from __future__ import annotations

from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from systolith.spec.arch import Arch
from systolith.spec.isa import FIELDS, LINE_BITS, Section, layout, section_lines

__all__ = ["section_layout"]


def section_layout(arch: Arch, section: Section) -> data.FlexibleLayout:
    """The lines of a section that the hardware keeps in registers: the fields of the table that ``arch`` has."""
    lines = section_lines(arch)
    start = LINE_BITS * sum(lines[earlier] for earlier in Section if earlier < section)
    slots = layout(arch)
    fields = {}
    for row in FIELDS:
        slot = slots[row.name]
        if row.section == section and slot.width:
            shape = signed(slot.width) if slot.signed else unsigned(slot.width)
            fields[row.name] = data.Field(shape, slot.offset - start)
    return data.FlexibleLayout(LINE_BITS * lines[section], fields)
