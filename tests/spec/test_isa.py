# SPDX-License-Identifier: Apache-2.0

import pytest

from systolith.spec.arch import PRESETS, Arch
from systolith.spec.isa import (
    FIELDS,
    LINE_BITS,
    LINE_WORDS,
    LOOPS,
    MASK_PLACES,
    Section,
    descriptor_words,
    layout,
    lead_free,
    section_lines,
)
from systolith.spec.timing import START_LATENCY, tail_cycles

BARE = PRESETS["tiny"].with_(residual=False, pool=False, narrow_weights=False)


@pytest.mark.parametrize("arch", [*PRESETS.values(), BARE], ids=lambda arch: f"{arch.name}-{arch.residual}")
def test_fields_do_not_overlap_and_sections_are_lines(arch: Arch) -> None:
    table, lines = layout(arch), section_lines(arch)
    slots = sorted((slot.offset, slot.offset + slot.width) for slot in table.values())
    assert all(end <= start for (_, end), (start, _) in zip(slots, slots[1:], strict=False))
    start = 0
    for section in Section:
        rows = [table[row.name] for row in FIELDS if row.section == section]
        assert rows[0].offset == start * LINE_BITS
        assert max(slot.offset + slot.width for slot in rows) <= (start + lines[section]) * LINE_BITS
        start += lines[section]
    assert descriptor_words(arch) == start * LINE_WORDS
    assert (lines[Section.HEAD], lines[Section.STEPS]) == (1, LOOPS)


def test_a_loop_s_steps_are_the_words_of_a_line() -> None:
    slots = layout(PRESETS["8x8"])
    for level in range(LOOPS):
        assert slots[f"loop{level}_row"].offset == (1 + level) * LINE_BITS
        assert slots[f"loop{level}_col"].offset == (1 + level) * LINE_BITS + 32


@pytest.mark.parametrize("arch", [*PRESETS.values(), BARE], ids=lambda arch: f"{arch.name}-{arch.residual}")
def test_a_lead_reaches_to_the_last_store_and_to_any_time(arch: Arch) -> None:
    slot = layout(arch)["lead"]
    assert lead_free(arch) == (1 << slot.width) - 1
    assert lead_free(arch) > tail_cycles(arch) + START_LATENCY


def test_masks_have_a_bit_a_tap_and_place() -> None:
    slots = layout(PRESETS["8x8"])
    assert (slots["mask_x"].width, slots["mask_y"].width) == (MASK_PLACES * 3, MASK_PLACES * 2)
    # without rows to hold back there is nothing to say of their length
    assert layout(PRESETS["4x4"])["line_last"].width == 0
    assert layout(PRESETS["4x4"].with_(depthwise=False))["mask_x"].width == 0


def test_weights_from_activations_take_two_bits() -> None:
    arch = PRESETS["8x8"]
    for dynamic in (False, True):
        slots = layout(arch.with_(dynamic_weights=dynamic))
        assert [slots[name].width for name in ("to_weights", "fresh")] == [int(dynamic)] * 2
