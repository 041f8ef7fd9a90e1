# SPDX-License-Identifier: Apache-2.0
"""Matrix products of sequences as convolutions and products of two tensors, channels first.

Before: ``MatMul`` of (1, M, K), or (1, 1, M, K), with constant or computed matrices; a constant Add behind it.
After: with a constant right operand a 1 x 1 ``Conv`` between transposes, the Add its bias; with a constant left one a
``Conv`` alone; with none ``MatMul`` of two tensors of rank 3, in which (1, M, K) counts as M channels of K pixels.
Refused: products of more than one pair of matrices. Does not apply to vectors, (batch, K), which are a Gemm's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UnsupportedModel
from ..ir import Graph, Node, Tensor
from .rewrite import is_constant, rebuild
from .transposes import fresh

__all__ = ["EXCHANGE", "spell_products"]

EXCHANGE = (0, 2, 1)
"""The permutation that exchanges the two axes of a matrix behind the batch."""


def spell_products(graph: Graph) -> Graph:
    """The graph with the matrix products of sequences in these forms."""
    for name in [node.name for node in graph.nodes if node.op == "MatMul"]:
        node = next(node for node in graph.nodes if node.name == name)
        if len(graph.tensors[node.outputs[0]].shape) > 2:
            graph = _spelled(graph, node)
    return graph


@dataclass
class _Chain:
    """Collects the nodes that take a node's place, one after the other."""

    graph: Graph
    node: Node
    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)

    def add(
        self,
        op: str,
        role: str,
        inputs: tuple[str, ...],
        size: tuple[int, ...],
        given: Mapping[str, Any] | None = None,
        *,
        output: str = "",
    ) -> str:
        """One more node, of attributes ``given``; the name of its output, of shape ``size``."""
        name = output or fresh(self.graph, f"{self.node.name}:{role}")
        self.tensors[name] = Tensor(name, size)
        label = self.node.name if op in ("Conv", "MatMul") else fresh(self.graph, f"{self.node.name}:{role}:node")
        self.nodes.append(Node(op, label, inputs, (name,), dict(given or {}), self.node.origin))
        return name

    def constant(self, role: str, value: NDArray[Any]) -> str:
        """A constant; its name."""
        name = fresh(self.graph, f"{self.node.name}:{role}")
        self.constants[name] = np.ascontiguousarray(value)
        return name

    def reshape(self, role: str, source: str, shape: tuple[int, ...], output: str = "") -> str:
        """A Reshape."""
        return self.add("Reshape", role, (source,), shape, {"shape": shape}, output=output)

    def turn(self, role: str, source: str, shape: tuple[int, ...], output: str = "") -> str:
        """A Transpose of the two axes behind the batch to ``shape``."""
        return self.add("Transpose", role, (source,), shape, {"perm": EXCHANGE}, output=output)

    def replace_in(self, graph: Graph, gone: tuple[Node, ...]) -> Graph:
        """The graph with these nodes in the place of ``gone``, at the last one's."""
        nodes: list[Node] = []
        for node in graph.nodes:
            if node is gone[-1]:
                nodes += self.nodes
            elif not any(node is other for other in gone):
                nodes.append(node)
        return rebuild(graph.with_(tensors={**graph.tensors, **self.tensors}), nodes, self.constants)


def _shape(graph: Graph, name: str) -> tuple[int, ...]:
    return graph.constant(name).shape if is_constant(graph, name) else graph.tensors[name].shape


def _matrix(graph: Graph, node: Node, name: str) -> tuple[int, int]:
    """Rows and columns of an operand, which must be one matrix."""
    shape = _shape(graph, name)
    if len(shape) < 2 or prod(shape[:-2]) != 1 or not is_constant(graph, name) and len(shape) < 3:
        ranks = " times ".join(str(list(_shape(graph, one))) for one in node.inputs)
        raise UnsupportedModel(
            node=node.name,
            op=node.origin[0],
            problem=f"it multiplies {ranks}",
            accepted="a (batch, K) tensor times a (K, M) constant, or single matrices, (1, M, K) times (1, K, N)",
            advice="split the heads into a MatMul each",
        )
    return shape[-2], shape[-1]


def _spelled(graph: Graph, node: Node) -> Graph:
    (rows, terms), (_, columns) = (_matrix(graph, node, name) for name in node.inputs)
    left, right = (is_constant(graph, name) for name in node.inputs)
    chain = _Chain(graph, node)
    if right and not left:
        return _by_constant(graph, node, chain, (rows, terms, columns))
    inputs = tuple(
        name if is_constant(graph, name) else _flat(graph, chain, role, name)
        for role, name in zip(("left", "right"), node.inputs, strict=True)
    )
    if left:
        weight = chain.constant("weight", graph.constant(node.inputs[0]).reshape(rows, terms, 1, 1))
        whole = _convolved(chain, inputs[1], (weight,), (terms, columns), rows)
    elif _shape(graph, node.outputs[0]) == (1, rows, columns):
        chain.add("MatMul", "product", inputs, (1, rows, columns), output=node.outputs[0])
        return chain.replace_in(graph, (node,))
    else:
        whole = chain.add("MatMul", "product", inputs, (1, rows, columns))
    chain.reshape("result", whole, _shape(graph, node.outputs[0]), node.outputs[0])
    return chain.replace_in(graph, (node,))


def _flat(graph: Graph, chain: _Chain, role: str, name: str) -> str:
    """An operand of rank 3."""
    shape = graph.tensors[name].shape
    return name if len(shape) == 3 else chain.reshape(role, name, (1, *shape[-2:]))


def _convolved(chain: _Chain, source: str, weights: tuple[str, ...], size: tuple[int, int], outputs: int) -> str:
    """A 1 x 1 convolution of (1, K, L); its result (1, outputs, 1, L)."""
    image = chain.reshape("image", source, (1, size[0], 1, size[1]))
    window = {"kernel_shape": (1, 1), "strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": 1}
    return chain.add("Conv", "sums", (image, *weights), (1, outputs, 1, size[1]), window)


def _by_constant(graph: Graph, node: Node, chain: _Chain, sizes: tuple[int, int, int]) -> Graph:
    rows, terms, columns = sizes
    last, bias = _with_bias(graph, node, columns)
    chain.node = replace(node, origin=node.origin if last is node else (*node.origin, *last.origin))
    weights = [chain.constant("weight", graph.constant(node.inputs[1]).reshape(terms, columns).T[:, :, None, None])]
    if bias is not None:
        weights.append(chain.constant("bias", bias))
    turned = chain.turn("turned", _flat(graph, chain, "left", node.inputs[0]), (1, terms, rows))
    sums = _convolved(chain, turned, tuple(weights), (terms, rows), columns)
    line, result = chain.reshape("line", sums, (1, columns, rows)), last.outputs[0]
    whole = _shape(graph, result)
    if len(whole) == 3:
        chain.turn("result", line, whole, result)
    else:
        chain.reshape("result", chain.turn("back", line, (1, rows, columns)), whole, result)
    return chain.replace_in(graph, (node, last) if last is not node else (node,))


def _with_bias(graph: Graph, node: Node, columns: int) -> tuple[Node, NDArray[Any] | None]:
    """The constant Add of one number a column that alone reads the product, and its numbers; else the product."""
    readers = graph.consumers(node.outputs[0])
    if len(readers) != 1 or readers[0].op != "Add" or node.outputs[0] in graph.outputs:
        return node, None
    constants = [graph.constant(name) for name in readers[0].inputs if is_constant(graph, name)]
    size = constants[0].size if constants else 0
    if size != 1 and (size != columns or constants[0].shape[-1] != columns):
        return node, None
    return readers[0], np.broadcast_to(constants[0].reshape(-1), (columns,)).copy()
