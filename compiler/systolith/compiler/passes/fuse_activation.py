# SPDX-License-Identifier: Apache-2.0
"""Fuse Relu and Clip into the node before, as bounds of its result.

Before: ``Conv -> Relu``, ``Add -> Clip(0, 6)``, also several in a row.
After: the producer with attributes ``lower`` and ``upper``: its result is clamped to them.
Does not apply where the producer's result has other readers, is a graph output, or is a graph input, nor to products
with a constant, which have other places to go.
"""

from __future__ import annotations

import math
from dataclasses import replace

from ..ir import Graph, Node
from .rewrite import fusable_producer, is_constant, rebuild

__all__ = ["Bounds", "activation_bounds", "bounds_of", "fuse_activation", "limited"]

Bounds = tuple[float, float]
"""Lower and upper end of a clamp, infinite where there is none."""

_PRODUCERS = ("Add", "AveragePool", "Clip", "Conv", "ConvTranspose", "Gemm", "MatMul", "MaxPool", "Mul", "Relu")


def fuse_activation(graph: Graph) -> Graph:
    """The graph with activations as bounds of the nodes they follow."""
    while True:
        found = next((pair for node in graph.nodes if (pair := _pair(graph, node))), None)
        if found is None:
            return graph
        graph = _fused(graph, *found)


def bounds_of(node: Node) -> Bounds:
    """What is fused into a node as bounds of its result."""
    return node.attributes.get("lower", -math.inf), node.attributes.get("upper", math.inf)


def activation_bounds(node: Node) -> Bounds:
    """What a node's result is clamped to: by its own operator and by what is fused into it."""
    own = {
        "Relu": (0.0, math.inf),
        "Clip": (node.attributes.get("min", -math.inf), node.attributes.get("max", math.inf)),
    }
    return limited(own.get(node.op, (-math.inf, math.inf)), bounds_of(node))


def limited(first: Bounds, second: Bounds) -> Bounds:
    """One clamp that does the work of two."""
    low, high = second
    return min(max(first[0], low), high), min(max(first[1], low), high)


def _pair(graph: Graph, node: Node) -> tuple[Node, Node] | None:
    if node.op not in ("Relu", "Clip"):
        return None
    producer = fusable_producer(graph, node.inputs[0], _PRODUCERS)
    if producer is None or producer.op == "Mul" and any(is_constant(graph, name) for name in producer.inputs):
        return None
    return producer, node


def _fused(graph: Graph, producer: Node, activation: Node) -> Graph:
    lower, upper = limited(activation_bounds(producer), activation_bounds(activation))
    fused = replace(
        producer,
        outputs=activation.outputs,
        attributes={**producer.attributes, "lower": lower, "upper": upper},
        origin=producer.origin + activation.origin,
    )
    return rebuild(graph, [fused if node is activation else node for node in graph.nodes if node is not producer])
