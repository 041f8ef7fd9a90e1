# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from systolith.compiler.errors import UnsupportedModel
from systolith.compiler.ir import Graph, Move, Node, QParams, Run, Tensor
from systolith.compiler.layout import plan_layouts
from systolith.compiler.movement_parts import Part, parts_of
from systolith.compiler.plan import Context
from systolith.spec.arch import PRESETS

ARCH = PRESETS["4x4"]
Q = QParams(1.0, 3)


def box(channels: Run, rows: Run | None = None, columns: Run | None = None) -> Move:
    return Move(0, channels, rows or Run(0, 0, 4), columns or Run(0, 0, 4))


def parts(*moves: Move, size: tuple[int, int, int] = (16, 4, 4), fill: int = 0) -> list[Part]:
    attributes = {"moves": moves, "factors": (1.0,), "fill": fill, "lo": -9, "hi": 9}
    node = Node("QMove", "m", ("x",), ("y",), attributes, ("Concat",))
    tensors = {"x": Tensor("x", (1, 16, 4, 4), Q), "y": Tensor("y", (1, *size), Q)}
    graph = Graph("g", ("x",), ("y",), (node,), tensors)
    return list(parts_of(node, Context(graph, ARCH, plan_layouts(graph, ARCH), {"x": 0, "y": 0})))


def shown(made: list[Part]) -> list[tuple[tuple[int, int], str, bool, bool]]:
    """Blocks, own channels as ones, whether it adds, whether it is constant."""
    return [
        ((part.blocks.start, part.blocks.stop), "".join("01"[int(lane)] for lane in part.own), part.adds, part.constant)
        for part in made
    ]


def test_vectors_that_moves_share_are_added_to() -> None:
    made = parts(box(Run(0, 0, 6)), box(Run(0, 6, 10)))
    assert shown(made) == [
        ((0, 2), "11111100", False, False),
        ((1, 2), "0011", True, False),
        ((2, 4), "11111111", False, False),
    ]


def test_a_move_inside_of_one_vector_only_adds() -> None:
    made = parts(box(Run(0, 0, 5)), box(Run(0, 5, 2)), size=(7, 4, 4))
    assert shown(made) == [((0, 2), "11111000", False, False), ((1, 2), "0110", True, False)]


def test_channels_that_nothing_reaches_are_zero_or_filled() -> None:
    moves = (box(Run(0, 1, 2)),)
    assert shown(parts(*moves, size=(10, 4, 4))) == [
        ((1, 3), "11111111", False, True),
        ((0, 1), "0110", False, False),
    ]
    assert shown(parts(*moves, size=(10, 4, 4), fill=5))[1:] == [
        ((0, 1), "0110", False, False),
        ((0, 1), "1001", True, True),
    ]


def test_borders_are_filled_one_by_one() -> None:
    made = parts(box(Run(0, 0, 4), Run(0, 1, 4), Run(0, 2, 4)), size=(4, 6, 8))
    frame = [part for part in made if part.constant]
    where = [(p.move.rows.target, p.move.rows.count, p.move.columns.target, p.move.columns.count) for p in frame]
    assert where == [(0, 1, 0, 8), (1, 4, 0, 2), (1, 4, 6, 2), (5, 1, 0, 8)]


def test_many_gaps_are_filled_at_once_and_first() -> None:
    made = parts(box(Run(0, 0, 4), Run(0, 0, 4, 1, 2), Run(0, 0, 4, 1, 2)), size=(4, 8, 8))
    assert [part.constant for part in made] == [True, False]
    assert (made[0].move.rows.count, made[0].move.columns.count) == (8, 8)


def test_interleaved_moves_need_no_filling() -> None:
    moves = [box(Run(0, 0, 6), Run(0, y, 4, 1, 2), Run(0, x, 4, 1, 2)) for y in range(2) for x in range(2)]
    made = parts(*moves, size=(6, 8, 8))
    assert [(part.adds, part.constant) for part in made] == [(False, False)] * 4


def test_moves_that_meet_at_some_pixels_only_are_refused() -> None:
    moves = (box(Run(0, 0, 6)), box(Run(0, 6, 2), Run(0, 0, 2)))
    with pytest.raises(UnsupportedModel, match=r"'m' \(Concat\): moves to different pixels meet in vectors of 4 ch"):
        parts(*moves, size=(8, 4, 4))
    # vectors of their own, or pixels of their own, are no meeting
    assert parts(box(Run(0, 0, 8)), box(Run(0, 8, 2), Run(0, 0, 2)), size=(10, 4, 4))
    assert parts(box(Run(0, 0, 6), Run(0, 2, 2)), box(Run(0, 6, 2), Run(0, 0, 2)), size=(8, 4, 4))
