# SPDX-License-Identifier: Apache-2.0
"""Fuse a Pad of zeros into the window behind it.

Before: ``Pad -> Conv``, or ``Pad -> AveragePool`` that counts its padding or has none: zeros around height and width.
After: the window with larger pads; an average that had no padding counts it now.
Does not apply to other modes or values, to padded channels, or where the padded tensor has other readers.
"""

from __future__ import annotations

from dataclasses import replace

from ..ir import Graph, Node
from .rewrite import fusable_producer, rebuild

__all__ = ["fuse_pad"]


def fuse_pad(graph: Graph) -> Graph:
    """The graph with zeros padded where they are read."""
    for node in graph.nodes:
        pad = fusable_producer(graph, node.inputs[0], ("Pad",)) if node.inputs else None
        if pad is not None and _takes(node) and _is_border(pad):
            fused = _padded(node, pad)
            graph = rebuild(graph, [fused if other is node else other for other in graph.nodes if other is not pad])
    return graph


def _takes(node: Node) -> bool:
    """Whether padding of the window is zeros."""
    average = node.op == "AveragePool" and (node.attributes["count_include_pad"] or not any(node.attributes["pads"]))
    return node.op == "Conv" or bool(average)


def _is_border(pad: Node) -> bool:
    given = pad.attributes
    zeros = given["mode"] == "constant" and given["value"] == 0
    return bool(zeros and len(given["pads"]) == 8 and not any(given["pads"][axis] for axis in (0, 1, 4, 5)))


def _padded(node: Node, pad: Node) -> Node:
    more = [pad.attributes["pads"][axis] for axis in (2, 3, 6, 7)]
    pads = tuple(own + extra for own, extra in zip(node.attributes["pads"], more, strict=True))
    counted = {"count_include_pad": True} if node.op == "AveragePool" else {}
    attributes = {**node.attributes, "pads": pads, **counted}
    inputs = (pad.inputs[0], *node.inputs[1:])
    return replace(node, inputs=inputs, attributes=attributes, origin=(*pad.origin, *node.origin))
