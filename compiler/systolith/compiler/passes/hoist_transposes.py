# SPDX-License-Identifier: Apache-2.0
"""Move a Transpose up to the network input it belongs to, so that the input can absorb it.

Before: ``input -> operators on every element, or reshapes that only add axes -> Transpose``, as networks from Keras
have it (scaling of the pixels, quantisation of the input, sequences).
After: ``input -> Transpose -> the same operators``, their constants and axes transposed.
Does not apply where one of the tensors in between, or the input, has other readers, where nothing is moved but axes of
one element, or where the input's shape would stay the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..elementwise import BINARY, UNARY
from ..ir import Graph, Node, Tensor
from .rewrite import fusable_producer, is_constant, rebuild
from .transposes import QUANTISERS, fresh, permuted, renumbered, transpose_node

__all__ = ["hoist_transposes"]

_OPERATORS = (*UNARY, *BINARY, *QUANTISERS, "Clip", "Identity", "Relu", "Reshape")

Perm = tuple[int, ...]
Constants = dict[str, NDArray[Any]]


def hoist_transposes(graph: Graph) -> Graph:
    """The graph with transposes directly behind the inputs that only they depend on."""
    for node in graph.nodes:
        # what an earlier move has rewritten waits for the next run
        if node.op == "Transpose" and any(node is other for other in graph.nodes):
            graph = _hoisted(graph, node) or graph
    return graph


def _chain(graph: Graph, name: str) -> list[Node] | None:
    """The operators between an input and ``name``, the last one first; None if there are none or they are shared."""
    chain: list[Node] = []
    while name not in graph.inputs:
        node = fusable_producer(graph, name, _OPERATORS)
        data = [] if node is None else [item for item in node.inputs if not is_constant(graph, item)]
        if node is None or len(data) != 1:
            return None
        chain.append(node)
        name = data[0]
    alone = len(graph.consumers(name)) == 1 and name not in graph.outputs
    return chain if chain and alone else None


def _hoisted(graph: Graph, transpose: Node) -> Graph | None:
    """The graph with one Transpose in front of its chain; tensors in between keep their names."""
    chain = _chain(graph, transpose.inputs[0])
    if chain is None or transpose.outputs[0] in graph.outputs:
        return None
    perm: Perm = tuple(transpose.attributes["perm"])
    constants: Constants = {}
    tensors = dict(graph.tensors)
    new: dict[str, Node] = {}
    for node in chain:
        tensors[node.outputs[0]] = Tensor(node.outputs[0], permuted(graph.tensors[node.outputs[0]].shape, perm))
        moved = _moved(graph, node, perm, constants)
        if moved is None:
            return None
        new[node.name], perm = moved
    shape = graph.tensors[next(name for name in chain[-1].inputs if not is_constant(graph, name))].shape
    if permuted(shape, perm) == shape:
        return None
    return _assembled(graph.with_(tensors=tensors), transpose, chain, new, perm, constants)


def _assembled(
    graph: Graph, transpose: Node, chain: Sequence[Node], new: dict[str, Node], perm: Perm, constants: Constants
) -> Graph:
    """The Transpose makes a tensor of its own for the chain's first operator, its readers read the chain's last."""
    source = next(name for name in chain[-1].inputs if not is_constant(graph, name))
    early = fresh(graph, f"{source}:{transpose.name}")
    first = transpose_node(transpose.name, source, early, perm, transpose.origin)
    names = {transpose.outputs[0]: chain[0].outputs[0]}
    new[chain[-1].name] = _reading(new[chain[-1].name], {source: early})
    nodes = [first]
    nodes += [_reading(new.get(node.name, node), names) for node in graph.nodes if node is not transpose]
    tensors = {**graph.tensors, early: Tensor(early, permuted(graph.tensors[source].shape, perm))}
    return rebuild(graph.with_(tensors=tensors), nodes, constants)


def _reading(node: Node, names: dict[str, str]) -> Node:
    return replace(node, inputs=tuple(names.get(name, name) for name in node.inputs))


def _moved(graph: Graph, node: Node, perm: Perm, constants: Constants) -> tuple[Node, Perm] | None:
    """An operator behind the Transpose instead of in front, and the permutation of its operand; None if it cannot."""
    data = next(name for name in node.inputs if not is_constant(graph, name))
    shape, result = graph.tensors[data].shape, graph.tensors[node.outputs[0]].shape
    if node.op == "Reshape":
        return _reshape(node, shape, result, perm)
    if len(shape) != len(perm):
        return None
    if node.op in QUANTISERS:
        return replace(node, attributes={**node.attributes, "axis": perm.index(node.attributes["axis"])}), perm
    return replace(node, inputs=tuple(_operand(graph, name, perm, constants) for name in node.inputs)), perm


def _operand(graph: Graph, name: str, perm: Perm, constants: Constants) -> str:
    if not is_constant(graph, name) or graph.constant(name).size == 1:
        return name
    value = graph.constant(name)
    label = fresh(graph, f"{name}:{''.join(map(str, perm))}")
    constants[label] = np.transpose(value.reshape((1,) * (len(perm) - value.ndim) + value.shape), perm)
    return label


def _reshape(node: Node, shape: tuple[int, ...], result: tuple[int, ...], perm: Perm) -> tuple[Node, Perm] | None:
    """Axes of one element that the result lacks stay behind the batch."""
    places = renumbered(shape, result)
    if places is None:
        return None
    kept = [place for place in permuted(places, perm) if place is not None]
    if kept == sorted(kept) or kept[0] != 0:
        return None
    ones = [axis for axis in range(len(shape)) if axis not in kept]
    early = (kept[0], *ones, *kept[1:])
    return replace(node, attributes={"shape": permuted(result, perm)}), early
