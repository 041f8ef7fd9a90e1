# SPDX-License-Identifier: Apache-2.0
"""Where each node of a model runs, and how many multiply-accumulates it has."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import onnx

from systolith.compiler.borders import HOST_OPERATORS
from systolith.compiler.frontend.fold import static_shapes
from systolith.compiler.frontend.operators import node_name
from systolith.compiler.ir import Graph, Node

__all__ = ["PLACES", "macs_of", "owner", "places"]

PLACES = {
    "engine": "a layer of the program",
    "table": "a table of function values",
    "folded": "part of a layer, or computed at import",
    "host": "the host, after the run",
    "refused": "see the problems",
    "unexamined": "cannot be judged before the problems around it are solved",
}
"""Where a node can run, and what that means."""

_HOST = (*HOST_OPERATORS, "QLinearSoftmax")
"""Operators that only the host computes."""


def macs_of(model: onnx.ModelProto) -> Counter[str]:
    """Multiply-accumulates by node, padding taps included; zero for nodes without weights or without known shapes.

    ``model`` has standard operators and inferred shapes.
    """
    shapes = static_shapes(model)
    counts: Counter[str] = Counter()
    for node in model.graph.node:
        # the quantiser that a layer of the QOperator dialect became has the layer's name too
        counts[node_name(node)] += _macs(node, shapes)
    return counts


def _macs(node: onnx.NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> int:
    if node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
        return 0
    names = (*node.input[:2], node.output[0])
    if any(name not in shapes for name in names):
        return 0
    left, right, result = (shapes[name] for name in names)
    if node.op_type == "Conv":
        return math.prod(result) * math.prod(right[1:])
    if node.op_type == "ConvTranspose":
        return math.prod(left) * math.prod(right[1:])
    transposed = any(entry.name == "transA" and entry.i for entry in node.attribute)
    return math.prod(result) * (left[0] if transposed else left[-1])


def owner(name: str, nodes: Collection[str]) -> str | None:
    """The node that ``name`` stands for, or for a part of: parts have its name and, behind a colon, one of their own.

    Names of nodes may have colons themselves, so that the longest that fits is meant.
    """
    while name not in nodes:
        name, colon, _ = name.rpartition(":")
        if not colon:
            return None
    return name


def places(
    nodes: Sequence[onnx.NodeProto], network: Graph | None, refused: Collection[str], unknown: Collection[str]
) -> list[str]:
    """A key of :data:`PLACES` for each node.

    Args:
        nodes: of the model as it was read, with names of their own.
        network: the integer network of what is left of the model; None if nothing is.
        refused: names of nodes with problems.
        unknown: names of nodes that were cut with them.
    """
    names = {node_name(node) for node in nodes}
    at_fault, lost = ({owner(name, names) for name in group} for group in (refused, unknown))
    made: dict[str | None, list[Node]] = {}
    for one in network.nodes if network else ():
        made.setdefault(owner(one.name, names), []).append(one)

    def place(node: onnx.NodeProto) -> str:
        name = node_name(node)
        if name in at_fault:
            return "refused"
        if network is None or name in lost:
            return "unexamined"
        return _place(node, network, made.get(name, []))

    return [place(node) for node in nodes]


def _place(node: onnx.NodeProto, network: Graph, made: Sequence[Node]) -> str:
    """Where a node runs that became these nodes of the network, Views among them."""
    if node.op_type in _HOST:
        return "host"
    own = {one.op for one in made} - {"View"}
    if own:
        return "table" if "QTable" in own else "engine"
    return "table" if any(_in_table(one, node.op_type) for one in network.nodes) else "folded"


def _in_table(node: Node, op: str) -> bool:
    """Whether an operator went into the table behind a layer."""
    return "table" in node.attributes and op in node.origin[1:]
