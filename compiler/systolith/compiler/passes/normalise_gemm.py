# SPDX-License-Identifier: Apache-2.0
"""One form for matrix products with constant weights.

Before: ``Gemm`` with any alpha, beta, transB and C; ``MatMul`` of a vector with a constant matrix.
After: ``Gemm`` with inputs ``(x, weight, bias)``, weight (O, I), bias (O), ``alpha = beta = 1``, ``transB`` set.
Refused: computed weights, transA (of more than one element), C that is not one bias per output.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UnsupportedModel
from ..ir import Graph, Node
from .rewrite import is_constant, rebuild

__all__ = ["normalise_gemm"]

Arrays = dict[str, NDArray[Any]]


def normalise_gemm(graph: Graph) -> Graph:
    """The graph with every matrix product in the one form."""
    constants: Arrays = {}
    nodes = [_rewritten(graph, node, constants) if _is_of_vectors(graph, node) else node for node in graph.nodes]
    return rebuild(graph, nodes, constants)


def _is_of_vectors(graph: Graph, node: Node) -> bool:
    """Whether a node is a Gemm or to become one: a product of two computed matrices is not."""
    one = any(is_constant(graph, name) for name in node.inputs) or len(graph.tensors[node.outputs[0]].shape) == 2
    return node.op == "Gemm" or node.op == "MatMul" and one


def _rewritten(graph: Graph, node: Node, constants: Arrays) -> Node:
    _check(graph, node)
    weight, bias = _weight(graph, node), _bias(graph, node)
    names = (f"{node.name}:weight", f"{node.name}:bias")
    constants |= dict(zip(names, (weight, bias), strict=True))
    attributes = {**node.attributes, "alpha": 1.0, "beta": 1.0, "transA": False, "transB": True}
    return replace(node, op="Gemm", inputs=(node.inputs[0], *names), attributes=attributes)


def _refuse(node: Node, problem: str, accepted: str) -> UnsupportedModel:
    return UnsupportedModel(node=node.name, op=node.origin[0], problem=problem, accepted=accepted)


def _check(graph: Graph, node: Node) -> None:
    if is_constant(graph, node.inputs[0]) or not is_constant(graph, node.inputs[1]):
        raise _refuse(node, "its second operand is computed by the network", "activations times constant weights")
    shape, weight = graph.tensors[node.inputs[0]].shape, graph.constant(node.inputs[1])
    if len(shape) != 2 or weight.ndim != 2:
        ranks = f"{list(shape)} times {list(weight.shape)}"
        raise _refuse(node, f"it multiplies {ranks}", "a (batch, K) tensor times a (K, M) constant; flatten it first")
    if node.attributes.get("transA", False) and max(shape) > 1:
        raise _refuse(node, "transA 1 transposes the activations", "transA 0")


def _weight(graph: Graph, node: Node) -> NDArray[Any]:
    stored = graph.constant(node.inputs[1])
    weight = stored if node.attributes.get("transB", False) else stored.T
    return np.ascontiguousarray(weight * weight.dtype.type(node.attributes.get("alpha", 1.0)))


def _bias(graph: Graph, node: Node) -> NDArray[Any]:
    outputs = graph.tensors[node.outputs[0]].shape[1]
    if len(node.inputs) < 3:
        return np.zeros(outputs, np.float32)
    if not is_constant(graph, node.inputs[2]):
        raise _refuse(node, f"C ({node.inputs[2]!r}) is computed by the network", "a constant bias; use a separate Add")
    value = graph.constant(node.inputs[2])
    scaled = value * value.dtype.type(node.attributes.get("beta", 1.0))
    return np.broadcast_to(scaled, (1, outputs)).reshape(outputs).copy()
