# SPDX-License-Identifier: Apache-2.0
"""Fold batch normalisation into the layer before.

Before: ``Conv -> BatchNormalization`` or ``Gemm -> BatchNormalization``.
After: the layer with scaled weights and bias, computed in float64 (Jacob et al. 2018, section 3.2).
Refused: statistics that are computed, a variance below zero, a place where there is no such layer to take it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UnsupportedModel, WeightError
from ..ir import Graph, Node
from .rewrite import fusable_producer, is_constant, rebuild

__all__ = ["fold_batch_norm"]


def fold_batch_norm(graph: Graph) -> Graph:
    """The graph without batch normalisations; raises UnsupportedModel for one that cannot be folded."""
    for node in graph.nodes:
        if node.op == "BatchNormalization":
            graph = _folded(graph, node, _layer(graph, node))
    return graph


def _layer(graph: Graph, norm: Node) -> Node:
    layer = fusable_producer(graph, norm.inputs[0], ("Conv", "Gemm"))
    if layer is None or not all(is_constant(graph, name) for name in (*norm.inputs[1:], *layer.inputs[1:])):
        before = graph.producer(norm.inputs[0])
        what = "the network's input" if before is None else f"the result of {before.name!r} ({before.op})"
        raise UnsupportedModel(
            node=norm.name,
            op=norm.op,
            problem=f"it normalises {what}, which it cannot be folded into",
            accepted="batch normalisation right after a Conv or Gemm with constant weights that nothing else reads",
            advice="move it behind the convolution in the model",
        )
    return layer


def _affine(graph: Graph, norm: Node) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Factor and offset per channel."""
    scale, bias, mean, variance = (graph.constant(name).astype(np.float64) for name in norm.inputs[1:])
    spread = variance + norm.attributes["epsilon"]
    if (spread <= 0).any():
        raise WeightError(
            f"node {norm.name!r} ({norm.op}): variance plus epsilon is {spread.min():g} in channel {spread.argmin()}; "
            "accepted: positive; train or export the network again"
        )
    factor = scale / np.sqrt(spread)
    return factor, bias - mean * factor


def _folded(graph: Graph, norm: Node, layer: Node) -> Graph:
    factor, offset = _affine(graph, norm)
    weight = graph.constant(layer.inputs[1])
    bias = graph.constant(layer.inputs[2]) if len(layer.inputs) > 2 else np.zeros(len(factor))
    values: dict[str, NDArray[Any]] = {
        f"{layer.name}:{norm.name}:weight": (_scaled(layer, weight, factor)).astype(np.float32),
        f"{layer.name}:{norm.name}:bias": (bias * factor + offset).astype(np.float32),
    }
    fused = replace(layer, inputs=(layer.inputs[0], *values), outputs=norm.outputs, origin=layer.origin + norm.origin)
    return rebuild(graph, [fused if node is norm else node for node in graph.nodes if node is not layer], values)


def _scaled(layer: Node, weight: NDArray[Any], factor: NDArray[np.float64]) -> NDArray[np.float64]:
    outputs_first = layer.op == "Conv" or layer.attributes["transB"]
    shape = (-1,) + (1,) * (weight.ndim - 1) if outputs_first else (1, -1)
    return np.asarray(weight.astype(np.float64) * factor.reshape(shape))
