# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from systolith.compiler.stored_weights import narrowing, pack_weights, weight_range
from systolith.spec import link
from systolith.spec.arch import PRESETS, Arch

ARCH = Arch(name="narrow", rows=4, cols=2, psum_spacing=2, weight_rows=2, narrow_weights=True)
WIDE = ARCH.with_(narrow_weights=False)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([-2, 1], 2), ([0], 2), ([2], 1), ([-3], 1), ([-8, 7], 1), ([8], 0), ([-9], 0), ([-128, 127], 0)],
)
def test_the_fewest_bits_that_hold_all_weights_are_taken(values: list[int], expected: int) -> None:
    blocks = [np.array([[[value]]]) for value in values]
    assert narrowing(blocks, ARCH) == expected
    assert narrowing(blocks, WIDE) == 0


def test_a_layer_without_weights_has_full_width() -> None:
    assert narrowing([], ARCH) == 0


def test_ranges_are_those_of_signed_integers() -> None:
    assert [weight_range(bits) for bits in (8, 4, 2)] == [(-128, 127), (-8, 7), (-2, 1)]


@pytest.mark.parametrize("narrow", [0, 1, 2])
@pytest.mark.parametrize("passes", [1, 3, 4])
def test_a_line_holds_weights_of_neighbouring_lines_in_each_place(narrow: int, passes: int) -> None:
    rng = np.random.default_rng(narrow)
    bits, parts, places = 8 >> narrow, 1 << narrow, ARCH.weight_rows * ARCH.cols
    low, high = weight_range(bits)
    block = rng.integers(low, high + 1, (passes, ARCH.rows, ARCH.cols))
    words = pack_weights(block, narrow, ARCH)
    lines = block.reshape(-1, places)
    assert words.shape == (-(-len(lines) // parts), link.line_words(link.Space.WEIGHTS, ARCH))
    for number, line in enumerate(lines):
        fields = link.unpack_line(words[number // parts].tolist(), bits, parts * places)
        assert fields[number % parts :: parts] == line.tolist()
    rest = link.unpack_line(words[-1].tolist(), bits, parts * places)
    assert all(not any(rest[part::parts]) for part in range((len(lines) - 1) % parts + 1, parts))


def test_full_width_is_packed_as_ever() -> None:
    block = np.random.default_rng(0).integers(-128, 128, (3, 8, 8))
    words = pack_weights(block, 0, PRESETS["8x8"])
    flat = [link.pack_line(line.tolist(), 8) for line in block.reshape(-1, 16)]
    assert words.tolist() == flat
