# SPDX-License-Identifier: Apache-2.0
"""Compute what is the same only once (common subexpressions).

Before: two nodes of one operator with the same operands (constants count by value) and attributes.
After: the first; readers of the second read it.
Does not apply to a second result that is a graph output.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable

from ..ir import Graph, Node
from .rewrite import rebuild, renamed

__all__ = ["merge_common"]


def merge_common(graph: Graph) -> Graph:
    """The graph without nodes that repeat an earlier one."""
    digests = {name: _digest(graph, name) for name in graph.constants}
    first: dict[Hashable, str] = {}
    names: dict[str, str] = {}
    nodes: list[Node] = []
    for original in graph.nodes:
        node = renamed(original, names)
        earlier = first.setdefault(_key(node, digests), node.outputs[0])
        if earlier == node.outputs[0] or node.outputs[0] in graph.outputs:
            nodes.append(node)
        else:
            names[node.outputs[0]] = earlier
    return rebuild(graph, nodes) if names else graph


def _digest(graph: Graph, name: str) -> str:
    value = graph.constant(name)
    return f"{value.dtype}{value.shape}{hashlib.sha256(value.tobytes()).hexdigest()}"


def _key(node: Node, digests: dict[str, str]) -> Hashable:
    operands = tuple(digests.get(name, name) for name in node.inputs)
    return node.op, operands, repr(sorted(node.attributes.items(), key=lambda item: item[0]))
