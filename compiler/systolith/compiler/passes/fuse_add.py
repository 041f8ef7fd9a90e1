# SPDX-License-Identifier: Apache-2.0
"""Fuse an add into the convolution before it (integer level).

Before: a ``QConv`` without residual, whose result only a ``QAdd`` reads.
After: one ``QConv`` at the QAdd's place, with the other operand as residual; it rounds where the two rounded.
Where both operands come from such convolutions, the later one takes the add: the earlier result exists by then.
Does not apply to a result that is a graph output, has another reader, or is both operands of the add, nor to an add of
a single pixel.
"""

from __future__ import annotations

from dataclasses import replace

from ..ir import AddAttributes, Graph, Node
from ..verify_integer import image_shape
from .rewrite import fusable_producer, rebuild

__all__ = ["fuse_add"]


def fuse_add(graph: Graph) -> Graph:
    """The graph with every add that can ride on a convolution's lanes fused into it."""
    for node in graph.nodes:
        if node.op == "QAdd":
            graph = _fused(graph, node)
    return graph


def _fused(graph: Graph, add: Node) -> Graph:
    """The graph with this one add fused, or as it was."""
    candidates = [(node, index) for index in range(2) if (node := _convolution(graph, add, index)) is not None]
    if not candidates:
        return graph
    conv, index = max(candidates, key=lambda candidate: graph.nodes.index(candidate[0]))
    fused = _combined(conv, add, index)
    return rebuild(graph, [fused if node is add else node for node in graph.nodes if node is not conv])


def _convolution(graph: Graph, add: Node, index: int) -> Node | None:
    """The convolution that computes operand ``index`` for this add alone; None if there is none."""
    if add.inputs[0] == add.inputs[1] or len({image_shape(graph.tensors[name].shape) for name in add.inputs}) > 1:
        return None
    producer = fusable_producer(graph, add.inputs[index], ("QConv",))
    return None if producer is None or {"add", "table"} & set(producer.attributes) else producer


def _combined(conv: Node, add: Node, index: int) -> Node:
    """The convolution that adds operand ``1 - index`` of ``add``; ``index`` is its own."""
    attributes: AddAttributes = add.attributes["add"]
    if index == 1:
        attributes = replace(attributes, m_own=attributes.m_res, m_res=attributes.m_own)
    return replace(
        conv,
        inputs=(*conv.inputs, add.inputs[1 - index]),
        outputs=add.outputs,
        attributes={**conv.attributes, "add": attributes},
        origin=(*conv.origin, *add.origin),
    )
