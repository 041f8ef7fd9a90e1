# SPDX-License-Identifier: Apache-2.0
"""Make layers of the scaling and shifting by constants that no layer takes in.

Before: ``Mul``, ``Div``, ``Add`` or ``Sub`` with a constant per channel, ``Neg`` or ``BatchNormalization``.
After: a depthwise 1 x 1 ``Conv``; around it ``Reshape`` where the tensor is (N, C).
Does not apply to multiplication by one positive number, which only changes the tensor's scale, nor to other ranks.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..ir import Graph, Node, Tensor
from .affine import Affine, affine_of, is_rescaling
from .rewrite import rebuild

__all__ = ["affine_to_conv"]

_POINT = {"kernel_shape": (1, 1), "strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}


def affine_to_conv(graph: Graph) -> Graph:
    """The graph with these operators as convolutions."""
    for node in graph.nodes:
        affine = affine_of(graph, node)
        if affine is None or is_rescaling(graph, node) or len(graph.tensors[node.outputs[0]].shape) not in (2, 4):
            continue
        graph = _replaced(graph, node, affine)
    return graph


def _replaced(graph: Graph, node: Node, affine: Affine) -> Graph:
    channels = len(affine.factor)
    constants: dict[str, NDArray[Any]] = {
        f"{node.name}:weight": affine.factor.reshape(-1, 1, 1, 1).astype(np.float32),
        f"{node.name}:bias": affine.offset.astype(np.float32),
    }
    bounds = {key: value for key, value in node.attributes.items() if key in ("lower", "upper")}
    inputs = (affine.source, *constants)
    conv = replace(node, op="Conv", inputs=inputs, attributes={**_POINT, "group": channels, **bounds})
    vector = len(graph.tensors[node.outputs[0]].shape) == 2
    parts = _as_map(node, conv, channels) if vector else (conv,)
    new = {part.outputs[0]: Tensor(part.outputs[0], (1, channels, 1, 1)) for part in parts[:-1]}
    tensors = {**graph.tensors, **new}
    order = [part for other in graph.nodes for part in (parts if other is node else (other,))]
    return rebuild(graph.with_(tensors=tensors), order, constants)


def _as_map(node: Node, conv: Node, channels: int) -> tuple[Node, ...]:
    """The convolution of a vector, between two reshapes."""
    before, after = f"{node.name}:map", f"{node.name}:result"
    return (
        Node("Reshape", before, conv.inputs[:1], (before,), {"shape": (1, channels, 1, 1)}, node.origin),
        replace(conv, inputs=(before, *conv.inputs[1:]), outputs=(after,)),
        Node("Reshape", after, (after,), node.outputs, {"shape": (1, channels)}, node.origin),
    )
