# SPDX-License-Identifier: Apache-2.0
"""Write activations with a slope below zero as sums, for engines without tables and for slopes per channel.

Before: ``PRelu`` with a constant slope per channel; with ``scalar`` also ``LeakyRelu`` and ``PRelu`` with a single one.
After: ``slope * min(x, 0) + max(x, 0)``; with one slope between 0 and 1 ``slope * x + (1 - slope) * max(x, 0)``, whose
factors cost nothing.
Does not apply to slopes that are computed or vary along another axis.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..ir import Graph, Node, Tensor
from .affine import per_channel
from .rewrite import is_constant, rebuild

__all__ = ["split_prelu"]

Slope = NDArray[np.float64]


def split_prelu(graph: Graph, *, scalar: bool) -> Graph:
    """The graph without such activations; those with one slope stay unless ``scalar``."""
    for node in graph.nodes:
        slope = _slope(graph, node)
        if slope is not None and (scalar or slope.size > 1):
            graph = _split(graph, node, slope)
    return graph


def _slope(graph: Graph, node: Node) -> Slope | None:
    """The slope, of one element or one per channel; None if the node has none such."""
    if node.op == "LeakyRelu":
        return np.array([node.attributes["alpha"]], np.float64)
    if node.op != "PRelu" or not is_constant(graph, node.inputs[1]) or is_constant(graph, node.inputs[0]):
        return None
    shape = graph.tensors[node.outputs[0]].shape
    return per_channel(graph.constant(node.inputs[1]), shape) if len(shape) > 1 else None


def _split(graph: Graph, node: Node, slope: Slope) -> Graph:
    x, shape = node.inputs[0], graph.tensors[node.inputs[0]].shape
    positive, left, right = (f"{node.name}:{part}" for part in ("positive", "left", "right"))
    relu = Node("Relu", positive, (x,), (positive,), {}, node.origin)
    if slope.size == 1 and 0 < slope[0] < 1:
        terms = {left: (x, slope), right: (positive, 1 - slope)}
        parts = (relu, *(_scaled(node, term, source) for term, (source, _) in terms.items()))
    else:
        negative = f"{node.name}:negative"
        terms = {left: (negative, slope)}
        right = positive
        clip = Node("Clip", negative, (x,), (negative,), {"min": -math.inf, "max": 0.0}, node.origin)
        parts = (relu, clip, _scaled(node, left, negative))
    tensors = {**graph.tensors, **{part.outputs[0]: Tensor(part.outputs[0], shape) for part in parts}}
    total = replace(node, op="Add", inputs=(left, right), attributes=_bounds(node))
    order = [part for other in graph.nodes for part in ((*parts, total) if other is node else (other,))]
    constants = {f"{term}_factor": _constant(value, shape) for term, (_, value) in terms.items()}
    return rebuild(graph.with_(tensors=tensors), order, constants)


def _scaled(node: Node, term: str, source: str) -> Node:
    return Node("Mul", term, (source, f"{term}_factor"), (term,), {}, node.origin)


def _constant(value: Slope, shape: tuple[int, ...]) -> NDArray[np.float32]:
    return value.astype(np.float32).reshape(1, -1, *(1,) * (len(shape) - 2))


def _bounds(node: Node) -> dict[str, float]:
    return {key: value for key, value in node.attributes.items() if key in ("lower", "upper")}
