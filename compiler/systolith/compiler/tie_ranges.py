# SPDX-License-Identifier: Apache-2.0
"""One range for a Concat and its operands, so that joining them is a copy without rounding, or no copy at all.

An operand that nothing else reads takes the range of the Concat's result, whose integers its values become anyway. One
with other readers does so only where its own range is nearly as wide, so that these lose next to nothing. The range is
that of the tensor in which the operand's scale begins: maxima, views and data movement keep the scale of their input.
"""

from __future__ import annotations

from collections.abc import Mapping

from .ir import Graph, Node

__all__ = ["keeping_root", "keeps_scale", "tie_ranges"]

Range = tuple[float, float]

_SHARE = 0.75
"""Of a Concat's range, what an operand with other readers must need itself: it loses less than half a bit."""

_KEEPING = ("MaxPool", "Reshape", "Slice", "Transpose")
"""Operators whose result has the scale of their input."""


def keeps_scale(node: Node) -> bool:
    """Whether a node's result has the scale of its input."""
    if node.op == "Resize":
        return bool(node.attributes["mode"] in ("nearest", "linear"))
    return node.op in _KEEPING


def keeping_root(graph: Graph, name: str) -> tuple[str, bool]:
    """The tensor whose range decides an operand's scale, and whether the operand is all that is made of it."""
    alone = len(graph.consumers(name)) == 1 and name not in graph.outputs
    producer = graph.producer(name)
    if producer is None or not keeps_scale(producer):
        return name, alone
    root, before = keeping_root(graph, producer.inputs[0])
    return root, alone and before


def _width(span: Range) -> float:
    return span[1] - span[0]


def _hull(one: Range, other: Range) -> Range:
    return min(one[0], other[0]), max(one[1], other[1])


def tie_ranges(graph: Graph, ranges: Mapping[str, Range]) -> dict[str, Range]:
    """The ranges (low, high) by tensor with those of Concats and their operands made equal where it costs nothing."""
    result, tied = dict(ranges), set[str]()
    for node in reversed(graph.nodes):
        if node.op == "Concat" and not any(name in graph.constants for name in node.inputs):
            _tie(graph, node, result, tied)
    return result


def _tie(graph: Graph, node: Node, ranges: dict[str, Range], tied: set[str]) -> None:
    """Tie one Concat; what is in ``tied`` has its range already."""
    (output,) = node.outputs
    roots = dict(keeping_root(graph, name) for name in node.inputs)
    joining = [root for root, alone in roots.items() if alone or _wide(ranges, root, output)]
    if output not in tied:
        for root in joining:
            ranges[output] = ranges[output] if roots[root] else _hull(ranges[output], ranges[root])
    for root in joining:
        if root not in tied:
            ranges[root] = ranges[output]
    tied.update(joining, (output,))


def _wide(ranges: Mapping[str, Range], root: str, output: str) -> bool:
    return _width(ranges[root]) >= _SHARE * _width(ranges[output])
