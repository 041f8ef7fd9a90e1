# SPDX-License-Identifier: Apache-2.0
"""Write elementwise operators as those that layers can take in: scaling, shifting and bounds.

Before: ``HardSigmoid``; ``Max`` or ``Min`` of a tensor and one number; ``Max`` of a tensor and a share of it.
After: ``Mul``, ``Add`` and ``Clip`` by numbers; ``Clip`` with one bound; ``LeakyRelu``.
Does not apply to a ``Max`` or ``Min`` with a constant of several elements, or that changes the shape.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..ir import Graph, Node, Tensor
from .affine import affine_of, is_rescaling
from .rewrite import is_constant, rebuild

__all__ = ["spell_out"]


def spell_out(graph: Graph) -> Graph:
    """The graph with these operators in parts."""
    for node in graph.nodes:
        if node.op == "HardSigmoid":
            graph = _hard_sigmoid(graph, node)
        elif node.op in ("Max", "Min"):
            graph = _limit(_leaky(graph, node), node)
    return graph


def _hard_sigmoid(graph: Graph, node: Node) -> Graph:
    parts = {f"{node.name}:alpha": node.attributes["alpha"], f"{node.name}:beta": node.attributes["beta"]}
    (alpha, beta), scaled, shifted = parts, f"{node.outputs[0]}:scaled", f"{node.outputs[0]}:shifted"
    nodes = (
        Node("Mul", f"{node.name}:scale", (node.inputs[0], alpha), (scaled,), {}, node.origin),
        Node("Add", f"{node.name}:shift", (scaled, beta), (shifted,), {}, node.origin),
        replace(node, op="Clip", inputs=(shifted,), attributes={**_bounds(node), "min": 0.0, "max": 1.0}),
    )
    shape = graph.tensors[node.inputs[0]].shape
    tensors = {**graph.tensors, scaled: Tensor(scaled, shape), shifted: Tensor(shifted, shape)}
    constants: dict[str, NDArray[Any]] = {name: np.array(value, np.float32) for name, value in parts.items()}
    order = [part for other in graph.nodes for part in (nodes if other is node else (other,))]
    return rebuild(graph.with_(tensors=tensors), order, constants)


def _bounds(node: Node) -> dict[str, float]:
    return {key: node.attributes[key] for key in ("lower", "upper") if key in node.attributes}


def _leaky(graph: Graph, node: Node) -> Graph:
    for x, other in (node.inputs, node.inputs[::-1]) if node.op == "Max" else ():
        share = graph.producer(other)
        affine = None if share is None else affine_of(graph, share)
        if share is None or affine is None or affine.source != x or not is_rescaling(graph, share):
            continue
        if affine.factor[0] < 1:
            attributes = {**_bounds(node), "alpha": float(affine.factor[0])}
            leaky = replace(node, op="LeakyRelu", inputs=(x,), attributes=attributes)
            return rebuild(graph, [leaky if part is node else part for part in graph.nodes])
    return graph


def _limit(graph: Graph, node: Node) -> Graph:
    data = [name for name in node.inputs if not is_constant(graph, name)]
    numbers = [graph.constant(name) for name in node.inputs if is_constant(graph, name)]
    if len(data) != 1 or len(numbers) != 1 or numbers[0].size != 1:
        return graph
    if graph.tensors[data[0]].shape != graph.tensors[node.outputs[0]].shape:
        return graph
    number = float(numbers[0].reshape(()))
    ends = {"min": number, "max": math.inf} if node.op == "Max" else {"min": -math.inf, "max": number}
    clip = replace(node, op="Clip", inputs=(data[0],), attributes={**_bounds(node), **ends})
    return rebuild(graph, [clip if other is node else other for other in graph.nodes])
