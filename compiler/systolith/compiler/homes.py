# SPDX-License-Identifier: Apache-2.0
"""Data movement without moving: tensors that live in the memory of others.

What a QMove copies wholly and unchanged to whole vectors of its result may be stored there from the start: the parts of
a Concat side by side, the phases of an interleaving between each other. And what a QMove selects at regular places need
not be copied out of its source. Both are layouts with larger pitches and an offset; readers and writers do not mind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from systolith.spec.arch import Arch

from .allocate import live_elements
from .ir import Graph, Move, Node, Run
from .layout import Layout
from .movement_parts import gap_count
from .verify_integer import image_shape

__all__ = ["find_homes"]

Layouts = dict[str, Layout]


def find_homes(graph: Graph, layouts: Mapping[str, Layout], arch: Arch) -> Layouts:
    """The layouts with those tensors in the memory of others that may live there, as far as the memory suffices.

    A tensor may be in memory longer with a home than without: its result's is taken as soon as the first part is made.
    """
    result = dict(layouts)
    for node in reversed(graph.nodes):
        if node.op == "QMove":
            _settle_sources(graph, node, result, arch)
    for node in graph.nodes:
        if node.op == "QMove":
            _settle_result(graph, node, result, arch)
    return result


def _accept(graph: Graph, layouts: Layouts, arch: Arch, name: str, layout: Layout) -> None:
    """Give a tensor its new layout unless more is alive with it than the memory holds."""
    before = layouts[name]
    layouts[name] = layout
    if live_elements(graph, layouts, arch) > arch.act_depth:
        layouts[name] = before


def _copies(graph: Graph, node: Node, name: str, factor: float) -> bool:
    """Whether elements of a tensor come into the result with the integers they have."""
    before, after = (graph.tensors[one].qparams for one in (name, node.outputs[0]))
    if before is None or before != after or factor != 1.0:
        return False
    low, high = after.low - after.zero_point, after.high - after.zero_point
    return bool((node.attributes["lo"], node.attributes["hi"]) == (low, high))


def _free(graph: Graph, name: str, arch: Arch) -> bool:
    """Whether a tensor may lie anywhere: neither the host nor a view sees it, and readers lose nothing by pitches."""
    readers = graph.consumers(name)
    if name in graph.outputs or any(reader.op == "View" for reader in readers):
        return False
    return arch.rows <= arch.cols or all(reader.op != "QConv" for reader in readers)


def _settle_sources(graph: Graph, node: Node, layouts: Layouts, arch: Arch) -> None:
    """Let sources of a QMove live in its result."""
    target = layouts[node.outputs[0]]
    if gap_count(node, target, arch.cols) is None:
        return
    for move in node.attributes["moves"]:
        name = node.inputs[move.input]
        producer = graph.producer(name)
        stored = producer is not None and producer.op != "View"
        plain = layouts[name].channel_pitch % arch.cols == 0 and not layouts[name].home
        if stored and plain and _free(graph, name, arch) and _moves_all(graph, node, move, target, arch):
            _accept(graph, layouts, arch, name, _inside(node, move, layouts[name], target))


def _moves_all(graph: Graph, node: Node, move: Move, target: Layout, arch: Arch) -> bool:
    """Whether a move is the only one of its source, takes it wholly, and fills whole vectors of the result."""
    name = node.inputs[move.input]
    alone = node.inputs.count(name) == sum(node.inputs[other.input] == name for other in node.attributes["moves"]) == 1
    runs = zip((move.channels, move.rows, move.columns), image_shape(graph.tensors[name].shape), strict=True)
    whole = all(
        (run.source, run.count) == (0, length) and (run.source_step == 1 or run.count == 1) for run, length in runs
    )
    first, last = move.channels.target, move.channels.target + move.channels.count
    vectors = first % arch.cols == 0 and (last % arch.cols == 0 or last == target.channels)
    return (
        alone
        and whole
        and vectors
        and not move.transposed
        and _copies(graph, node, name, node.attributes["factors"][move.input])
    )


def _with_pitches(tensor: Layout, columns: int, rows: int) -> Layout:
    """A tensor with other pitches. A single row has to end before a next one would begin: padding lies there."""
    rows = max(rows, tensor.width * columns) if tensor.height == 1 else rows
    return replace(tensor, channel_pitch=columns, row_pitch=rows)


def _inside(node: Node, move: Move, source: Layout, target: Layout) -> Layout:
    """The layout of a source that lives in the result."""
    offset = move.rows.target * target.row_pitch + move.columns.target * target.channel_pitch + move.channels.target
    columns, rows = move.columns.target_step * target.channel_pitch, move.rows.target_step * target.row_pitch
    return replace(_with_pitches(source, columns, rows), home=node.outputs[0], offset=offset)


def _settle_result(graph: Graph, node: Node, layouts: Layouts, arch: Arch) -> None:
    """Let the result of a QMove that only selects live in its source."""
    output, moves = node.outputs[0], node.attributes["moves"]
    if len(moves) > 1 or layouts[output].home or not _free(graph, output, arch):
        return
    (move,), name = moves, node.inputs[moves[0].input]
    source, target = layouts[name], layouts[output]
    size = (target.channels, target.height, target.width)
    runs = (move.channels, move.rows, move.columns)
    whole = all((run.target, run.count) == (0, length) for run, length in zip(runs, size, strict=True))
    forward = all(_forward(run) for run in runs)
    vectors = source.channel_pitch % arch.cols == 0 and move.channels.source % arch.cols == 0
    regular = whole and forward and vectors and not move.transposed and layouts[name].home != output
    if regular and _copies(graph, node, name, node.attributes["factors"][move.input]):
        _accept(graph, layouts, arch, output, _selected(move, name, source, target))


def _forward(run: Run) -> bool:
    return run.target_step == 1 or run.count == 1 if run.source_step > 0 else False


def _selected(move: Move, name: str, source: Layout, target: Layout) -> Layout:
    """The layout of a result that lives in the source."""
    offset = move.rows.source * source.row_pitch + move.columns.source * source.channel_pitch + move.channels.source
    columns, rows = move.columns.source_step * source.channel_pitch, move.rows.source_step * source.row_pitch
    return replace(_with_pitches(target, columns, rows), home=name, offset=offset)
