# SPDX-License-Identifier: Apache-2.0
"""Move reshapes behind activations and merge them, so that an activation meets the layer it belongs to.

Before: ``Reshape -> Relu`` (or ``Clip``, or another function of each element), or ``Reshape -> Reshape``.
After: ``Relu -> Reshape``; one ``Reshape`` with the last shape. Reshapes keep the batch axis, so both are exact.
Does not apply where the first Reshape has other readers or is a graph output.
"""

from __future__ import annotations

from dataclasses import replace

from ..elementwise import UNARY
from ..ir import Graph, Node, Tensor
from .rewrite import fusable_producer, rebuild, renamed

__all__ = ["sink_reshapes"]

_MOVED = frozenset({*UNARY, "Clip", "Elementwise", "Relu", "Reshape"})
"""Operators whose only tensor is their first operand, and that do not care for its shape."""


def sink_reshapes(graph: Graph) -> Graph:
    """The graph with reshapes merged and behind activations."""
    while True:
        changed = next((pair for node in graph.nodes if (pair := _pair(graph, node))), None)
        if changed is None:
            return graph
        graph = _merged(graph, *changed) if changed[1].op == "Reshape" else _swapped(graph, *changed)


def _pair(graph: Graph, node: Node) -> tuple[Node, Node] | None:
    if node.op not in _MOVED:
        return None
    first = fusable_producer(graph, node.inputs[0], ("Reshape",))
    return (first, node) if first else None


def _merged(graph: Graph, first: Node, second: Node) -> Graph:
    merged = replace(second, inputs=first.inputs, origin=first.origin + second.origin)
    return rebuild(graph, [merged if node is second else node for node in graph.nodes if node is not first])


def _swapped(graph: Graph, reshape: Node, activation: Node) -> Graph:
    """The tensor between the two keeps its name and takes the shape before the Reshape."""
    between, result = reshape.outputs[0], activation.outputs[0]
    early = replace(renamed(activation, {between: reshape.inputs[0]}), outputs=(between,))
    late = replace(reshape, inputs=(between,), outputs=(result,))
    swap = {reshape.name: early, activation.name: late}
    shape = graph.tensors[reshape.inputs[0]].shape
    tensors = {**graph.tensors, between: Tensor(between, shape)}
    return rebuild(graph.with_(tensors=tensors), [swap.get(node.name, node) for node in graph.nodes])
