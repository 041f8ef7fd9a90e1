# SPDX-License-Identifier: Apache-2.0
"""Spell reshapes that exchange axes as what they are: transposes.

Before: ``Reshape`` that keeps the rank and moves nothing but axes of one element: what converters make of the Transpose
of an image of one channel.
After: the ``Transpose``, which can meet its inverse or reach the input (:mod:`.remove_transposes`).
Does not apply to a vector, whose other axes all have one element.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ir import Graph, Node
from .rewrite import rebuild
from .transposes import Perm, renumbered, transpose_node

__all__ = ["spell_transposes"]


def spell_transposes(graph: Graph) -> Graph:
    """The graph with transposes in place of the reshapes that are some."""
    nodes = [_spelled(graph, node) for node in graph.nodes]
    return graph if nodes == list(graph.nodes) else rebuild(graph, nodes)


def _spelled(graph: Graph, node: Node) -> Node:
    if node.op != "Reshape":
        return node
    perm = _permutation(graph.tensors[node.inputs[0]].shape, graph.tensors[node.outputs[0]].shape)
    return node if perm is None else transpose_node(node.name, node.inputs[0], node.outputs[0], perm, node.origin)


def _permutation(shape: Sequence[int], target: Sequence[int]) -> Perm | None:
    """The axes that a reshape between images moves; None if it does not move any or does more."""
    places = renumbered(shape, target)
    if len(shape) != len(target) or places is None or tuple(shape) == tuple(target):
        return None
    if sum(size != 1 for size in shape[1:]) < 2:
        return None
    single = iter(axis for axis in range(len(shape)) if axis not in places)
    return tuple(next(single) if axis is None else axis for axis in places)
