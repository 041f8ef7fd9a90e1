# SPDX-License-Identifier: Apache-2.0
"""Fold a Transpose in front of a flattened map's matrix product into the weights.

Before: ``Transpose -> Reshape to (batch, K) -> Gemm`` or ``MatMul`` with constant weights, as networks in NHWC have it.
After: ``Reshape -> Gemm`` with the weights' inputs in the order of the operand before the Transpose.
Does not apply where another operator reads the flattened map: that keeps its own Transpose and Reshape.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..ir import Graph, Node, Tensor
from .rewrite import is_constant, rebuild
from .transposes import fresh, inverse, source_of

__all__ = ["fold_transposes"]


def fold_transposes(graph: Graph) -> Graph:
    """The graph with the transposes in front of flattened maps inside the weights."""
    while True:
        changed = next((new for node in graph.nodes if (new := _folded(graph, node)) is not None), None)
        if changed is None:
            return graph
        graph = changed


def _folded(graph: Graph, node: Node) -> Graph | None:
    """The graph with one product on the flattened operand of the Transpose."""
    reshape = graph.producer(node.inputs[0]) if node.op in ("Gemm", "MatMul") else None
    if reshape is None or reshape.op != "Reshape" or not is_constant(graph, node.inputs[1]):
        return None
    found, flat = source_of(graph, reshape.inputs[0]), graph.tensors[reshape.outputs[0]].shape
    if found is None or found[1][0] != 0 or len(flat) != 2 or node.attributes.get("transA", False):
        return None
    source, perm = found
    label, tensor = fresh(graph, f"{node.inputs[1]}:{node.name}"), fresh(graph, f"{node.inputs[0]}:{node.name}")
    weight = _weight(graph, node, graph.tensors[reshape.inputs[0]].shape[1:], perm)
    early = replace(reshape, name=fresh(graph, f"{reshape.name}:{node.name}"), inputs=(source,), outputs=(tensor,))
    late = replace(node, inputs=(tensor, label, *node.inputs[2:]))
    nodes = [part for other in graph.nodes for part in ((early, late) if other is node else (other,))]
    tensors = {**graph.tensors, tensor: Tensor(tensor, flat)}
    return rebuild(graph.with_(tensors=tensors), nodes, {label: weight})


def _weight(graph: Graph, node: Node, sizes: tuple[int, ...], perm: tuple[int, ...]) -> NDArray[Any]:
    """The weights for the operand's order; they are stored for that of the Transpose's result, of ``sizes``."""
    turned = node.attributes.get("transB", False)
    rows = graph.constant(node.inputs[1])
    rows = rows.T if turned else rows
    order = (*(axis - 1 for axis in inverse(perm)[1:]), len(sizes))
    moved = rows.reshape(*sizes, rows.shape[1]).transpose(order).reshape(rows.shape)
    return np.ascontiguousarray(moved.T if turned else moved)
