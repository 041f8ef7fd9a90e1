# SPDX-License-Identifier: Apache-2.0
"""Merge transposes that follow each other, and drop those that move nothing.

Before: ``Transpose -> Transpose``; a Transpose of no axis; one whose axes of more than one element keep their order,
before or behind a Reshape.
After: one Transpose with the product of the permutations; an Identity; a Reshape, which merges with the other.
Does not apply to an Identity that would connect a graph input straight to a graph output.
"""

from __future__ import annotations

from dataclasses import replace

from ..ir import Graph, Node
from .rewrite import fusable_producer, rebuild
from .transposes import permuted, source_of

__all__ = ["cancel_transposes"]


def cancel_transposes(graph: Graph) -> Graph:
    """The graph without transposes of transposes, and without those that move nothing."""
    while True:
        changed = next(((node, new) for node in graph.nodes if (new := _simpler(graph, node)) is not None), None)
        if changed is None:
            return graph
        graph = rebuild(graph, [changed[1] if node is changed[0] else node for node in graph.nodes])


def _simpler(graph: Graph, node: Node) -> Node | None:
    """The node that does the same as a Transpose; None if there is none simpler."""
    if node.op != "Transpose":
        return None
    perm, found = tuple(node.attributes["perm"]), source_of(graph, node.inputs[0])
    if found is not None:
        source, first = found
        return replace(node, inputs=(source,), attributes={"perm": permuted(first, perm)})
    shape = graph.tensors[node.outputs[0]].shape
    if perm == tuple(range(len(perm))):
        straight = node.outputs[0] in graph.outputs and graph.producer(node.inputs[0]) is None
        return None if straight else replace(node, op="Identity", attributes={})
    moved = [axis for axis, size in zip(perm, shape, strict=True) if size != 1]
    # Whatever the batch, it stays in front: the shape alone says where it is.
    if perm[0] == 0 and moved == sorted(moved) and _beside_reshapes(graph, node):
        return replace(node, op="Reshape", attributes={"shape": shape})
    return None


def _beside_reshapes(graph: Graph, node: Node) -> bool:
    """Whether a Reshape in the node's place would merge with one before it, or with all behind it."""
    readers = {reader.op for reader in graph.consumers(node.outputs[0])}
    behind = readers == {"Reshape"} and node.outputs[0] not in graph.outputs
    return behind or fusable_producer(graph, node.inputs[0], ("Reshape",)) is not None
