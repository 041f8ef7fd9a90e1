# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from systolith.compiler.ir import Node
from systolith.compiler.layout import Layout
from systolith.compiler.packing import unrolled
from systolith.compiler.variants import input_variants, output_variants
from systolith.spec.arch import PRESETS

ARCH = PRESETS["16x16"]


def _node(*strides: int) -> Node:
    return Node("QConv", "conv", ("x",), ("y",), {"strides": strides})


def test_few_channels_share_vectors_in_every_pitch_that_fills_them() -> None:
    made = output_variants(Layout(4, 6, 5, 16), ARCH)
    assert [(layout.channel_pitch, unrolled(layout, ARCH)) for layout in made] == [(8, 2), (6, 8), (5, 16)]
    assert [layout.row_pitch for layout in made] == [48, 48, 80]


def test_a_partly_filled_last_block_may_be_shared_too() -> None:
    assert output_variants(Layout(4, 6, 24, 32), ARCH) == [Layout(4, 6, 24, 24, 144)]


@pytest.mark.parametrize("layout", [Layout(4, 6, 16, 16), Layout(4, 1, 3, 16)], ids=["full", "one column"])
def test_whole_vectors_and_single_columns_have_no_other_layout(layout: Layout) -> None:
    assert output_variants(layout, ARCH) == []


def test_pitches_keep_to_the_granule() -> None:
    pitches = [layout.channel_pitch for layout in output_variants(Layout(4, 6, 3, 16), ARCH.with_(act_granule=4))]
    assert pitches == [8, 4]


def test_inputs_lie_by_columns_and_in_blocks_that_divide_the_stride() -> None:
    plain = Layout(5, 6, 3, 3)
    assert input_variants(plain, _node(1, 1), 1, ARCH) == [Layout(5, 6, 3, 15, 3)]
    blocks = [(layout.block, layout.by_columns) for layout in input_variants(plain, _node(2, 1), 2, ARCH)]
    both = [False, True]
    assert blocks == [((1, 1), True), *(((1, 2), kind) for kind in both), *(((2, 1), kind) for kind in both),
                      *(((2, 2), kind) for kind in both)]  # fmt: skip


def test_a_single_line_has_one_direction() -> None:
    assert input_variants(Layout(1, 6, 3, 3), _node(1, 1), 1, ARCH) == []
    assert [layout.by_columns for layout in input_variants(Layout(2, 6, 3, 3), _node(2, 1), 1, ARCH)] == [True, False]


def test_layouts_hold_every_element_once() -> None:
    for layout in input_variants(Layout(5, 7, 3, 3), _node(2, 3), 1, ARCH.with_(act_granule=2)):
        (by, bx), (y, x, c) = layout.block, np.indices((5, 7, 3))
        place = y // by * layout.row_pitch + x // bx * layout.channel_pitch + (y % by * bx + x % bx) * 3 + c
        assert len(np.unique(place)) == 105
        assert place.max() < layout.elements
        assert layout.channel_pitch % 2 == layout.row_pitch % 2 == 0
