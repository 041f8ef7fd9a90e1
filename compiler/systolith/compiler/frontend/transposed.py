# SPDX-License-Identifier: Apache-2.0
"""Normalise ConvTranspose: every attribute explicit, ``output_shape`` and ``auto_pad`` turned into pads.

After: ``kernel_shape``, ``strides``, ``dilations``, ``pads`` (top, left, bottom, right) cut off the full result,
``output_padding`` (y, x) added below and on the right, ``group``. Weight (C, O/group, kh, kw).
"""

from __future__ import annotations

from ..ir import Node
from .raw import RawNode
from .windows import auto_pad, image, kernel_of, numbers

__all__ = ["conv_transpose"]

Sizes = tuple[int, ...]


def conv_transpose(raw: RawNode) -> Node:
    """ConvTranspose with explicit geometry."""
    size, kernel, weight = image(raw, raw.inputs[0]), kernel_of(raw), raw.shape(raw.inputs[1])
    group, channels = int(raw.attributes.get("group", 1)), raw.shape(raw.inputs[0])[1]
    if group < 1 or channels != weight[0] or channels % group:
        raise raw.refuse(
            f"group {group} with {channels} channels and weights {list(weight)}", "a group that divides both"
        )
    ones, zeros = (1,) * len(size), (0,) * len(size)
    strides, dilations = numbers(raw, "strides", ones), numbers(raw, "dilations", ones)
    extent = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))
    pads, extra = _pads(raw, extent, strides, numbers(raw, "output_padding", zeros, least=0))
    geometry = {"kernel_shape": kernel, "strides": strides, "dilations": dilations, "pads": pads}
    return raw.node({**geometry, "output_padding": extra, "group": group})


def _pads(raw: RawNode, extent: Sizes, strides: Sizes, extra: Sizes) -> tuple[Sizes, Sizes]:
    """The pads and the output padding: as given, or such that the output gets its wanted size."""
    size, mode = image(raw, raw.inputs[0]), auto_pad(raw)
    nothing = (0,) * (2 * len(size))
    wanted = tuple(int(value) for value in raw.attributes.get("output_shape", ()))[-len(size) :]
    if not wanted and mode.startswith("SAME"):
        wanted = tuple(n * s for n, s in zip(size, strides, strict=True))
    if not wanted:
        return (nothing if mode == "VALID" else numbers(raw, "pads", nothing, least=0)), extra
    full = ((n - 1) * s + e + x for n, s, e, x in zip(size, strides, extent, extra, strict=True))
    surplus = (whole - want for whole, want in zip(full, wanted, strict=True))
    before, behind, added = zip(*(_fitted(item, upper=mode == "SAME_UPPER") for item in surplus), strict=True)
    return (*before, *behind), tuple(x + more for x, more in zip(extra, added, strict=True))


def _fitted(surplus: int, *, upper: bool) -> tuple[int, int, int]:
    """Elements cut off before and behind, and elements added; an odd one goes behind with SAME_UPPER, else before."""
    if surplus < 0:
        return 0, 0, -surplus
    small = surplus // 2
    return (small, surplus - small, 0) if upper else (surplus - small, small, 0)
