# SPDX-License-Identifier: Apache-2.0
"""How the float interpreter runs the operators that move data or reduce it, where the graph's shapes say how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .float_movement import argmax, concat, pad, take
from .float_resize import ResizeRule, resize
from .ir import Graph, Node

__all__ = ["SHAPED_RULES"]

Array = NDArray[Any]


def _shape(graph: Graph, name: str) -> tuple[int, ...]:
    """The shape of a tensor, or of a constant."""
    return graph.tensors[name].shape if name in graph.tensors else graph.constant(name).shape


def _changed(graph: Graph, node: Node) -> tuple[int | None, ...]:
    """The sizes of the result; None along axes that stay as long as they are, whatever the batch."""
    before, after = _shape(graph, node.inputs[0]), _shape(graph, node.outputs[0])
    return tuple(None if old == new else new for old, new in zip(before, after, strict=True))


def _slice(graph: Graph, node: Node, operands: list[Array]) -> Array:
    """An axis that keeps its size is whole, but for one that runs backwards."""
    steps, sizes = node.attributes["steps"], _shape(graph, node.outputs[0])
    counts = tuple(
        size if step < 0 else changed for size, step, changed in zip(sizes, steps, _changed(graph, node), strict=True)
    )
    return take(operands[0], node.attributes["starts"], steps, counts)


def _resize(graph: Graph, node: Node, operands: list[Array]) -> Array:
    """An axis that keeps its size, scale and region is left alone."""
    given = dict(node.attributes)
    scales, roi = given["scales"], given["roi"] or (0.0,) * len(given["scales"]) + (1.0,) * len(given["scales"])
    regions = tuple(zip(roi[: len(scales)], roi[len(scales) :], strict=True))
    sizes = tuple(
        None if changed is None and scale == 1 and region == (0, 1) else size
        for changed, scale, region, size in zip(
            _changed(graph, node), scales, regions, _shape(graph, node.outputs[0]), strict=True
        )
    )
    rule = ResizeRule.of(given)
    return resize(operands[0], sizes, scales, regions, rule)


def _pad(graph: Graph, node: Node, operands: list[Array]) -> Array:
    given = node.attributes
    return pad(operands[0], given["pads"], given["mode"], given["value"])


def _argmax(graph: Graph, node: Node, operands: list[Array]) -> Array:
    given = node.attributes
    return argmax(operands[0], given["axis"], keepdims=given["keepdims"], last=given["select_last_index"])


def _reduce_mean(graph: Graph, node: Node, operands: list[Array]) -> Array:
    return np.asarray(operands[0].mean(axis=node.attributes["axes"], keepdims=node.attributes["keepdims"]))


SHAPED_RULES: Mapping[str, Callable[[Graph, Node, list[Array]], Array]] = {
    "ArgMax": _argmax,
    "Concat": lambda graph, node, operands: concat(operands, node.attributes["axis"]),
    "Pad": _pad,
    "ReduceMean": _reduce_mean,
    "Resize": _resize,
    "Slice": _slice,
    "Transpose": lambda graph, node, operands: np.transpose(operands[0], node.attributes["perm"]),
}
