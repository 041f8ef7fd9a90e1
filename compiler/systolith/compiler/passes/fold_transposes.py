# SPDX-License-Identifier: Apache-2.0
"""Fold a Transpose in front of a flattened map's matrix product into the weights.

Before: ``Transpose -> Reshape to (batch, K) -> Gemm`` or ``MatMul`` with weights that are constant, or constant codes
behind a DequantizeLinear with scales per output or one for all; networks in NHWC have it. Quantisers of one scale may
lie between Reshape and product.
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
from .transposes import QUANTISERS, fresh, inverse, source_of

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
    reshape, *between = _flattening(graph, node) or (None,)
    stored = _stored(graph, node) if reshape is not None else None
    if reshape is None or stored is None:
        return None
    found, flat = source_of(graph, reshape.inputs[0]), graph.tensors[reshape.outputs[0]].shape
    if found is None or found[1][0] != 0 or len(flat) != 2 or node.attributes.get("transA", False):
        return None
    source, perm = found
    label = fresh(graph, f"{stored}:{node.name}")
    weight = _weight(graph.constant(stored), node, graph.tensors[reshape.inputs[0]].shape[1:], perm)
    tensors, new, tensor = dict(graph.tensors), list[Node](), source
    for part in (reshape, *between):
        own = _copy(graph, part, tensor, node)
        tensor = own.outputs[0]
        tensors[tensor] = Tensor(tensor, flat)
        new.append(own)
    operand = label
    if stored != node.inputs[1]:
        operand = fresh(graph, f"{node.inputs[1]}:{node.name}")
        tensors[operand] = Tensor(operand, graph.tensors[node.inputs[1]].shape)
        new.append(_dequantiser(graph, node, label, operand))
    new.append(replace(node, inputs=(tensor, operand, *node.inputs[2:])))
    nodes = [part for other in graph.nodes for part in (new if other is node else (other,))]
    return rebuild(graph.with_(tensors=tensors), nodes, {label: weight})


def _flattening(graph: Graph, node: Node) -> list[Node] | None:
    """The Reshape in front of a product, and the quantisers between the two; None if there is no such."""
    found: list[Node] = []
    name = node.inputs[0] if node.op in ("Gemm", "MatMul") else ""
    while (producer := graph.producer(name)) is not None:
        found.insert(0, producer)
        if producer.op == "Reshape":
            return found
        if producer.op not in QUANTISERS or not all(_is_number(graph, one) for one in producer.inputs[1:]):
            return None
        name = producer.inputs[0]
    return None


def _is_number(graph: Graph, name: str) -> bool:
    return is_constant(graph, name) and graph.constant(name).size == 1


def _copy(graph: Graph, node: Node, source: str, product: Node) -> Node:
    """What lies in front of a product, on another operand and under another name: others may read the old result."""
    name, result = (fresh(graph, f"{label}:{product.name}") for label in (node.name, node.outputs[0]))
    return replace(node, name=name, inputs=(source, *node.inputs[1:]), outputs=(result,))


def _stored(graph: Graph, node: Node) -> str | None:
    """The constant that holds a product's weights; None if there is none whose inputs can be reordered."""
    name = node.inputs[1]
    if is_constant(graph, name):
        return name
    producer = graph.producer(name)
    if producer is None or producer.op != "DequantizeLinear" or not is_constant(graph, producer.inputs[0]):
        return None
    outputs = 0 if node.attributes.get("transB", False) else 1
    scales = graph.constant(producer.inputs[1]).size if is_constant(graph, producer.inputs[1]) else 0
    return producer.inputs[0] if scales == 1 or (scales and producer.attributes["axis"] == outputs) else None


def _dequantiser(graph: Graph, node: Node, codes: str, result: str) -> Node:
    """The weights' DequantizeLinear on other codes."""
    old = graph.producer(node.inputs[1])
    if old is None:
        raise KeyError(node.inputs[1])
    name = fresh(graph, f"{old.name}:{node.name}")
    return replace(old, name=name, inputs=(codes, *old.inputs[1:]), outputs=(result,))


def _weight(stored: NDArray[Any], node: Node, sizes: tuple[int, ...], perm: tuple[int, ...]) -> NDArray[Any]:
    """The weights for the operand's order; they are stored for that of the Transpose's result, of ``sizes``."""
    turned = node.attributes.get("transB", False)
    rows = stored.T if turned else stored
    order = (*(axis - 1 for axis in inverse(perm)[1:]), len(sizes))
    moved = rows.reshape(*sizes, rows.shape[1]).transpose(order).reshape(rows.shape)
    return np.ascontiguousarray(moved.T if turned else moved)
