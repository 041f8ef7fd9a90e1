# SPDX-License-Identifier: Apache-2.0
"""Cross-layer equalisation: scale channels between two layers so that one scale suits them all (float level).

Before: a Conv or Gemm whose result goes, alone, through nothing but a Relu and pools to another Conv or Gemm.
After: the first layer's weights and bias are divided by a positive factor a channel, the second's weights multiplied
with it; the network computes the same up to float32's rounding. In front of a depthwise layer, whose weights have a
scale a channel anyhow, all channels get the same peak; in front of others the factor balances the channel's peak
against the weights that it meets (Nagel et al., *Data-Free Quantization Through Weight Equalization and Bias
Correction*, 2019, section 4.1, with measured peaks; Xiao et al., *SmoothQuant*, 2023).
Does not apply across what is not positively homogeneous (Clip, a table, an Add), other readers, or a graph output.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..ir import Graph, Node
from .rewrite import rebuild

__all__ = ["equalise"]

Floats = NDArray[np.float64]

_LAYERS = ("Conv", "Gemm")
_BETWEEN = ("AveragePool", "MaxPool", "Relu", "Reshape")
_MOST = 256.0
"""Largest factor between two channels: beyond, a channel is as good as dead."""


def equalise(graph: Graph, peaks: Mapping[str, Floats]) -> Graph:
    """Equalise all pairs of layers, in the order of the network.

    Args:
        graph: a prepared float-level graph.
        peaks: of each tensor the largest magnitude seen in each channel, (C,).
    """
    for node in graph.nodes:
        if node.op in _LAYERS:
            # looked up anew: the pair before has replaced its second layer
            first = next(other for other in graph.nodes if other.name == node.name)
            graph = _pair_equalised(graph, first, peaks)
    return graph


def _pair_equalised(graph: Graph, first: Node, peaks: Mapping[str, Floats]) -> Graph:
    second = _reader(graph, first)
    if second is None or not all(_has_constants(graph, node) for node in (first, second)):
        return graph
    factors = _factors(graph, first, second, peaks[first.outputs[0]])
    return graph if (factors == 1).all() else _scaled(graph, first, second, factors)


def _has_constants(graph: Graph, node: Node) -> bool:
    plain = node.attributes.get("beta", 1.0) == 1.0 and not node.attributes.get("transA", False)
    return plain and all(name in graph.constants for name in node.inputs[1:])


def _reader(graph: Graph, first: Node) -> Node | None:
    """The layer that alone reads ``first``'s result, through nothing but homogeneous nodes; None if there is none."""
    node = first
    while _is_homogeneous(node):
        readers = graph.consumers(node.outputs[0])
        if len(readers) != 1 or node.outputs[0] in graph.outputs:
            return None
        node = readers[0]
        if node.op in _LAYERS:
            return node if node.inputs[0] not in node.inputs[1:] else None
        if node.op not in _BETWEEN or not _keeps_channels(graph, node):
            return None
    return None


def _keeps_channels(graph: Graph, node: Node) -> bool:
    """Whether channels stay channels, or a map is flattened: a Reshape may also deal them out anew."""
    before, after = (graph.tensors[name].shape for name in (node.inputs[0], node.outputs[0]))
    return node.op != "Reshape" or len(after) == 2 or before[1] == after[1]


def _is_homogeneous(node: Node) -> bool:
    """Whether a result scales with the operand: a bound other than zero does not."""
    lower, upper = node.attributes.get("lower", -math.inf), node.attributes.get("upper", math.inf)
    return lower in (-math.inf, 0.0) and upper == math.inf


def _by_input(weight: NDArray[Any], group: int, channels: int) -> Floats:
    """The largest weight that each of ``channels`` meets, (channels,); a flattened map has several inputs a channel."""
    rows = np.abs(weight).reshape(group, weight.shape[0] // group, -1).max(axis=1)
    return np.asarray(rows.reshape(channels, -1).max(axis=1), np.float64)


def _factors(graph: Graph, first: Node, second: Node, peaks: Floats) -> Floats:
    """What each channel of the first layer is divided by."""
    weight, group = graph.constant(second.inputs[1]), second.attributes.get("group", 1)
    depthwise = second.op == "Conv" and weight.shape[1] == 1 and group == len(peaks)
    meets = _by_input(weight, group, len(peaks))
    alive = (peaks > 0) & (meets > 0)
    if not alive.any():
        return np.ones(len(peaks))
    raw = peaks if depthwise else np.sqrt(peaks / np.where(alive, meets, 1.0))
    largest = raw[alive].max()
    return np.where(alive, np.maximum(raw, largest / _MOST) / largest, 1.0)


def _scaled(graph: Graph, first: Node, second: Node, factors: Floats) -> Graph:
    weight, bias = graph.constant(first.inputs[1]), [graph.constant(name) for name in first.inputs[2:]]
    divided = weight / factors.reshape(-1, *(1,) * (weight.ndim - 1))
    values = {f"{first.name}:equalised:weight": divided.astype(np.float32)}
    values |= {f"{first.name}:equalised:bias": (part.reshape(-1) / factors).astype(np.float32) for part in bias}
    new_first = replace(first, inputs=(first.inputs[0], *values))
    multiplied = {f"{second.name}:multiplied": _multiplied(graph, second, factors)}
    new_second = replace(second, inputs=(second.inputs[0], *multiplied, *second.inputs[2:]))
    swap = {first.name: new_first, second.name: new_second}
    return rebuild(graph, [swap.get(node.name, node) for node in graph.nodes], {**values, **multiplied})


def _multiplied(graph: Graph, second: Node, factors: Floats) -> NDArray[np.float32]:
    weight, group = graph.constant(second.inputs[1]), second.attributes.get("group", 1)
    columns = weight.astype(np.float64).reshape(group, weight.shape[0] // group, len(factors) // group, -1)
    return np.asarray((columns * factors.reshape(group, 1, -1, 1)).reshape(weight.shape), np.float32)
