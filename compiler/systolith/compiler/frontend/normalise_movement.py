# SPDX-License-Identifier: Apache-2.0
"""One spelling for the operators that only move data.

============================================  ==================================================================
ONNX                                          normalised
============================================  ==================================================================
Concat                                        Concat with ``axis`` counted from the front
Slice (attributes or inputs)                  Slice with ``starts`` (none negative) and ``steps``, one per axis; the
                                              output's shape says how many
Split (attributes or inputs)                  a Slice for each output that is used
Pad (attributes or inputs)                    Pad with ``pads`` (all axes' beginnings, then all ends; none negative),
                                              ``value`` and ``mode``; a Slice before it where pads are negative
Transpose                                     Transpose with ``perm``
============================================  ==================================================================
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..ir import Node
from .lift import Rule
from .raw import Expansion, RawNode

__all__ = ["MOVEMENT_RULES", "integers"]

_MODES = ("constant", "reflect", "edge", "wrap")


def integers(raw: RawNode, key: str, index: int, since: int) -> tuple[int, ...] | None:
    """What is an attribute before operator set ``since`` and input ``index`` from then on; None if left out."""
    if raw.opset < since:
        given = raw.attributes.get(key)
        return None if given is None else tuple(int(value) for value in given)
    value = raw.constant(index)
    return None if value is None else tuple(int(item) for item in value.reshape(-1))


def _slice_node(raw: RawNode, name: str, tensors: tuple[str, str], starts: Sequence[int], steps: Sequence[int]) -> Node:
    attributes = {"starts": tuple(starts), "steps": tuple(steps)}
    return Node("Slice", name, tensors[:1], tensors[1:], attributes, (raw.op,))


def _concat(raw: RawNode) -> Node:
    (axis,) = raw.axes([raw.attributes["axis"]], len(raw.shape(raw.outputs[0])))
    raw.keep_batch(axis != 0, "it joins along axis 0")
    return raw.node({"axis": axis})


def _slice(raw: RawNode) -> Expansion:
    shape = raw.shape(raw.inputs[0])
    starts, ends = (integers(raw, key, index, 10) or () for index, key in enumerate(("starts", "ends"), 1))
    axes = integers(raw, "axes", 3, 10)
    steps = integers(raw, "steps", 4, 10) or (1,) * len(starts)
    places = raw.axes(range(len(starts)) if axes is None else axes, len(shape))
    ranges = [range(size) for size in shape]
    for axis, start, end, step in zip(places, starts, ends, steps, strict=True):
        if step == 0:
            raise raw.refuse("a step of 0", "steps other than 0")
        ranges[axis] = range(*slice(start, end, step).indices(shape[axis]))
    raw.keep_batch(ranges[0] == range(shape[0]), "it takes a part of axis 0")
    source, result = raw.inputs[0], raw.outputs[0]
    steps = tuple(taken.step for taken in ranges)
    node = _slice_node(raw, raw.name, (source, result), [taken.start for taken in ranges], steps)
    return Expansion((node,), {result: tuple(map(len, ranges))})


def _sizes(raw: RawNode, total: int) -> tuple[int, ...]:
    """How many elements each output gets: as given, or equal shares of which the last may be smaller."""
    given = integers(raw, "split", 1, 13)
    if given is not None:
        return given
    count = len(raw.outputs)
    share = math.ceil(total / count)
    return (*[share] * (count - 1), total - share * (count - 1))


def _split(raw: RawNode) -> Expansion:
    shape = raw.shape(raw.inputs[0])
    (axis,) = raw.axes([raw.attributes.get("axis", 0)], len(shape))
    raw.keep_batch(axis != 0, "it splits axis 0")
    nodes, shapes, start = [], {}, 0
    for index, (name, size) in enumerate(zip(raw.outputs, _sizes(raw, shape[axis]), strict=True)):
        if name:
            starts = [start if place == axis else 0 for place in range(len(shape))]
            tensors = (raw.inputs[0], name)
            nodes.append(_slice_node(raw, f"{raw.name}:{index}", tensors, starts, (1,) * len(shape)))
            shapes[name] = (*shape[:axis], size, *shape[axis + 1 :])
        start += size
    return Expansion(tuple(nodes), shapes)


def _all_pads(raw: RawNode, rank: int) -> list[int]:
    """Beginnings of all axes, then ends."""
    given = integers(raw, "pads", 1, 11)
    if given is None:
        raise raw.refuse("no pads", "a number of elements before and behind each axis")
    axes = integers(raw, "axes", 3, 18) if raw.opset >= 18 else None
    places = raw.axes(range(rank) if axes is None else axes, rank)
    pads = [0] * (2 * rank)
    for index, axis in enumerate(places):
        pads[axis], pads[axis + rank] = given[index], given[index + len(places)]
    return pads


def _pad(raw: RawNode) -> Expansion:
    shape = raw.shape(raw.inputs[0])
    mode = raw.attributes.get("mode", b"constant").decode()
    if mode not in _MODES:
        raise raw.refuse(f"mode {mode!r}", ", ".join(_MODES))
    pads = _all_pads(raw, len(shape))
    value = raw.scalar(2) if raw.opset >= 11 else raw.attributes.get("value")
    raw.keep_batch(not pads[0] and not pads[len(shape)], "it pads axis 0")
    source, result, nodes = raw.inputs[0], raw.outputs[0], []
    shapes: dict[str, tuple[int, ...]] = {}
    if min(pads, default=0) < 0:
        starts = [max(-pad, 0) for pad in pads]
        kept = tuple(max(n - a - b, 0) for n, a, b in zip(shape, starts, starts[len(shape) :], strict=False))
        cut = f"{result}:cut"
        nodes.append(_slice_node(raw, f"{raw.name}:cut", (source, cut), starts[: len(shape)], (1,) * len(shape)))
        source, shapes[cut] = cut, kept
    attributes: Mapping[str, Any] = {
        "pads": tuple(max(pad, 0) for pad in pads),
        "value": 0.0 if value is None else float(value),
        "mode": mode,
    }
    nodes.append(Node("Pad", raw.name, (source,), (result,), attributes, (raw.op,)))
    return Expansion(tuple(nodes), shapes)


def _transpose(raw: RawNode) -> Node:
    rank = len(raw.shape(raw.inputs[0]))
    perm = tuple(int(axis) for axis in raw.attributes.get("perm", range(rank)[::-1]))
    kept = perm[:1] == (0,) or raw.inputs[0] in raw.parameters
    raw.keep_batch(kept, f"perm {list(perm)} moves axis 0")
    return raw.node({"perm": perm})


MOVEMENT_RULES: Mapping[str, Rule] = {
    "Concat": _concat,
    "Pad": _pad,
    "Slice": _slice,
    "Split": _split,
    "Transpose": _transpose,
}
"""The rule of each operator, as in :mod:`.normalise`."""
