# SPDX-License-Identifier: Apache-2.0
"""Move a Transpose of an input in front of a reshape that only adds axes, so that the input can absorb it.

Before: ``input -> Reshape (of axes of one element) -> Transpose``, as sequences from Keras have it.
After: ``input -> Transpose -> Reshape``.
Does not apply where the Transpose moves nothing but axes of one element, or the reshaped input has other readers.
"""

from __future__ import annotations

from dataclasses import replace

from ..ir import Graph, Node, Tensor
from .rewrite import fusable_producer, rebuild
from .transposes import permuted, renumbered

__all__ = ["hoist_transposes"]


def hoist_transposes(graph: Graph) -> Graph:
    """The graph with the transposes of reshaped inputs in front of the reshapes."""
    for node in graph.nodes:
        reshape = fusable_producer(graph, node.inputs[0], ("Reshape",)) if node.op == "Transpose" else None
        if reshape is not None and reshape.inputs[0] in graph.inputs:
            graph = _swapped(graph, reshape, node) or graph
    return graph


def _swapped(graph: Graph, reshape: Node, transpose: Node) -> Graph | None:
    """The graph with the two in the other order; the tensor between them keeps its name."""
    source, between, result = reshape.inputs[0], reshape.outputs[0], transpose.outputs[0]
    shape = graph.tensors[source].shape
    places = renumbered(shape, graph.tensors[between].shape)
    if places is None:
        return None
    kept = [place for place in permuted(places, tuple(transpose.attributes["perm"])) if place is not None]
    if kept == sorted(kept) or kept[0] != 0:
        return None
    ones = [axis for axis in range(len(shape)) if axis not in kept]
    perm = (kept[0], *ones, *kept[1:])
    early = replace(transpose, inputs=(source,), outputs=(between,), attributes={"perm": perm})
    late = replace(reshape, inputs=(between,), outputs=(result,), attributes={"shape": graph.tensors[result].shape})
    tensors = {**graph.tensors, between: Tensor(between, permuted(shape, perm))}
    swap = {id(reshape): early, id(transpose): late}
    return rebuild(graph.with_(tensors=tensors), [swap.get(id(node), node) for node in graph.nodes])
