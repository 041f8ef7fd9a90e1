# SPDX-License-Identifier: Apache-2.0
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from systolith.spec.arch import PRESETS, Arch
from systolith.spec.encoding import decode, decode_program, disassemble, document, encode, encode_program
from systolith.spec.isa import (
    LOOPS,
    Descriptor,
    IsaError,
    Loop,
    Op,
    Walk,
    layout,
    lead_free,
)

BARE = PRESETS["tiny"].with_(residual=False, pool=False, narrow_weights=False, dynamic_weights=False)
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
    result = Descriptor(op=Op.MATRIX, base=3, fill=-128, loops=loops, out=out, lo=-255, hi=255, work=7)
    result = replace(result, lead=rng.randrange(lead_free(arch) + 1))
    if arch.narrow_weights:
        result = replace(result, narrow=rng.randrange(3), narrow_next=rng.randrange(3))
    if arch.residual:
        result = replace(result, residual=True, res=res, m_own=99, m_res=70000, lo_sum=-5)
        result = replace(result, apart=arch.act_segments > 1)
    if arch.tables:
        result = replace(result, lookup=True, table=arch.tables - 1)
    if arch.dynamic_weights:
        result = replace(result, to_weights=rng.random() < 0.5, fresh=rng.random() < 0.5)
    return replace(result, **raster(rng, arch)) if arch.depthwise else result


def raster(rng: random.Random, arch: Arch) -> dict[str, Any]:
    """The depthwise fields, all at random; the product of the passes' counts must fit a count."""
    names = ("lag", "line_last", "last_x", "last_y", "skip_x", "skip_y", "mask_x", "mask_y")
    loops = tuple(Loop(rng.randrange(1, 8), rng.randrange(9), -rng.randrange(9)) for _ in range(LOOPS))
    fields = {name: rng.getrandbits(layout(arch)[name].width) for name in names}
    return {"depthwise": True, "loops": loops, **fields}


@pytest.mark.parametrize("arch", [*PRESETS.values(), BARE], ids=lambda arch: f"{arch.name}-{arch.residual}")
def test_programs_survive_encoding(arch: Arch) -> None:
    rng = random.Random(5)
    descriptors = [random_descriptor(rng, arch) for _ in range(3)]
    words = encode_program(descriptors, arch)
    assert all(0 <= word < 1 << 32 for word in words)
    assert decode_program(words, arch) == descriptors


def test_the_passes_of_a_raster_are_counted_together() -> None:
    """The hardware counts them as one loop; the field holds their number minus one."""
    arch = PRESETS["8x8"]
    loops = (Loop(5), Loop(5), Loop(2), Loop(3), Loop(4), Loop(2))
    for depthwise, passes in ((True, 23), (False, 0)):
        bits = sum(
            word << (32 * index)
            for index, word in enumerate(encode(Descriptor(op=Op.MATRIX, depthwise=depthwise, loops=loops), arch))
        )
        slot = layout(arch)["passes"]
        assert bits >> slot.offset & ((1 << slot.width) - 1) == passes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fill": 200}, r"field fill: must be in -128\.\.127, got 200"),
        ({"loops": (Loop(0),) * 6}, r"field loop0_count: must be in 0\.\.4095, got -1"),
        ({"loops": (Loop(),) * 5}, "a descriptor has 6 loops, got 5"),
        ({"base": -1}, "field base: must be in"),
        ({"depthwise": True, "loops": (Loop(9),) * 6, "skip_x": 8}, r"field skip_x: must be in 0\.\.7, got 8"),
        ({"depthwise": True, "loops": (Loop(20),) * 6}, r"field passes: must be in 0\.\.4095, got 7999"),
    ],
)
def test_values_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(IsaError, match=message):
        encode(replace(Descriptor(op=Op.MATRIX), **changes), PRESETS["tiny"])


@pytest.mark.parametrize("name", ["to_weights", "fresh"])
def test_weights_from_activations_need_hardware(name: str) -> None:
    changes: dict[str, Any] = {name: True}
    with pytest.raises(IsaError, match=f"field {name}: this architecture does not have it, got 1"):
        encode(Descriptor(op=Op.MATRIX, **changes), BARE)


@pytest.mark.parametrize("name", ["narrow", "narrow_next"])
def test_weights_are_halved_twice_at_most(name: str) -> None:
    changes: dict[str, Any] = {name: 3}
    descriptor = Descriptor(op=Op.MATRIX, **changes)
    with pytest.raises(IsaError, match=rf"field {name}: must be in 0\.\.2, got 3"):
        encode(descriptor, PRESETS["8x8"])
    with pytest.raises(IsaError, match=f"field {name}: this architecture does not have it, got 3"):
        encode(descriptor, BARE)
    words, slot = encode(Descriptor(op=Op.MATRIX), PRESETS["8x8"]), layout(PRESETS["8x8"])[name]
    words[slot.offset // 32] |= 3 << slot.offset % 32
    with pytest.raises(IsaError, match=f"field {name}: must be in"):
        decode(words, PRESETS["8x8"])


def test_an_architecture_without_residual_refuses_the_field() -> None:
    with pytest.raises(IsaError, match="field residual: this architecture does not have it, got 1"):
        encode(Descriptor(op=Op.MATRIX, residual=True), BARE)


def test_tables_are_numbered() -> None:
    arch = PRESETS["tiny"]
    widths = [
        tuple(layout(arch.with_(tables=count))[name].width for name in ("lookup", "table")) for count in (0, 1, 8)
    ]
    assert widths == [(0, 0), (1, 0), (1, 3)]
    with pytest.raises(IsaError, match=r"field table: must be in 0\.\.3, got 4"):
        encode(Descriptor(op=Op.MATRIX, lookup=True, table=4), arch.with_(tables=4))
    with pytest.raises(IsaError, match="field lookup: this architecture does not have it, got 1"):
        encode(Descriptor(op=Op.MATRIX, lookup=True), arch.with_(tables=0))


def test_an_architecture_without_the_feed_refuses_rasters() -> None:
    with pytest.raises(IsaError, match="field depthwise: this architecture does not have it, got 1"):
        encode(Descriptor(op=Op.MATRIX, depthwise=True), PRESETS["tiny"].with_(depthwise=False))


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
    assert document(PRESETS["8x8"]) in (DOCS / "isa.md").read_text()
