# SPDX-License-Identifier: Apache-2.0
"""What passes have in common: questions about a graph and the few ways to make a new one from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from ..ir import Graph, Node

__all__ = ["fusable_producer", "is_constant", "prune", "rebuild", "renamed"]


def is_constant(graph: Graph, name: str) -> bool:
    """Whether an operand is a constant."""
    return name in graph.constants


def fusable_producer(graph: Graph, name: str, ops: Sequence[str]) -> Node | None:
    """The node of one of ``ops`` that computes ``name`` for a single reader; None if there is none such."""
    producer = graph.producer(name)
    alone = len(graph.consumers(name)) == 1 and name not in graph.outputs
    return producer if producer is not None and producer.op in ops and alone else None


def renamed(node: Node, names: Mapping[str, str]) -> Node:
    """The node reading other tensors, the steps of a chain too."""
    inputs, attributes = tuple(names.get(name, name) for name in node.inputs), dict(node.attributes)
    if node.op == "Elementwise":
        attributes["steps"] = tuple(renamed(step, names) for step in attributes["steps"])
    return replace(node, inputs=inputs, attributes=attributes)


def rebuild(graph: Graph, nodes: Sequence[Node], constants: Mapping[str, NDArray[Any]] | None = None) -> Graph:
    """The graph with other nodes and, if given, further constants; what is not used any more goes."""
    return prune(graph.with_(nodes=tuple(nodes), constants={**graph.constants, **(constants or {})}))


def prune(graph: Graph) -> Graph:
    """Drop nodes no output depends on, and tensors and constants that no node mentions."""
    needed, nodes = set(graph.outputs), []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs):
            nodes.append(node)
            needed.update(node.inputs)
    needed.update(graph.inputs)
    attributes = {value for node in nodes for value in node.attributes.values() if isinstance(value, str)}
    return graph.with_(
        nodes=tuple(nodes[::-1]),
        tensors={name: tensor for name, tensor in graph.tensors.items() if name in needed},
        constants={name: value for name, value in graph.constants.items() if name in needed | attributes},
    )
