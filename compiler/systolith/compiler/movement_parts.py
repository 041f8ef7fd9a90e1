# SPDX-License-Identifier: Apache-2.0
"""How a QMove is stored: its moves cut into parts, in order, each of whole vectors of C channels.

Where moves meet in a vector, the first stores zero in the channels that are not its own, and the next ones add to what
is there. Vectors that no move touches, and channels that none fills, are parts of their own: constants.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import UnsupportedModel
from .ir import Move, Node, Run
from .layout import Layout, round_up
from .nest import Span
from .plan import Context

__all__ = ["Part", "gap_count", "label_of", "parts_of"]

Bools = NDArray[np.bool_]

_RECTANGLES = 8
"""Most rectangles that are filled one by one; where there are more, everything is filled before the moves."""


@dataclass(frozen=True)
class Part:
    """Whole vectors that are stored together: ``blocks`` of C channels at the pixels of a move's target."""

    move: Move
    blocks: Span
    own: Bools
    """Which channels of the blocks get a value, (blocks * C,); the others get zero, or keep theirs with ``adds``."""
    adds: bool = False
    constant: bool = False
    """The value is the node's ``fill``; nothing is read."""


def _pixels(move: Move) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """What decides which pixels of the target a move reaches."""
    rows, columns = ((run.target, run.count, run.target_step) for run in (move.rows, move.columns))
    return rows, columns


def _reached(moves: Sequence[Move], target: Layout) -> Bools:
    """Pixels of the target that any of some moves reaches, (height, width)."""
    reached = np.zeros((target.height, target.width), dtype=bool)
    for (top, down, sy), (left, across, sx) in map(_pixels, moves):
        reached[top : top + down * sy : sy, left : left + across * sx : sx] = True
    return reached


def _blocks(move: Move, cols: int) -> range:
    """The vectors of a pixel that a move touches."""
    return range(move.channels.target // cols, -(-(move.channels.target + move.channels.count) // cols))


def _groups(node: Node) -> list[list[Move]]:
    """The moves by the pixels that they reach, each group in the order of channels."""
    ordered = sorted(node.attributes["moves"], key=lambda move: (_pixels(move), move.channels.target))
    return [list(group) for _, group in groupby(ordered, key=_pixels)]


def _own(channels: Bools, blocks: Span, cols: int) -> Bools:
    return channels[blocks.start * cols : blocks.stop * cols]


def _moved(group: Sequence[Move], channels: int, cols: int) -> Iterator[Part]:
    """The parts of moves that reach the same pixels."""
    started = -1
    for move in group:
        mine = np.zeros(channels, dtype=bool)
        mine[move.channels.target : move.channels.target + move.channels.count] = True
        blocks = _blocks(move, cols)
        shared = blocks.start == started
        spans = [Span(blocks.start, blocks.start + 1)] * shared + [Span(blocks.start + shared, blocks.stop)]
        for index, span in enumerate(spans):
            if span.count:
                yield Part(move, span, _own(mine, span, cols), adds=shared and index == 0)
        started = blocks.stop - 1


def _holes(group: Sequence[Move], target: Layout, cols: int) -> Iterator[Part]:
    """Channels that no move of a group fills, in vectors that one touches."""
    channels = round_up(target.channels, cols)
    missing, touched = np.arange(channels) < target.channels, np.zeros(channels // cols, dtype=bool)
    for move in group:
        missing[move.channels.target : move.channels.target + move.channels.count] = False
        touched[_blocks(move, cols)] = True
    for block in np.flatnonzero(touched & missing.reshape(-1, cols).any(axis=1)).tolist():
        span = Span(block, block + 1)
        yield Part(group[0], span, _own(missing, span, cols), adds=True, constant=True)


def _runs(values: Sequence[Any]) -> Iterator[tuple[Span, Any]]:
    """Maximal ranges of equal neighbours."""
    start = 0
    for value, group in groupby(values):
        count = len(list(group))
        yield Span(start, start + count), value
        start += count


def _rectangles(missing: Bools) -> list[tuple[Span, Span]]:
    """Rows and columns of the rectangles that together are the missing pixels."""
    return [
        (rows, columns)
        for rows, pattern in _runs([tuple(row) for row in missing.tolist()])
        for columns, empty in _runs(pattern)
        if empty
    ]


def _gaps(node: Node, target: Layout, cols: int) -> list[tuple[Span, list[tuple[Span, Span]]]]:
    """Blocks of vectors that no move touches somewhere, with the rectangles of pixels where that is so."""
    missing = []
    for block in range(-(-target.channels // cols)):
        near = [move for move in node.attributes["moves"] if block in _blocks(move, cols)]
        missing.append(_rectangles(~_reached(near, target)))
    return [(blocks, rectangles) for blocks, rectangles in _runs(missing) if rectangles]


def gap_count(node: Node, target: Layout, cols: int) -> int | None:
    """How many parts fill what no move touches; None if so many that everything is filled before the moves."""
    gaps = _gaps(node, target, cols)
    if any(len(rectangles) > _RECTANGLES for _, rectangles in gaps):
        return None
    return sum(len(rectangles) for _, rectangles in gaps)


def _filled(node: Node, target: Layout, cols: int) -> Iterator[Part]:
    """Whole vectors that no move touches."""
    everything = [(Span(0, target.height), Span(0, target.width))]
    for blocks, found in _gaps(node, target, cols):
        for rows, columns in found if len(found) <= _RECTANGLES else everything:
            down, across = (Run(0, span.start, span.count, source_step=0) for span in (rows, columns))
            move = Move(0, Run(0, blocks.start * cols, blocks.count * cols), down, across)
            yield Part(move, blocks, np.ones(blocks.count * cols, dtype=bool), constant=True)


def _check_groups(node: Node, groups: Sequence[Sequence[Move]], target: Layout, cols: int) -> None:
    """Refuse moves that meet in a vector at some of their pixels only."""
    for one, other in combinations(groups, 2):
        shared = {block for move in one for block in _blocks(move, cols)}
        meet = any(block in shared for move in other for block in _blocks(move, cols))
        if meet and (_reached(one, target) & _reached(other, target)).any():
            raise UnsupportedModel(
                node=node.name,
                op=label_of(node),
                problem=f"moves to different pixels meet in vectors of {cols} channels",
                accepted="moves to the same pixels, or to pixels or vectors of their own",
                advice=f"make channel counts a multiple of {cols}",
            )


def label_of(node: Node) -> str:
    """The operator as the model has it."""
    return node.origin[0] if node.origin else node.op


def parts_of(node: Node, ctx: Context) -> Iterator[Part]:
    """Everything that is stored, in order; nothing for what is in its place already."""
    target, cols = ctx.layouts[node.outputs[0]], ctx.arch.cols
    if target.home in node.inputs:
        return
    groups = _groups(node)
    _check_groups(node, groups, target, cols)
    yield from _filled(node, target, cols)
    for group in groups:
        settled = [ctx.layouts[node.inputs[move.input]].home == node.outputs[0] for move in group]
        for part in _moved(group, round_up(target.channels, cols), cols):
            if not settled[group.index(part.move)]:
                yield part
        if node.attributes["fill"]:
            yield from _holes(group, target, cols)
