# SPDX-License-Identifier: Apache-2.0
"""Subtract by adding the negative.

Before: ``Sub`` of two computed tensors.
After: ``Mul`` of the second by -1, and ``Add``; the factor then goes into the layer before, or becomes one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..ir import Graph, Node, Tensor
from .rewrite import is_constant, rebuild

__all__ = ["split_sub"]


def split_sub(graph: Graph) -> Graph:
    """The graph without subtractions of tensors."""
    for node in graph.nodes:
        if node.op == "Sub" and not any(is_constant(graph, name) for name in node.inputs):
            graph = _split(graph, node)
    return graph


def _split(graph: Graph, node: Node) -> Graph:
    first, second = node.inputs
    negative, factor = f"{node.name}:negative", f"{node.name}:minus_one"
    negate = Node("Mul", negative, (second, factor), (negative,), {}, node.origin)
    add = replace(node, op="Add", inputs=(first, negative))
    tensors = {**graph.tensors, negative: Tensor(negative, graph.tensors[second].shape)}
    order = [part for other in graph.nodes for part in ((negate, add) if other is node else (other,))]
    return rebuild(graph.with_(tensors=tensors), order, {factor: np.array(-1.0, np.float32)})
