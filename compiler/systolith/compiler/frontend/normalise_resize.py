# SPDX-License-Identifier: Apache-2.0
"""One spelling for Resize and Upsample.

After: Resize of one input with ``mode`` ("nearest", "linear", "cubic"), ``coordinate`` and ``nearest`` (ONNX's names of
the coordinate transformation and of the rounding), ``scales`` (a float per axis), ``roi`` (all axes' starts, then all
ends; empty unless the coordinates need it), ``cubic_coeff_a``, ``exclude_outside`` and ``antialias`` (bool),
``extrapolation_value``. Sizes become scales. Upsample, and Resize of operator set 10, are asymmetric and floor.
"""

from __future__ import annotations

import math
from typing import Any

from ..ir import Node
from .raw import Expansion, RawNode

__all__ = ["resize"]

_ACCEPTED = {
    "mode": ("nearest", "linear", "cubic"),
    "coordinate_transformation_mode": (
        "half_pixel",
        "half_pixel_symmetric",
        "pytorch_half_pixel",
        "align_corners",
        "asymmetric",
        "tf_crop_and_resize",
    ),
    "nearest_mode": ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"),
    "keep_aspect_ratio_policy": ("stretch", "not_larger", "not_smaller"),
}
"""The words ONNX has for each attribute; the first of each is what is meant where it is left out."""


def _word(raw: RawNode, key: str) -> str:
    value = raw.attributes.get(key, _ACCEPTED[key][0])
    text = value.decode() if isinstance(value, bytes) else str(value)
    if text not in _ACCEPTED[key]:
        raise raw.refuse(f"{key} {text!r}", ", ".join(_ACCEPTED[key]))
    return text


def resize(raw: RawNode) -> Expansion:
    """Resize or Upsample of any operator set."""
    old = raw.op == "Upsample" or raw.opset < 11
    shape = raw.shape(raw.inputs[0])
    scales, sizes = _old_scales(raw) if old else _scales(raw, shape)
    raw.keep_batch(scales[0] == 1 and sizes[0] == shape[0], "it resizes axis 0")
    attributes = {"mode": _word(raw, "mode"), "scales": scales, "roi": (), **(_PLAIN if old else _details(raw))}
    if old and attributes["mode"] == "nearest" and any(scale < 1 and not (1 / scale).is_integer() for scale in scales):
        raise raw.refuse(f"scales {list(scales)}", "scales that leave no doubt which element is the nearest")
    if attributes["coordinate"] == "tf_crop_and_resize":
        attributes["roi"] = _roi(raw, len(shape))
    result = raw.outputs[0]
    node = Node("Resize", raw.name, raw.inputs[:1], (result,), attributes, (raw.op,))
    return Expansion((node,), {result: sizes})


_PLAIN: dict[str, Any] = {
    "coordinate": "asymmetric",
    "nearest": "floor",
    "cubic_coeff_a": -0.75,
    "exclude_outside": False,
    "antialias": False,
    "extrapolation_value": 0.0,
}


def _details(raw: RawNode) -> dict[str, Any]:
    given = raw.attributes
    return {
        "coordinate": _word(raw, "coordinate_transformation_mode"),
        "nearest": _word(raw, "nearest_mode"),
        "cubic_coeff_a": float(given.get("cubic_coeff_a", -0.75)),
        "exclude_outside": bool(given.get("exclude_outside", 0)),
        "antialias": bool(given.get("antialias", 0)),
        "extrapolation_value": float(given.get("extrapolation_value", 0.0)),
    }


def _floats(raw: RawNode, index: int) -> tuple[float, ...]:
    value = raw.constant(index)
    return () if value is None else tuple(float(item) for item in value.reshape(-1))


def _old_scales(raw: RawNode) -> tuple[tuple[float, ...], tuple[int, ...]]:
    shape = raw.shape(raw.inputs[0])
    scales = _floats(raw, 1)
    return scales, tuple(math.floor(size * scale) for size, scale in zip(shape, scales, strict=True))


def _axes(raw: RawNode, rank: int) -> tuple[int, ...]:
    return raw.axes(raw.attributes.get("axes", range(rank)), rank)


def _scales(raw: RawNode, shape: tuple[int, ...]) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Scales and result sizes of all axes."""
    axes, scales, sizes = _axes(raw, len(shape)), _floats(raw, 2), _floats(raw, 3)
    if bool(scales) == bool(sizes):
        raise raw.refuse(f"scales {list(scales)} and sizes {list(sizes)}", "one of the two")
    if scales:
        every = dict(zip(axes, scales, strict=True))
        factors = tuple(every.get(axis, 1.0) for axis in range(len(shape)))
        return factors, tuple(math.floor(size * scale) for size, scale in zip(shape, factors, strict=True))
    return _from_sizes(raw, shape, dict(zip(axes, map(int, sizes), strict=True)))


def _from_sizes(
    raw: RawNode, shape: tuple[int, ...], wanted: dict[int, int]
) -> tuple[tuple[float, ...], tuple[int, ...]]:
    policy = _word(raw, "keep_aspect_ratio_policy") if raw.opset >= 18 else "stretch"
    factors = {axis: size / shape[axis] for axis, size in wanted.items()}
    if policy != "stretch":
        common = min(factors.values()) if policy == "not_larger" else max(factors.values())
        factors = dict.fromkeys(factors, common)
        wanted = {axis: math.floor(common * shape[axis] + 0.5) for axis in wanted}
    scales = tuple(factors.get(axis, 1.0) for axis in range(len(shape)))
    return scales, tuple(wanted.get(axis, size) for axis, size in enumerate(shape))


def _roi(raw: RawNode, rank: int) -> tuple[float, ...]:
    axes, given = _axes(raw, rank), _floats(raw, 1)
    if len(given) != 2 * len(axes):
        raise raw.refuse(f"roi of {len(given)} numbers", f"{2 * len(axes)} numbers with tf_crop_and_resize")
    starts, ends = [0.0] * rank, [1.0] * rank
    for index, axis in enumerate(axes):
        starts[axis], ends[axis] = given[index], given[index + len(axes)]
    return (*starts, *ends)
