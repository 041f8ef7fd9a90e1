# SPDX-License-Identifier: Apache-2.0
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from systolith.spec.arch import PRESETS, Arch
from systolith.spec.isa import (
    FIELDS,
    Descriptor,
    IsaError,
    Loop,
    Op,
    Section,
    Walk,
    decode,
    decode_program,
    disassemble,
    document,
    encode,
    encode_program,
    layout,
    section_words,
)

BARE = PRESETS["tiny"].with_(residual=False, pool=False)
DOCS = Path(__file__).parents[2] / "docs"


def random_descriptor(rng: random.Random, arch: Arch) -> Descriptor:
    reach = arch.act_depth // 2
    out, res = (
        Walk(rng.randrange(arch.act_depth), *(rng.randrange(-reach, reach) for _ in range(3))) for _ in range(2)
    )
    loops = tuple(
        Loop(rng.randrange(1, 1 << arch.dim_bits), rng.randrange(-reach, reach), rng.randrange(-reach, reach))
        for _ in range(6)
    )
    bare = Descriptor(op=Op.MATRIX, base=3, fill=-128, loops=loops, out=out, lo=-255, hi=255, work=7)
    return replace(bare, residual=True, res=res, m_own=99, m_res=70000, lo_sum=-5) if arch.residual else bare


@pytest.mark.parametrize("arch", [*PRESETS.values(), BARE], ids=lambda arch: f"{arch.name}-{arch.residual}")
def test_programs_survive_encoding(arch: Arch) -> None:
    rng = random.Random(5)
    descriptors = [random_descriptor(rng, arch) for _ in range(3)]
    words = encode_program(descriptors, arch)
    assert all(0 <= word < 1 << 32 for word in words)
    assert decode_program(words, arch) == descriptors


def test_fields_do_not_overlap_and_the_back_section_starts_a_word() -> None:
    arch = PRESETS["8x8"]
    slots = sorted((slot.offset, slot.offset + slot.width) for slot in layout(arch).values())
    assert all(end <= start for (_, end), (start, _) in zip(slots, slots[1:], strict=False))
    first_back = next(row.name for row in FIELDS if row.section == Section.BACK)
    assert layout(arch)[first_back].offset == 32 * section_words(arch)[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fill": 200}, r"field fill: must be in -128\.\.127, got 200"),
        ({"loops": (Loop(0),) * 6}, r"field loop0_count: must be in 0\.\.4095, got -1"),
        ({"loops": (Loop(),) * 5}, "a descriptor has 6 loops, got 5"),
        ({"base": -1}, "field base: must be in"),
    ],
)
def test_values_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(IsaError, match=message):
        encode(replace(Descriptor(op=Op.MATRIX), **changes), PRESETS["tiny"])


def test_an_architecture_without_residual_refuses_the_field() -> None:
    with pytest.raises(IsaError, match="field residual: this architecture does not have it, got 1"):
        encode(Descriptor(op=Op.MATRIX, residual=True), BARE)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([9], "unknown operation 9"),
        ([], "ends without END"),
        ([1], "only 1 are left"),
        ([0x10 | 1, *[0] * 40], "mode 1 is"),
    ],
)
def test_words_that_are_no_descriptor(words: list[int], message: str) -> None:
    with pytest.raises(IsaError, match=message):
        decode(words, PRESETS["tiny"])


def test_disassembly_names_what_is_set() -> None:
    text = disassemble(Descriptor(op=Op.VECTOR, maximum=True, loops=(Loop(3, 4, -5), *(Loop(),) * 5)))
    assert text.splitlines() == [
        "VECTOR",
        "    maximum       True",
        "    loop 0        3 x (row +4, col -5)",
    ]


def test_the_isa_document_is_current() -> None:
    """docs/isa.md is generated: ``python scripts/tools/write_docs.py`` writes it."""
    assert document(PRESETS["16x16"]) in (DOCS / "isa.md").read_text()
