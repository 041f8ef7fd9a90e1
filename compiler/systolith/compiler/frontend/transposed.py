# SPDX-License-Identifier: Apache-2.0
"""Normalise ConvTranspose: every attribute explicit, ``output_shape`` and ``auto_pad`` turned into pads.

After: ``kernel_shape``, ``strides``, ``dilations``, ``pads`` (top, left, bottom, right) cut off the full result,
``output_padding`` (y, x) added below and on the right, ``group``. Weight (C, O/group, kh, kw).
"""

from __future__ import annotations

from ..ir import Node
from .raw import RawNode
from .windows import auto_pad, image, pair

__all__ = ["conv_transpose"]

Pair = tuple[int, int]


def conv_transpose(raw: RawNode) -> Node:
    """ConvTranspose with explicit geometry."""
    image(raw, raw.inputs[0])
    weight = raw.shape(raw.inputs[1])
    kernel = pair(raw, "kernel_shape", (weight[2], weight[3]))
    if kernel != weight[2:]:
        raise raw.refuse(f"kernel_shape {list(kernel)} differs from the weights' {list(weight)}", "equal shapes")
    group, channels = int(raw.attributes.get("group", 1)), raw.shape(raw.inputs[0])[1]
    if group < 1 or channels != weight[0] or channels % group:
        raise raw.refuse(
            f"group {group} with {channels} channels and weights {list(weight)}", "a group that divides both"
        )
    strides, dilations = pair(raw, "strides", (1, 1)), pair(raw, "dilations", (1, 1))
    extra = pair(raw, "output_padding", (0, 0), least=0)
    extent = (kernel[0] - 1) * dilations[0] + 1, (kernel[1] - 1) * dilations[1] + 1
    pads, extra = _pads(raw, extent, strides, extra)
    geometry = {"kernel_shape": kernel, "strides": strides, "dilations": dilations, "pads": pads}
    return raw.node({**geometry, "output_padding": extra, "group": group})


def _pads(raw: RawNode, extent: Pair, strides: Pair, extra: Pair) -> tuple[tuple[int, int, int, int], Pair]:
    """The pads and the output padding: as given, or such that the output gets its wanted size."""
    size, mode = image(raw, raw.inputs[0]), auto_pad(raw)
    wanted = tuple(int(value) for value in raw.attributes.get("output_shape", ()))[-2:]
    if not wanted and mode.startswith("SAME"):
        wanted = size[0] * strides[0], size[1] * strides[1]
    if wanted:
        full = (_full(*sizes) for sizes in zip(size, strides, extent, extra, strict=True))
        (top, bottom, below), (left, right, beside) = (
            _fitted(whole - want, upper=mode == "SAME_UPPER") for whole, want in zip(full, wanted, strict=True)
        )
        return (top, left, bottom, right), (extra[0] + below, extra[1] + beside)
    pads = (0, 0, 0, 0) if mode == "VALID" else tuple(int(value) for value in raw.attributes.get("pads", (0, 0, 0, 0)))
    if min(pads) < 0:
        raise raw.refuse(f"pads {list(pads)}", "pads of zero and more", "add a Pad after the layer")
    return (pads[0], pads[1], pads[2], pads[3]), extra


def _full(size: int, stride: int, extent: int, extra: int) -> int:
    """Elements of a result of which nothing is cut off."""
    return (size - 1) * stride + extent + extra


def _fitted(surplus: int, *, upper: bool) -> tuple[int, int, int]:
    """Elements cut off before and behind, and elements added; an odd one goes behind with SAME_UPPER, else before."""
    if surplus < 0:
        return 0, 0, -surplus
    small = surplus // 2
    return (small, surplus - small, 0) if upper else (surplus - small, small, 0)
