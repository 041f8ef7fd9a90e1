# SPDX-License-Identifier: Apache-2.0
"""Fuse elementwise operators that depend on one tensor into one node, which one table can compute.

Before: operators of :mod:`systolith.compiler.elementwise`, ``Relu`` and ``Clip`` whose operands are one tensor, single
numbers, and each other: ``x * sigmoid(x)``, ``x * clip(x + 3, 0, 6) / 6``, a Gelu spelled out.
After: one ``Elementwise`` with inputs ``(x, numbers...)`` and the operators as ``steps``; the longest chain with the
earliest ``x``. A single operator of one tensor stays as it is.
Does not apply where something outside the chain reads a result within it (unless the last operator has no other form:
then both are computed), nor (unless ``everything``) where every operator has an integer form of its own: scaling,
shifting and bounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..elementwise import BINARY, UNARY
from ..ir import Graph, Node
from .affine import affine_of, is_rescaling
from .rewrite import is_constant, rebuild

__all__ = ["fuse_chain"]

_STEPS = frozenset({*UNARY, *BINARY, "Clip", "Identity", "Relu"})

_BOUNDS = frozenset({"Clip", "Identity", "Relu"})

_CHEAP = _BOUNDS | {"Add", "LeakyRelu", "PRelu", "Sub"}
"""What has an integer form without a table; so have scaling and shifting by constants."""

Roots = Mapping[str, frozenset[str]]


def fuse_chain(graph: Graph, *, everything: bool = False) -> Graph:
    """The graph with chains as single nodes; with ``everything``, all that are more than bounds and other scales."""
    roots = _roots(graph)
    for node in reversed(graph.nodes):
        chain = _chain(graph, node, roots) if any(node is other for other in graph.nodes) else None
        if chain is not None and _worth(graph, *chain, everything=everything):
            graph = _fused(graph, node, *chain)
    return graph


def _roots(graph: Graph) -> dict[str, frozenset[str]]:
    """For every tensor the tensors that it is an elementwise function of, each of them alone; itself included."""
    roots = {name: frozenset({name}) for name in graph.inputs}
    for node in graph.nodes:
        own = frozenset(node.outputs)
        roots[node.outputs[0]] = own | _common(graph, node, roots) if _is_step(graph, node) else own
    return roots


def _common(graph: Graph, node: Node, roots: Roots) -> frozenset[str]:
    operands = [roots[name] for name in node.inputs if not is_constant(graph, name)]
    return frozenset.intersection(*operands)


def _is_step(graph: Graph, node: Node) -> bool:
    """Whether a node works on each element alone: tensors of one shape, single numbers."""
    data = [name for name in node.inputs if not is_constant(graph, name)]
    numbers = [name for name in node.inputs if is_constant(graph, name)]
    shape = graph.tensors[node.outputs[0]].shape
    return (
        node.op in _STEPS
        and bool(data)
        and all(graph.tensors[name].shape == shape for name in data)
        and all(graph.constant(name).size == 1 for name in numbers)
    )


def _chain(graph: Graph, last: Node, roots: Roots) -> tuple[str, list[Node]] | None:
    """The tensor and the nodes of the longest chain that ends with ``last``; None if there is none."""
    candidates = roots[last.outputs[0]].difference(last.outputs)
    order = [*graph.inputs, *(node.outputs[0] for node in graph.nodes)]
    roots_in_order = sorted(candidates, key=order.index)
    for root in roots_in_order:
        nodes = _between(graph, root, last)
        if _is_closed(graph, nodes, last):
            return root, nodes
    if roots_in_order and _combines(graph, last):
        return roots_in_order[-1], _between(graph, roots_in_order[-1], last)
    return None


def _combines(graph: Graph, node: Node) -> bool:
    """Whether a node has no form but a table: a product, a quotient, ... of computed tensors."""
    return node.op not in _CHEAP and sum(not is_constant(graph, name) for name in node.inputs) > 1


def _between(graph: Graph, root: str, last: Node) -> list[Node]:
    """What computes ``last`` from ``root``, in order."""
    needed, nodes = {*last.outputs}, []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs):
            nodes.append(node)
            needed.update(name for name in node.inputs if name != root)
    return nodes[::-1]


def _is_closed(graph: Graph, nodes: list[Node], last: Node) -> bool:
    """Whether nobody else sees what is computed on the way."""
    names = {node.name for node in nodes}
    return not any(
        node.outputs[0] in graph.outputs or any(reader.name not in names for reader in graph.consumers(node.outputs[0]))
        for node in nodes
        if node is not last
    )


def _worth(graph: Graph, root: str, nodes: list[Node], *, everything: bool) -> bool:
    if len(nodes) == 1 and len(nodes[0].inputs) == 1:
        return False
    if not everything:
        return not all(node.op in _CHEAP or affine_of(graph, node) is not None for node in nodes)
    if all(node.op in _BOUNDS or is_rescaling(graph, node) for node in nodes):
        return False
    # A table that cannot join the node before costs as much as a convolution, and that can take an add.
    alone = all(any(reader is node for node in nodes) for reader in graph.consumers(root))
    return alone or not all(node.op in _BOUNDS or affine_of(graph, node) is not None for node in nodes)


def _fused(graph: Graph, last: Node, root: str, nodes: list[Node]) -> Graph:
    numbers = dict.fromkeys(name for node in nodes for name in node.inputs if is_constant(graph, name))
    chain = replace(
        last,
        op="Elementwise",
        inputs=(root, *numbers),
        attributes={"steps": tuple(nodes)},
        origin=tuple(op for node in nodes for op in node.origin),
    )
    return rebuild(graph, [chain if node is last else node for node in graph.nodes])
