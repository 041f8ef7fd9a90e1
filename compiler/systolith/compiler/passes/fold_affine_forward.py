# SPDX-License-Identifier: Apache-2.0
"""Fold scaling and shifting by constants into the layer behind.

Before: ``Mul``, ``Div``, ``Add`` or ``Sub`` with a constant per channel, ``Neg`` or ``BatchNormalization``, then a
``Conv``, ``ConvTranspose`` or ``Gemm`` as the only reader.
After: the layer with other weights and bias, which reads what the operator read.
Does not apply to an offset in front of a layer that pads (its zeros would be shifted too) or of a ``ConvTranspose``
(its borders see fewer taps), where the layer is not the only reader, and to results with bounds.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..ir import Graph, Node
from .affine import LAYERS, Affine, affine_of
from .fuse_activation import bounds_of
from .rewrite import is_constant, rebuild

__all__ = ["fold_affine_forward"]


def fold_affine_forward(graph: Graph) -> Graph:
    """The graph with constant factors and offsets inside the layers that read them."""
    for node in reversed(graph.nodes):
        affine = affine_of(graph, node)
        layer = None if affine is None else _reader(graph, node, affine)
        if affine is not None and layer is not None:
            graph = _folded(graph, node, affine, layer)
    return graph


def _reader(graph: Graph, node: Node, affine: Affine) -> Node | None:
    """The layer that takes it in; None if there is none such."""
    result, readers = node.outputs[0], graph.consumers(node.outputs[0])
    if result in graph.outputs or len(readers) != 1 or bounds_of(node) != (-math.inf, math.inf):
        return None
    (layer,) = readers
    if layer.op not in LAYERS or not all(is_constant(graph, name) for name in layer.inputs[1:]):
        return None
    return layer if not affine.offset.any() or _takes_offset(layer) else None


def _takes_offset(layer: Node) -> bool:
    return layer.op == "Gemm" or layer.op == "Conv" and not any(layer.attributes["pads"])


def _by_input(layer: Node, weight: NDArray[Any], value: NDArray[np.float64]) -> NDArray[np.float64]:
    """``value``, one number per input channel, shaped to multiply the weights of a layer."""
    if layer.op == "Gemm":
        return value.reshape(1, -1)
    if layer.op == "ConvTranspose":
        return value.reshape(-1, 1, 1, 1)
    group, outputs = layer.attributes["group"], weight.shape[0]
    return np.repeat(value.reshape(group, -1, 1, 1), outputs // group, axis=0)


def _folded(graph: Graph, node: Node, affine: Affine, layer: Node) -> Graph:
    weight = graph.constant(layer.inputs[1]).astype(np.float64)
    values: dict[str, NDArray[Any]] = {
        f"{layer.name}:{node.name}:weight": (weight * _by_input(layer, weight, affine.factor)).astype(np.float32)
    }
    if affine.offset.any():
        bias = graph.constant(layer.inputs[2]) if len(layer.inputs) > 2 else np.zeros(len(weight))
        shift = (weight * _by_input(layer, weight, affine.offset)).sum(axis=tuple(range(1, weight.ndim)))
        values[f"{layer.name}:{node.name}:bias"] = (bias + shift).astype(np.float32)
    inputs = (affine.source, *values, *layer.inputs[1 + len(values) :])
    fused = replace(layer, inputs=inputs, origin=node.origin + layer.origin)
    return rebuild(graph, [fused if other is layer else other for other in graph.nodes], values)
