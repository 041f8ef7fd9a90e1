# SPDX-License-Identifier: Apache-2.0
"""One spelling for reductions over axes.

After: ReduceMean with ``axes`` (counted from the front, ascending) and ``keepdims`` (bool), or an Identity where it
reduces nothing; ArgMax with ``axis``, ``keepdims`` and ``select_last_index`` (bool).
"""

from __future__ import annotations

from ..ir import Node
from .normalise_movement import integers
from .raw import RawNode

__all__ = ["argmax", "reduce_mean"]


def reduce_mean(raw: RawNode) -> Node:
    """ReduceMean; over no axes given it reduces all of them, or none with ``noop_with_empty_axes``."""
    rank = len(raw.shape(raw.inputs[0]))
    given = integers(raw, "axes", 1, 18)
    if not given and raw.opset >= 18 and raw.attributes.get("noop_with_empty_axes", 0):
        return raw.node(op="Identity", inputs=1)
    axes = tuple(sorted(raw.axes(given or range(rank), rank)))
    keepdims = bool(raw.attributes.get("keepdims", 1))
    if raw.batched and keepdims and raw.shape(raw.inputs[0])[0] == 1:
        # the mean over the one element of the batch axis
        axes = tuple(axis for axis in axes if axis)
        if not axes:
            return raw.node(op="Identity", inputs=1)
    raw.keep_batch(0 not in axes, f"it reduces axes {list(axes)}")
    return raw.node({"axes": axes, "keepdims": keepdims}, inputs=1)


def argmax(raw: RawNode) -> Node:
    """ArgMax along one axis."""
    (axis,) = raw.axes([raw.attributes.get("axis", 0)], len(raw.shape(raw.inputs[0])))
    raw.keep_batch(axis != 0, "it looks for the maximum along axis 0")
    keepdims, last = (bool(raw.attributes.get(*pair)) for pair in (("keepdims", 1), ("select_last_index", 0)))
    return raw.node({"axis": axis, "keepdims": keepdims, "select_last_index": last})
