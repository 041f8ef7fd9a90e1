# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from systolith.api.roofline.labels import Box, Label, Spot, place_labels, runs

FRAME = Box(0, 0, 500, 300)


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([3], "3"),
        ([2, 1], "1, 2"),
        ([1, 3, 4, 5], "1, 3–5"),
        ([4, 6, 8, 10, 12], "4 … 12 (5 layers)"),
    ],
)
def test_runs(numbers: list[int], text: str) -> None:
    assert runs(numbers) == text


def test_points_that_lie_together_share_a_label() -> None:
    labels = place_labels([Spot(1, 100, 100, 4), Spot(2, 101, 100, 6), Spot(3, 300, 100, 4)], FRAME)
    assert [label.text for label in labels] == ["1, 2", "3"]


@pytest.mark.parametrize("seed", range(5))
def test_labels_keep_clear(seed: int) -> None:
    rng = np.random.default_rng(seed)
    spots = [Spot(index, float(x), float(y), 4) for index, (x, y) in enumerate(rng.uniform(40, 260, (12, 2)))]
    roof = Box(0, 120, 500, 130)
    boxes = [label.box for label in place_labels(spots, FRAME, [roof])]
    assert not any(one.meets(other) for one, other in combinations(boxes, 2))
    assert not any(box.meets(spot.box) for box in boxes for spot in spots)
    assert not any(box.meets(roof) for box in boxes)
    assert all(box.inside(FRAME) for box in boxes)


def test_without_room_a_label_is_placed_all_the_same() -> None:
    assert len(place_labels([Spot(1, 5, 5, 4)], Box(0, 0, 10, 10))) == 1


def test_the_line_ends_at_the_rim_that_is_nearest() -> None:
    label = Label("12", x=50, y=80, to_x=50, to_y=20)
    assert label.edge == (50, label.box.top)
