# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from systolith.compiler.layout import Layout
from systolith.compiler.nest import Stride
from systolith.compiler.reduction import Geometry, Reduction, plan_reduction


def _geometry(layout: Layout, kernel: tuple[int, int], **changes: object) -> Geometry:
    options = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)} | changes
    return Geometry(source=layout, kernel=kernel, **options)  # type: ignore[arg-type]


def _counts(reduction: Reduction) -> list[int]:
    return [loop.count for loop in reduction.loops]


def test_kernel_rows_are_runs_across_pixels() -> None:
    reduction = plan_reduction(_geometry(Layout(8, 8, 3, 3), (3, 3)), 3, 8, 4096)
    assert _counts(reduction) == [2, 1, 3]
    assert reduction.loops[2] == Stride(3, row=24)
    assert reduction.index[1, 2, 1] == 16 + 2 * 3 + 1


def test_padding_channels_at_the_end_of_a_run_cost_nothing() -> None:
    reduction = plan_reduction(_geometry(Layout(8, 8, 10, 16), (1, 3)), 10, 16, 4096)
    assert _counts(reduction) == [3, 1, 1]


def test_dilated_columns_are_taps_unless_they_are_near() -> None:
    far = plan_reduction(_geometry(Layout(8, 8, 16, 16), (1, 3), dilations=(1, 3)), 16, 16, 4096)
    assert far.loops == (Stride(1, col=16), Stride(3, col=48), Stride(1, row=128))
    near = plan_reduction(_geometry(Layout(8, 8, 1, 1), (1, 3), dilations=(1, 2)), 1, 16, 4096)
    assert _counts(near) == [1, 1, 1]
    assert near.index[0, :, 0].tolist() == [0, 2, 4]


def test_a_kernel_as_wide_as_the_tensor_is_one_run() -> None:
    reduction = plan_reduction(_geometry(Layout(4, 4, 6, 6), (4, 4)), 6, 32, 4096)
    assert (reduction.flat, _counts(reduction)) == (True, [3, 1, 1])
    padded = plan_reduction(_geometry(Layout(4, 4, 6, 6), (4, 4), pads=(0, 1, 0, 0)), 6, 32, 4096)
    assert not padded.flat


def test_runs_longer_than_a_loop_are_folded() -> None:
    reduction = plan_reduction(_geometry(Layout(1, 1, 100, 100), (1, 1)), 100, 2, 16)
    assert reduction.loops == (Stride(13, col=2), Stride(4, col=26), Stride())
    assert reduction.passes == 52


@pytest.mark.parametrize("seed", range(8))
def test_every_weight_meets_its_element(seed: int) -> None:
    """The window of the pass and the row that ``index`` names holds the element of that tap and channel."""
    rng = np.random.default_rng(seed)
    channels, high, wide = rng.integers(1, 6, 3).tolist()
    layout = Layout(high + 4, wide * 2 + 4, channels, channels + int(rng.integers(0, 3)))
    geometry = _geometry(layout, (high, wide), dilations=(1, int(rng.integers(1, 3))))
    rows = int(2 ** rng.integers(1, 5))
    reduction = plan_reduction(geometry, channels, rows, 4096)
    two, three, four = reduction.loops
    for (ky, kx, channel), position in np.ndenumerate(reduction.index):
        step, row = divmod(int(position), rows)
        inner, rest = step % two.count, step // two.count
        tap, line = rest % three.count, rest // three.count
        offsets = zip((inner, tap, line), reduction.loops, strict=True)
        element = row + sum(count * (loop.row + loop.col) for count, loop in offsets)
        expected = ky * layout.row_pitch + kx * geometry.dilations[1] * layout.channel_pitch + channel
        assert element == expected, f"seed {seed}, tap {ky, kx}, channel {channel}"
    assert four.count * three.count * two.count == reduction.passes
