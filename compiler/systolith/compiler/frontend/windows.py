# SPDX-License-Identifier: Apache-2.0
"""Normalise sliding windows: Conv and the pools with every attribute explicit.

After: ``kernel_shape`` (kh, kw), ``strides`` (sy, sx), ``dilations`` (dy, dx), ``pads`` (top, left, bottom, right).
auto_pad and ceil_mode are turned into pads, so that the floor formula gives the output's size. An average that counts
the pads but not what ceil_mode reaches beyond them becomes a Pad and an average that counts no padding.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..ir import Node
from .raw import Expansion, RawNode

__all__ = ["auto_pad", "conv", "global_pool", "image", "pair", "pool"]

Pair = tuple[int, int]

_EXPORT = "export a network on images or sequences"


def pair(raw: RawNode, key: str, default: Pair, least: int = 1) -> Pair:
    """An attribute of two numbers (y, x), each at least ``least``."""
    values = tuple(int(value) for value in raw.attributes.get(key, default))
    if len(values) != 2 or min(values) < least:
        raise raw.refuse(f"{key} {list(values)}", f"{key} of two numbers from {least} on")
    return values[0], values[1]


def auto_pad(raw: RawNode) -> str:
    """NOTSET, VALID, SAME_UPPER or SAME_LOWER."""
    mode = raw.attributes.get("auto_pad", b"NOTSET")
    mode = (mode.decode() if isinstance(mode, bytes) else str(mode)) or "NOTSET"
    if mode not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise raw.refuse(f"auto_pad {mode!r}", "NOTSET, VALID, SAME_UPPER, SAME_LOWER")
    return mode


def image(raw: RawNode, name: str) -> Pair:
    """Height and width of an operand or a result; raises UnsupportedModel where it is no image."""
    shape = raw.shape(name)
    if len(shape) != 4:
        raise raw.refuse(f"tensor {name!r} has shape {list(shape)}", "(N, C, H, W) or (N, C, L)", _EXPORT)
    return shape[2], shape[3]


def _same(size: int, extent: int, stride: int, *, upper: bool) -> Pair:
    """Pads before and after such that the output has ``ceil(size / stride)`` elements."""
    total = max((-(-size // stride) - 1) * stride + extent - size, 0)
    small = total // 2
    return (small, total - small) if upper else (total - small, small)


def _pads(raw: RawNode, size: Pair, extent: Pair, strides: Pair) -> tuple[int, int, int, int]:
    mode = auto_pad(raw)
    if mode == "NOTSET":
        top, left, bottom, right = (int(value) for value in raw.attributes.get("pads", (0, 0, 0, 0)))
        return top, left, bottom, right
    if mode == "VALID":
        return 0, 0, 0, 0
    upper = mode == "SAME_UPPER"
    (top, bottom), (left, right) = (_same(n, k, s, upper=upper) for n, k, s in zip(size, extent, strides, strict=True))
    return top, left, bottom, right


def _geometry(raw: RawNode, kernel: Pair) -> dict[str, Any]:
    size = image(raw, raw.inputs[0])
    strides, dilations = pair(raw, "strides", (1, 1)), pair(raw, "dilations", (1, 1))
    extent = (kernel[0] - 1) * dilations[0] + 1, (kernel[1] - 1) * dilations[1] + 1
    pads = _pads(raw, size, extent, strides)
    if min(pads) < 0:
        raise raw.refuse(f"pads {list(pads)}", "pads of zero and more", "crop before the layer")
    if size[0] + pads[0] + pads[2] < extent[0] or size[1] + pads[1] + pads[3] < extent[1]:
        raise raw.refuse(f"kernel extent {list(extent)} exceeds the padded input {list(size)}", "a window that fits")
    return {"kernel_shape": kernel, "strides": strides, "dilations": dilations, "pads": pads}


def conv(raw: RawNode) -> Node:
    """Conv with explicit geometry and ``group``."""
    image(raw, raw.inputs[0])
    weight = raw.shape(raw.inputs[1])
    kernel = pair(raw, "kernel_shape", (weight[2], weight[3]))
    if kernel != weight[2:]:
        raise raw.refuse(f"kernel_shape {list(kernel)} differs from the weights' {list(weight)}", "equal shapes")
    group = int(raw.attributes.get("group", 1))
    channels = raw.shape(raw.inputs[0])[1]
    if group < 1 or channels != weight[1] * group or weight[0] % group:
        raise raw.refuse(
            f"group {group} with {channels} channels and weights {list(weight)}", "a group that divides both"
        )
    return raw.node({**_geometry(raw, kernel), "group": group})


def pool(raw: RawNode) -> Node | Expansion:
    """MaxPool or AveragePool with explicit geometry; an average also with ``count_include_pad`` (bool)."""
    geometry = _geometry(raw, pair(raw, "kernel_shape", (0, 0)))
    explicit = geometry["pads"]
    geometry["pads"] = _reach(raw, geometry)
    _check_taps(raw, geometry)
    if raw.op == "MaxPool":
        return raw.node(geometry)
    counted = bool(raw.attributes.get("count_include_pad", 0)) and any(explicit)
    if counted and geometry["pads"] != explicit:
        return _padded(raw, geometry, explicit)
    return raw.node({**geometry, "count_include_pad": counted})


def _padded(raw: RawNode, geometry: dict[str, Any], explicit: tuple[int, ...]) -> Expansion:
    """The counted padding as part of the tensor, so that the rest need not count."""
    top, left, bottom, right = explicit
    source, padded = raw.inputs[0], f"{raw.outputs[0]}:padded"
    count, channels, height, width = raw.shape(source)
    pads = {"pads": (0, 0, top, left, 0, 0, bottom, right), "value": 0.0, "mode": "constant"}
    pad = Node("Pad", f"{raw.name}:pad", (source,), (padded,), pads, (raw.op,))
    beyond = tuple(reach - inside for reach, inside in zip(geometry["pads"], explicit, strict=True))
    average = replace(raw, inputs=(padded,)).node({**geometry, "pads": beyond, "count_include_pad": False})
    return Expansion((pad, average), {padded: (count, channels, height + top + bottom, width + left + right)})


def _reach(raw: RawNode, geometry: dict[str, Any]) -> tuple[int, int, int, int]:
    """Pads with bottom and right moved to where the last window ends (ceil_mode), never inwards."""
    ends = list(geometry["pads"])
    for axis, (size, out) in enumerate(zip(image(raw, raw.inputs[0]), image(raw, raw.outputs[0]), strict=True)):
        kernel, stride, dilation = (geometry[key][axis] for key in ("kernel_shape", "strides", "dilations"))
        need = (out - 1) * stride + (kernel - 1) * dilation + 1 - size - ends[axis]
        ends[axis + 2] = max(ends[axis + 2], need)
    return ends[0], ends[1], ends[2], ends[3]


def _check_taps(raw: RawNode, geometry: dict[str, Any]) -> None:
    """A window must meet the tensor: an average or maximum of nothing has no value."""
    sizes = zip(image(raw, raw.inputs[0]), image(raw, raw.outputs[0]), strict=True)
    for axis, (size, windows) in enumerate(sizes):
        kernel, stride, dilation = (geometry[key][axis] for key in ("kernel_shape", "strides", "dilations"))
        starts = (window * stride - geometry["pads"][axis] for window in range(windows))
        if not all(any(0 <= start + tap * dilation < size for tap in range(kernel)) for start in starts):
            raise raw.refuse(
                f"pads {list(geometry['pads'])} leave windows without input",
                "pads smaller than the kernel",
                "set ceil_mode=0 or export with opset 22 or newer" if raw.attributes.get("ceil_mode", 0) else "",
            )


def global_pool(raw: RawNode) -> Node:
    """GlobalAveragePool or GlobalMaxPool as a pool whose kernel covers the map."""
    size = image(raw, raw.inputs[0])
    geometry = {"kernel_shape": size, "strides": (1, 1), "dilations": (1, 1), "pads": (0, 0, 0, 0)}
    if raw.op == "GlobalMaxPool":
        return raw.node(geometry, op="MaxPool")
    return raw.node({**geometry, "count_include_pad": False}, op="AveragePool")
