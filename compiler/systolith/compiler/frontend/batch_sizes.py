# SPDX-License-Identifier: Apache-2.0
"""Sizes written into a model that was exported with a batch of its own: the shape of a Reshape, the sizes of a Resize.

Before: ``Reshape(x, [4, -1])`` in a model of batch 4. After, for batch 1: ``Reshape(x, [1, -1])``. Only what is
computed from an input has a batch: constants that are reshaped stay. A reshape that keeps the number of samples leaves
each sample its elements, whatever that number is, so that the other sizes stay right.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

__all__ = ["change_batch_sizes"]

_SIZES = {"Reshape": 1, "Resize": 3}
"""Operators that take sizes, and the input that holds them."""


def change_batch_sizes(graph: onnx.GraphProto, inputs: Iterable[str], old: Collection[int], new: int) -> None:
    """Make a batch ``new`` of each constant size of axis 0 that is one of ``old``, in place.

    ``inputs`` are those of the network, initialisers left out.
    """
    computed = set(inputs)
    for node in graph.node:
        # the elements of a shape are no samples
        if computed.isdisjoint(node.input) or node.op_type == "Shape":
            continue
        computed.update(node.output)
        place = _SIZES.get(node.op_type, len(node.input))
        sizes = _constant(graph, node.input[place]) if place < len(node.input) else np.array([])
        at = _batch_place(node, sizes.size)
        if node.input[0] in computed and at is not None and int(sizes[at]) in old:
            changed = sizes.astype(np.int64)
            changed[at] = new
            graph.initializer.append(numpy_helper.from_array(changed, f"{node.output[0]}:sizes of batch {new}"))
            node.input[place] = graph.initializer[-1].name


def _batch_place(node: onnx.NodeProto, count: int) -> int | None:
    """Which of ``count`` sizes is that of axis 0; None if none is. A Resize may say which axes it gives sizes for."""
    axes = next((list(one.ints) for one in node.attribute if one.name == "axes"), list(range(count)))
    return axes.index(0) if count and 0 in axes else None


def _constant(graph: onnx.GraphProto, name: str) -> NDArray[Any]:
    """The value of an initialiser or Constant node; empty if it is neither."""
    for tensor in graph.initializer:
        if tensor.name == name:
            return numpy_helper.to_array(tensor)
    for node in graph.node:
        if node.op_type == "Constant" and name in node.output:
            value = helper.get_attribute_value(node.attribute[0])
            return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.atleast_1d(value)
    return np.array([])
