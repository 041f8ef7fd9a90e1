# SPDX-License-Identifier: Apache-2.0
"""Fuse a table into the node before it (integer level).

Before: a ``QConv`` (with or without residual), ``QAdd``, ``QMul``, ``QPool``, ``QRequant`` or ``QTable``, with or
without a table already, whose result only a ``QTable`` reads.
After: the node before with ``table``, and ``inner``: what its own integers meant. Two tables become one.
Does not apply to a result that is a graph output or has another reader.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..ir import Graph, Node, QParams
from .rewrite import fusable_producer, rebuild

__all__ = ["fuse_table"]

_PRODUCERS = ("QAdd", "QConv", "QMatMul", "QMul", "QPool", "QRequant", "QTable")


def fuse_table(graph: Graph) -> Graph:
    """The graph with every table that can be at the end of another node there."""
    for name in [node.name for node in graph.nodes if node.op == "QTable"]:
        node = next(node for node in graph.nodes if node.name == name)
        producer = fusable_producer(graph, node.inputs[0], _PRODUCERS)
        if producer is not None:
            graph = _fused(graph, producer, node)
    return graph


def _fused(graph: Graph, producer: Node, table: Node) -> Graph:
    """The producer makes the table's output; it keeps its own place in the order."""
    between = graph.tensors[producer.outputs[0]].qparams
    if between is None:
        raise KeyError(producer.outputs[0])
    name = f"{table.name}:fused"
    value = _combined(graph, producer, table, between)
    attributes = {**producer.attributes, "table": name}
    if producer.op != "QTable":
        attributes.setdefault("inner", between)
    origin = (*producer.origin, *table.origin)
    fused = replace(producer, outputs=table.outputs, attributes=attributes, origin=origin)
    nodes = [fused if node is producer else node for node in graph.nodes if node is not table]
    return rebuild(graph, nodes, {name: value})


def _combined(graph: Graph, producer: Node, table: Node, between: QParams) -> NDArray[Any]:
    """The table's entries, for what comes into the producer's table if it has one."""
    entries = graph.constant(table.attributes["table"])
    if "table" not in producer.attributes:
        return entries
    first = graph.constant(producer.attributes["table"])
    return np.asarray(entries[first - between.low])
