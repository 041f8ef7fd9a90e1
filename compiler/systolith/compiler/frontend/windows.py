# SPDX-License-Identifier: Apache-2.0
"""Normalise sliding windows: Conv and the pools with every attribute explicit.

After: ``kernel_shape`` (kh, kw), ``strides`` (sy, sx), ``dilations`` (dy, dx), ``pads`` (top, left, bottom, right).
auto_pad and ceil_mode are turned into pads, so that the floor formula gives the output's size. An average that counts
the pads but not what ceil_mode reaches beyond them becomes a Pad and an average that counts no padding.

Where axis 0 is no batch, so that nothing will be compiled, volumes are accepted too, with a number more an axis.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..ir import Node
from .raw import Expansion, RawNode

__all__ = ["auto_pad", "conv", "global_pool", "image", "kernel_of", "numbers", "pool"]

Sizes = tuple[int, ...]

_EXPORT = "export a network on images or sequences"


def numbers(raw: RawNode, key: str, default: Sizes, least: int = 1) -> Sizes:
    """An attribute with a number for each axis of the image, as many as ``default``, each at least ``least``."""
    values = tuple(int(value) for value in raw.attributes.get(key, default))
    if len(values) != len(default) or min(values) < least:
        raise raw.refuse(f"{key} {list(values)}", f"{key} of {len(default)} numbers from {least} on")
    return values


def auto_pad(raw: RawNode) -> str:
    """NOTSET, VALID, SAME_UPPER or SAME_LOWER."""
    mode = raw.attributes.get("auto_pad", b"NOTSET")
    mode = (mode.decode() if isinstance(mode, bytes) else str(mode)) or "NOTSET"
    if mode not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise raw.refuse(f"auto_pad {mode!r}", "NOTSET, VALID, SAME_UPPER, SAME_LOWER")
    return mode


def image(raw: RawNode, name: str) -> Sizes:
    """Height and width of an operand or a result; raises UnsupportedModel where it is no image."""
    shape = raw.shape(name)
    if len(shape) < 4 or (raw.batched and len(shape) != 4):
        raise raw.refuse(f"tensor {name!r} has shape {list(shape)}", "(N, C, H, W) or (N, C, L)", _EXPORT)
    return shape[2:]


def kernel_of(raw: RawNode) -> Sizes:
    """The kernel's size, which the weights have and an attribute may repeat."""
    weight = raw.shape(raw.inputs[1])
    kernel = numbers(raw, "kernel_shape", weight[2:])
    if kernel != weight[2:]:
        raise raw.refuse(f"kernel_shape {list(kernel)} differs from the weights' {list(weight)}", "equal shapes")
    return kernel


def _same(size: int, extent: int, stride: int, *, upper: bool) -> tuple[int, int]:
    """Pads before and after such that the output has ``ceil(size / stride)`` elements."""
    total = max((-(-size // stride) - 1) * stride + extent - size, 0)
    small = total // 2
    return (small, total - small) if upper else (total - small, small)


def _pads(raw: RawNode, size: Sizes, extent: Sizes, strides: Sizes) -> Sizes:
    """Before all axes, then behind all."""
    mode = auto_pad(raw)
    if mode == "NOTSET":
        return numbers(raw, "pads", (0,) * (2 * len(size)), least=0)
    if mode == "VALID":
        return (0,) * (2 * len(size))
    upper = mode == "SAME_UPPER"
    pairs = [_same(n, k, s, upper=upper) for n, k, s in zip(size, extent, strides, strict=True)]
    return (*(before for before, _ in pairs), *(behind for _, behind in pairs))


def _geometry(raw: RawNode, kernel: Sizes) -> dict[str, Any]:
    size = image(raw, raw.inputs[0])
    ones = (1,) * len(size)
    strides, dilations = numbers(raw, "strides", ones), numbers(raw, "dilations", ones)
    extent = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))
    pads = _pads(raw, size, extent, strides)
    padded = tuple(n + a + b for n, a, b in zip(size, pads, pads[len(size) :], strict=False))
    if any(n < k for n, k in zip(padded, extent, strict=True)):
        raise raw.refuse(f"kernel extent {list(extent)} exceeds the padded input {list(padded)}", "a window that fits")
    return {"kernel_shape": kernel, "strides": strides, "dilations": dilations, "pads": pads}


def conv(raw: RawNode) -> Node:
    """Conv with explicit geometry and ``group``."""
    image(raw, raw.inputs[0])
    kernel, weight = kernel_of(raw), raw.shape(raw.inputs[1])
    group = int(raw.attributes.get("group", 1))
    channels = raw.shape(raw.inputs[0])[1]
    if group < 1 or channels != weight[1] * group or weight[0] % group:
        raise raw.refuse(
            f"group {group} with {channels} channels and weights {list(weight)}", "a group that divides both"
        )
    return raw.node({**_geometry(raw, kernel), "group": group})


def pool(raw: RawNode) -> Node | Expansion:
    """MaxPool or AveragePool with explicit geometry; an average also with ``count_include_pad`` (bool)."""
    kernel = numbers(raw, "kernel_shape", (0,) * len(image(raw, raw.inputs[0])))
    geometry = _geometry(raw, kernel)
    explicit = geometry["pads"]
    geometry["pads"] = _reach(raw, geometry)
    _check_taps(raw, geometry)
    if raw.op == "MaxPool":
        return raw.node(geometry)
    counted = bool(raw.attributes.get("count_include_pad", 0)) and any(explicit)
    if counted and geometry["pads"] != explicit:
        return _padded(raw, geometry, explicit)
    return raw.node({**geometry, "count_include_pad": counted})


def _padded(raw: RawNode, geometry: dict[str, Any], explicit: Sizes) -> Expansion:
    """The counted padding as part of the tensor, so that the rest need not count."""
    half = len(explicit) // 2
    source, padded = raw.inputs[0], f"{raw.outputs[0]}:padded"
    pads = {"pads": (0, 0, *explicit[:half], 0, 0, *explicit[half:]), "value": 0.0, "mode": "constant"}
    pad = Node("Pad", f"{raw.name}:pad", (source,), (padded,), pads, (raw.op,))
    beyond = tuple(reach - inside for reach, inside in zip(geometry["pads"], explicit, strict=True))
    average = replace(raw, inputs=(padded,)).node({**geometry, "pads": beyond, "count_include_pad": False})
    size = (n + a + b for n, a, b in zip(image(raw, source), explicit, explicit[half:], strict=False))
    return Expansion((pad, average), {padded: (*raw.shape(source)[:2], *size)})


def _reach(raw: RawNode, geometry: dict[str, Any]) -> Sizes:
    """Pads with those behind moved to where the last window ends (ceil_mode), never inwards."""
    ends, size = list(geometry["pads"]), image(raw, raw.inputs[0])
    for axis, out in enumerate(image(raw, raw.outputs[0])):
        kernel, stride, dilation = (geometry[key][axis] for key in ("kernel_shape", "strides", "dilations"))
        need = (out - 1) * stride + (kernel - 1) * dilation + 1 - size[axis] - ends[axis]
        ends[axis + len(size)] = max(ends[axis + len(size)], need)
    return tuple(ends)


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
    ones = (1,) * len(size)
    geometry = {"kernel_shape": size, "strides": ones, "dilations": ones, "pads": (0,) * (2 * len(size))}
    if raw.op == "GlobalMaxPool":
        return raw.node(geometry, op="MaxPool")
    return raw.node({**geometry, "count_include_pad": False}, op="AveragePool")
