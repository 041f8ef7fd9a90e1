# SPDX-License-Identifier: Apache-2.0
"""Quantise matrix products of two computed tensors: their zero points are 0, since both are multiplied by the array.

What only such products read has a symmetric range from the start; an operand with other readers gets a copy that has.
"""

from __future__ import annotations

from collections.abc import Mapping

from .ir import Graph, Node, QParams
from .quantise_builder import Builder
from .quantise_movement import operand
from .tie_ranges import keeping_root, keeps_scale

__all__ = ["centre_ranges", "matrix_product_of_two"]

Range = tuple[float, float]


def _read_by_products(graph: Graph, name: str) -> bool:
    """Whether all that is made of a tensor, moved or not, are operands of products."""
    readers = graph.consumers(name)
    alike = (node.op == "MatMul" or keeps_scale(node) and _read_by_products(graph, node.outputs[0]) for node in readers)
    return bool(readers) and name not in graph.outputs and all(alike)


def centre_ranges(graph: Graph, ranges: Mapping[str, Range], bits: int) -> dict[str, Range]:
    """The ranges (low, high) by tensor; what only products of two tensors read has one with a zero point of 0."""
    result = dict(ranges)
    for node in graph.nodes:
        for name in node.inputs if node.op == "MatMul" else ():
            root, _ = keeping_root(graph, name)
            if _read_by_products(graph, root):
                low, high = ranges[root]
                peak = max(-low, high)
                # one integer more below zero than above
                result[root] = -peak * (1 << (bits - 1)) / ((1 << (bits - 1)) - 1), peak
    return result


def matrix_product_of_two(builder: Builder, node: Node) -> None:
    """``MatMul`` of (1, M, K) and (1, K, N) to a ``QMatMul``: the second operand is what the windows bring."""
    turned = bool(node.attributes["transA"])
    left, right = (_centred(builder, node, name) for name in node.inputs)
    scale = builder.params(left).scale * builder.params(right).scale
    params = builder.define(node.outputs[0], builder.factor_scale(scale))
    lo, hi = builder.bounds(node, params)
    attributes = {"factor": scale / params.scale, "lo": lo, "hi": hi, **({"transposed": True} if turned else {})}
    builder.emit(node, "QMatMul", (right, left), attributes)


def _centred(builder: Builder, node: Node, name: str) -> str:
    """An operand whose zero point is 0: itself, or a copy of half its resolution or more."""
    source = operand(builder, node, name)
    params = builder.params(name)
    if params.zero_point == 0:
        return source.name
    reach = max(params.high - params.zero_point, params.zero_point - params.low)
    centred = QParams(params.scale * reach / params.high, 0, params.bits)
    copy = f"{node.name}:{name} about zero"
    if not builder.has(copy):
        builder.inner(node, f"{name} about zero", source.shape, centred)
        bounds = {"lo": centred.low, "hi": centred.high}
        builder.emit(node, "QRequant", (source.name,), {"factor": params.scale / centred.scale, **bounds}, copy)
    return copy
