# SPDX-License-Identifier: Apache-2.0
"""Normalise sliding windows: Conv and the pools with every attribute explicit.

After: ``kernel_shape`` (kh, kw), ``strides`` (sy, sx), ``dilations`` (dy, dx), ``pads`` (top, left, bottom, right).
auto_pad and ceil_mode are turned into pads, so that the floor formula gives the output's size.
"""

from __future__ import annotations

from typing import Any

from ..ir import Node
from .raw import RawNode

__all__ = ["conv", "global_pool", "pool"]

Pair = tuple[int, int]

_EXPORT = "export a network on images with rank-4 (NCHW) tensors"


def _pair(raw: RawNode, key: str, default: Pair) -> Pair:
    values = tuple(int(value) for value in raw.attributes.get(key, default))
    if len(values) != 2 or min(values) < 1:
        raise raw.refuse(f"{key} {list(values)}", f"{key} of two positive numbers")
    return values[0], values[1]


def _image(raw: RawNode, name: str) -> Pair:
    shape = raw.shape(name)
    if len(shape) != 4:
        raise raw.refuse(f"tensor {name!r} has shape {list(shape)}", "rank 4 (N, C, H, W)", _EXPORT)
    return shape[2], shape[3]


def _same(size: int, extent: int, stride: int, *, upper: bool) -> Pair:
    """Pads before and after such that the output has ``ceil(size / stride)`` elements."""
    total = max((-(-size // stride) - 1) * stride + extent - size, 0)
    small = total // 2
    return (small, total - small) if upper else (total - small, small)


def _pads(raw: RawNode, size: Pair, extent: Pair, strides: Pair) -> tuple[int, int, int, int]:
    mode = raw.attributes.get("auto_pad", b"NOTSET")
    mode = mode.decode() if isinstance(mode, bytes) else mode
    if mode in ("NOTSET", ""):
        top, left, bottom, right = (int(value) for value in raw.attributes.get("pads", (0, 0, 0, 0)))
        return top, left, bottom, right
    if mode == "VALID":
        return 0, 0, 0, 0
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        raise raw.refuse(f"auto_pad {mode!r}", "NOTSET, VALID, SAME_UPPER, SAME_LOWER")
    upper = mode == "SAME_UPPER"
    (top, bottom), (left, right) = (_same(n, k, s, upper=upper) for n, k, s in zip(size, extent, strides, strict=True))
    return top, left, bottom, right


def _geometry(raw: RawNode, kernel: Pair) -> dict[str, Any]:
    size = _image(raw, raw.inputs[0])
    strides, dilations = _pair(raw, "strides", (1, 1)), _pair(raw, "dilations", (1, 1))
    extent = (kernel[0] - 1) * dilations[0] + 1, (kernel[1] - 1) * dilations[1] + 1
    pads = _pads(raw, size, extent, strides)
    if min(pads) < 0:
        raise raw.refuse(f"pads {list(pads)}", "pads of zero and more", "crop before the layer")
    if size[0] + pads[0] + pads[2] < extent[0] or size[1] + pads[1] + pads[3] < extent[1]:
        raise raw.refuse(f"kernel extent {list(extent)} exceeds the padded input {list(size)}", "a window that fits")
    return {"kernel_shape": kernel, "strides": strides, "dilations": dilations, "pads": pads}


def conv(raw: RawNode) -> Node:
    """Conv with explicit geometry and ``group``."""
    _image(raw, raw.inputs[0])
    weight = raw.shape(raw.inputs[1])
    kernel = _pair(raw, "kernel_shape", (weight[2], weight[3]))
    if kernel != weight[2:]:
        raise raw.refuse(f"kernel_shape {list(kernel)} differs from the weights' {list(weight)}", "equal shapes")
    group = int(raw.attributes.get("group", 1))
    channels = raw.shape(raw.inputs[0])[1]
    if group < 1 or channels != weight[1] * group or weight[0] % group:
        raise raw.refuse(
            f"group {group} with {channels} channels and weights {list(weight)}", "a group that divides both"
        )
    return raw.node({**_geometry(raw, kernel), "group": group})


def pool(raw: RawNode) -> Node:
    """MaxPool or AveragePool with explicit geometry; an average also with ``count_include_pad`` (bool)."""
    kernel = _pair(raw, "kernel_shape", (0, 0))
    geometry = _geometry(raw, kernel)
    explicit = geometry["pads"]
    geometry["pads"] = _reach(raw, geometry)
    counted = bool(raw.attributes.get("count_include_pad", 0)) and raw.op == "AveragePool"
    if counted and geometry["pads"] != explicit:
        raise raw.refuse(
            "count_include_pad with a window beyond the pads (ceil_mode)", "one of the two", "set ceil_mode=0"
        )
    _check_taps(raw, geometry)
    extra = {"count_include_pad": counted} if raw.op == "AveragePool" else {}
    return raw.node({**geometry, **extra})


def _reach(raw: RawNode, geometry: dict[str, Any]) -> tuple[int, int, int, int]:
    """Pads with bottom and right moved to where the last window ends (ceil_mode), never inwards."""
    ends = list(geometry["pads"])
    for axis, (size, out) in enumerate(zip(_image(raw, raw.inputs[0]), _image(raw, raw.outputs[0]), strict=True)):
        kernel, stride, dilation = (geometry[key][axis] for key in ("kernel_shape", "strides", "dilations"))
        need = (out - 1) * stride + (kernel - 1) * dilation + 1 - size - ends[axis]
        ends[axis + 2] = max(ends[axis + 2], need)
    return ends[0], ends[1], ends[2], ends[3]


def _check_taps(raw: RawNode, geometry: dict[str, Any]) -> None:
    """A window must meet the tensor: an average or maximum of nothing has no value."""
    top, left, bottom, right = geometry["pads"]
    (kh, kw), (dy, dx) = geometry["kernel_shape"], geometry["dilations"]
    if max(top, bottom) > (kh - 1) * dy or max(left, right) > (kw - 1) * dx:
        raise raw.refuse(
            f"pads {[top, left, bottom, right]} leave windows without input",
            "pads smaller than the kernel",
            "set ceil_mode=0 or export with opset 22 or newer" if raw.attributes.get("ceil_mode", 0) else "",
        )


def global_pool(raw: RawNode) -> Node:
    """GlobalAveragePool or GlobalMaxPool as a pool whose kernel covers the map."""
    size = _image(raw, raw.inputs[0])
    geometry = {"kernel_shape": size, "strides": (1, 1), "dilations": (1, 1), "pads": (0, 0, 0, 0)}
    if raw.op == "GlobalMaxPool":
        return raw.node(geometry, op="MaxPool")
    return raw.node({**geometry, "count_include_pad": False}, op="AveragePool")
