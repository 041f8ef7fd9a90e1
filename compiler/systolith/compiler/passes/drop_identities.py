# SPDX-License-Identifier: Apache-2.0
"""Drop nodes that change nothing.

Before: ``Identity``, or ``Reshape`` to the shape its input has.
After: its readers read its input; where it made a graph output, the node before now makes it under that name.
Does not apply to an Identity that connects a graph input, or another output, straight to a graph output.
"""

from __future__ import annotations

from dataclasses import replace

from ..ir import Graph, Node, Tensor
from .rewrite import rebuild, renamed

__all__ = ["drop_identities"]


def drop_identities(graph: Graph) -> Graph:
    """The graph without nodes that change nothing."""
    while True:
        node = next((node for node in graph.nodes if _droppable(graph, node)), None)
        if node is None:
            return graph
        graph = _without(graph, node)


def _droppable(graph: Graph, node: Node) -> bool:
    """Whether a node changes nothing, and does not connect two names the network's interface needs."""
    source, result = node.inputs[0], node.outputs[0]
    fixed = source in graph.outputs or graph.producer(source) is None
    return _changes_nothing(graph, node) and not (result in graph.outputs and fixed)


def _changes_nothing(graph: Graph, node: Node) -> bool:
    if node.op == "Reshape":
        return graph.tensors[node.inputs[0]].shape == graph.tensors[node.outputs[0]].shape
    return node.op == "Identity"


def _without(graph: Graph, node: Node) -> Graph:
    source, result = node.inputs[0], node.outputs[0]
    rest = [other for other in graph.nodes if other is not node]
    if result not in graph.outputs:
        return rebuild(graph, [renamed(other, {result: source}) for other in rest])
    return _renamed_everywhere(graph.with_(nodes=tuple(rest)), source, result)


def _renamed_everywhere(graph: Graph, old: str, new: str) -> Graph:
    """The tensor ``old`` under the name ``new``, which is a graph output."""
    nodes = [
        replace(renamed(node, {old: new}), outputs=tuple(new if name == old else name for name in node.outputs))
        for node in graph.nodes
    ]
    tensors = {**graph.tensors, new: Tensor(new, graph.tensors[old].shape, graph.tensors[old].qparams)}
    return rebuild(graph.with_(tensors=tensors), nodes)
