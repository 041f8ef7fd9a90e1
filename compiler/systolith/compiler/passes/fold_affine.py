# SPDX-License-Identifier: Apache-2.0
"""Fold scaling and shifting by constants, batch normalisation included, into the layer before.

Before: ``Conv``, ``ConvTranspose`` or ``Gemm`` (also with bounds that every channel shares), then ``Mul``, ``Div``,
``Add`` or ``Sub`` with a constant per channel, ``Neg`` or ``BatchNormalization``, any number of them.
After: the layer with other weights, bias and bounds, computed in float64 (Jacob et al. 2018, section 3.2).
Does not apply where the constant varies along another axis, the layer's result has other readers, or its weights are
computed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..ir import Graph, Node
from .affine import LAYERS, Affine, affine_of, by_output, scaled_bounds, with_bounds
from .fuse_activation import Bounds, bounds_of
from .rewrite import fusable_producer, is_constant, rebuild

__all__ = ["fold_affine"]


def fold_affine(graph: Graph) -> Graph:
    """The graph with constant factors and offsets inside the layers they follow."""
    for node in graph.nodes:
        affine = affine_of(graph, node)
        found = None if affine is None else _layer(graph, affine)
        if affine is not None and found is not None:
            graph = _folded(graph, node, affine, *found)
    return graph


def _layer(graph: Graph, affine: Affine) -> tuple[Node, Bounds] | None:
    """The layer that takes it in, and what its bounds become."""
    layer = fusable_producer(graph, affine.source, LAYERS)
    if layer is None or not all(is_constant(graph, name) for name in layer.inputs[1:]):
        return None
    bounds = scaled_bounds(bounds_of(layer), affine)
    return None if bounds is None else (layer, bounds)


def _folded(graph: Graph, node: Node, affine: Affine, layer: Node, bounds: Bounds) -> Graph:
    weight = graph.constant(layer.inputs[1])
    bias = graph.constant(layer.inputs[2]) if len(layer.inputs) > 2 else np.zeros(len(affine.factor))
    values: dict[str, NDArray[Any]] = {
        f"{layer.name}:{node.name}:weight": (weight * by_output(layer, weight, affine.factor)).astype(np.float32),
        f"{layer.name}:{node.name}:bias": (bias * affine.factor + affine.offset).astype(np.float32),
    }
    rest = {key: value for key, value in layer.attributes.items() if key not in ("lower", "upper")}
    fused = replace(
        layer,
        inputs=(layer.inputs[0], *values),
        outputs=node.outputs,
        attributes={**rest, **with_bounds(node, bounds)},
        origin=layer.origin + node.origin,
    )
    # The layer moves to the node's place: its constant operands are known anywhere, its input came earlier.
    return rebuild(graph, [fused if other is node else other for other in graph.nodes if other is not layer], values)
