# SPDX-License-Identifier: Apache-2.0
"""Fuse an Add of a constant into the layer before.

Before: ``Conv -> Add(constant)`` or ``Gemm -> Add(constant)``, one number per channel (or one for all).
After: the layer with the sum in its bias.
Does not apply where the constant varies along another axis, or the layer's result has other readers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..ir import Graph, Node
from .rewrite import fusable_producer, is_constant, rebuild

__all__ = ["fuse_bias"]


def fuse_bias(graph: Graph) -> Graph:
    """The graph with constant adds inside the layers they follow."""
    for node in graph.nodes:
        found = _match(graph, node)
        if found is not None:
            graph = _fused(graph, node, *found)
    return graph


def _match(graph: Graph, add: Node) -> tuple[Node, NDArray[Any]] | None:
    """The layer before an Add and what is added per channel."""
    if add.op != "Add":
        return None
    data = next((name for name in add.inputs if not is_constant(graph, name)), None)
    value = next((graph.constant(name) for name in add.inputs if is_constant(graph, name)), None)
    if data is None or value is None:
        return None
    layer = fusable_producer(graph, data, ("Conv", "Gemm"))
    bias = _per_channel(value, graph.tensors[data].shape)
    return None if layer is None or bias is None else (layer, bias)


def _per_channel(value: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any] | None:
    """A constant as one number per channel; None if it varies along another axis or enlarges the tensor."""
    if value.ndim > len(shape):
        return None
    full = (1,) * (len(shape) - value.ndim) + value.shape
    if full[1] not in (1, shape[1]) or any(size != 1 for axis, size in enumerate(full) if axis != 1):
        return None
    return np.broadcast_to(value.reshape(-1), (shape[1],))


def _fused(graph: Graph, add: Node, layer: Node, bias: NDArray[Any]) -> Graph:
    name = f"{layer.name}:{add.name}:bias"
    total = bias + graph.constant(layer.inputs[2]) if len(layer.inputs) > 2 else bias.copy()
    origin = layer.origin + add.origin
    fused = replace(layer, inputs=(*layer.inputs[:2], name), outputs=add.outputs, origin=origin)
    # The layer moves to the Add's place: its constant operands are known anywhere, its input came earlier.
    return rebuild(graph, [fused if node is add else node for node in graph.nodes if node is not layer], {name: total})
