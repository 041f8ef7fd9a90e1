# SPDX-License-Identifier: Apache-2.0
"""Drop requantisations that only limit, or do nothing (integer level).

Before: a ``QRequant`` with factor 1 between tensors of the same scale and zero point: a Relu or Clip that stands alone.
After: the node before has the tighter bounds; if there is nothing to tighten, the reader reads the input itself.
Does not apply where the unlimited values have another reader, are a graph output or come from a table, nor to limits on
a graph input.
"""

from __future__ import annotations

from dataclasses import replace

from ..ir import AddAttributes, Graph, Node, QParams
from .rewrite import fusable_producer, rebuild, renamed

__all__ = ["drop_requant"]

_LIMITERS = ("QAdd", "QConv", "QMatMul", "QMove", "QMul", "QPool", "QRequant")


def drop_requant(graph: Graph) -> Graph:
    """The graph without requantisations that the node before can do."""
    for name in [node.name for node in graph.nodes if node.op == "QRequant"]:
        # looked up anew: an earlier step may have replaced it
        node = next(node for node in graph.nodes if node.name == name)
        if _keeps_scale(graph, node):
            graph = _without(graph, node)
    return graph


def _keeps_scale(graph: Graph, node: Node) -> bool:
    before, after = (graph.tensors[name].qparams for name in (node.inputs[0], node.outputs[0]))
    return node.attributes["factor"] == 1.0 and before == after


def _limits(node: Node, qparams: QParams | None) -> bool:
    """Whether the bounds are tighter than the type's own."""
    if qparams is None:
        return True
    lowest, highest = qparams.low - qparams.zero_point, qparams.high - qparams.zero_point
    return bool(node.attributes["lo"] > lowest or node.attributes["hi"] < highest)


def _without(graph: Graph, node: Node) -> Graph:
    source, result = node.inputs[0], node.outputs[0]
    producer = fusable_producer(graph, source, _LIMITERS)
    if producer is not None and "table" not in producer.attributes and _takes(producer, node):
        tighter = _tightened(producer, node)
        return rebuild(graph, [tighter if other is producer else other for other in graph.nodes if other is not node])
    if _limits(node, graph.tensors[result].qparams) or result in graph.outputs:
        return graph
    return rebuild(graph, [renamed(other, {result: source}) for other in graph.nodes if other is not node])


def _takes(producer: Node, node: Node) -> bool:
    """Whether the node before can have the limits: those of a QMove hold the zero point."""
    return producer.op != "QMove" or bool(node.attributes["lo"] <= 0 <= node.attributes["hi"])


def _tightened(producer: Node, node: Node) -> Node:
    """The node before, limited further; it makes the requantisation's tensor now."""
    low, high = node.attributes["lo"], node.attributes["hi"]
    attributes = dict(producer.attributes)
    if "add" in attributes:
        add: AddAttributes = attributes["add"]
        attributes["add"] = replace(add, lo=_inside(add.lo, low, high), hi=_inside(add.hi, low, high))
    else:
        limited = ("lo", "hi", "fill") if producer.op == "QMove" else ("lo", "hi")
        attributes |= {key: _inside(attributes[key], low, high) for key in limited}
    return replace(producer, outputs=node.outputs, attributes=attributes, origin=(*producer.origin, *node.origin))


def _inside(bound: int, low: int, high: int) -> int:
    return min(max(bound, low), high)
