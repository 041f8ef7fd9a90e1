# SPDX-License-Identifier: Apache-2.0
"""Resize in numpy, axis by axis; written from the ONNX specification of operator set 19.

Along one axis every result element is a weighted sum of input elements around a coordinate: the kernel is a triangle
for linear interpolation, and for cubic that of Keys (*Cubic Convolution Interpolation for Digital Image Processing*,
1981); where ``antialias`` shrinks an axis it is stretched by 1 / scale. Coordinates are float32, as runtimes have them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ResizeRule", "resize"]

Array = NDArray[Any]


@dataclass(frozen=True)
class ResizeRule:
    """The attributes of a Resize but for scales and roi, under the names of the float level."""

    mode: str
    coordinate: str
    nearest: str
    cubic_coeff_a: float
    exclude_outside: bool
    antialias: bool
    extrapolation_value: float

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> ResizeRule:
        """The rule among the attributes of a Resize of the float level."""
        return cls(**{key: attributes[key] for key in cls.__dataclass_fields__})


@dataclass(frozen=True)
class _Axis:
    """One axis of a Resize: its number of elements before and after, its scale, its region of interest."""

    before: int
    after: int
    scale: np.float32
    region: tuple[float, float]


def resize(
    x: Array,
    sizes: Sequence[int | None],
    scales: Sequence[float],
    regions: Sequence[tuple[float, float]],
    rule: ResizeRule,
) -> Array:
    """``x`` with ``sizes`` elements along its axes (None: the axis stays as it is); regions are for cropping only."""
    outside = np.zeros((1,) * x.ndim, bool)
    for number, (size, scale, region) in enumerate(zip(sizes, scales, regions, strict=True)):
        if size is None:
            continue
        axis = _Axis(x.shape[number], size, np.float32(scale), region)
        places = _COORDINATES[rule.coordinate](axis, np.arange(size, dtype=np.float32))
        x = _along(x, number, axis, places, rule)
        if rule.coordinate == "tf_crop_and_resize":
            beyond = (places < 0) | (places > axis.before - 1)
            outside = outside | beyond.reshape([-1 if place == number else 1 for place in range(x.ndim)])
    return np.asarray(np.where(outside, x.dtype.type(rule.extrapolation_value), x))


def _along(x: Array, number: int, axis: _Axis, places: Array, rule: ResizeRule) -> Array:
    if rule.mode == "nearest":
        nearest = np.clip(_ROUNDINGS[rule.nearest](places).astype(int), 0, axis.before - 1)
        return np.asarray(np.take(x, nearest, number))
    weights = _weights(axis, places, rule).astype(x.dtype)
    return np.moveaxis(np.moveaxis(x, number, -1) @ weights.T, -1, number)


def _half_pixel(axis: _Axis, x: Array) -> Array:
    return np.asarray((x + np.float32(0.5)) / axis.scale - np.float32(0.5))


def _half_pixel_symmetric(axis: _Axis, x: Array) -> Array:
    adjustment = axis.after / (axis.before * float(axis.scale))
    offset = np.float32(axis.before / 2 * (1 - adjustment))
    return np.asarray(offset + _half_pixel(axis, x))


def _pytorch_half_pixel(axis: _Axis, x: Array) -> Array:
    return _half_pixel(axis, x) if axis.after > 1 else np.zeros_like(x)


def _align_corners(axis: _Axis, x: Array) -> Array:
    """The length between the corners is not rounded, as ONNX's own backend tests have it."""
    if axis.after == 1:
        return np.zeros_like(x)
    return np.asarray(x * np.float32(axis.before - 1) / (np.float32(axis.before) * axis.scale - np.float32(1)))


def _asymmetric(axis: _Axis, x: Array) -> Array:
    return np.asarray(x / axis.scale)


def _crop(axis: _Axis, x: Array) -> Array:
    (start, end), last = axis.region, axis.before - 1
    if axis.after == 1:
        return np.full_like(x, 0.5 * (start + end) * last)
    return np.asarray(np.float32(start * last) + x * np.float32((end - start) * last / (axis.after - 1)))


_COORDINATES: Mapping[str, Callable[[_Axis, Array], Array]] = {
    "align_corners": _align_corners,
    "asymmetric": _asymmetric,
    "half_pixel": _half_pixel,
    "half_pixel_symmetric": _half_pixel_symmetric,
    "pytorch_half_pixel": _pytorch_half_pixel,
    "tf_crop_and_resize": _crop,
}
"""Where in the input a result element lies."""

_ROUNDINGS: Mapping[str, Callable[[Array], Array]] = {
    "ceil": np.ceil,
    "floor": np.floor,
    "round_prefer_ceil": lambda places: np.asarray(np.floor(places + np.float32(0.5))),
    "round_prefer_floor": lambda places: np.asarray(np.ceil(places - np.float32(0.5))),
}


def _weights(axis: _Axis, places: Array, rule: ResizeRule) -> Array:
    """(after, before): what each result element takes of each input element, float64.

    Elements beyond an end count as the end's, or with ``exclude_outside`` not at all.
    """
    stretch = max(1.0, 1 / float(axis.scale)) if rule.antialias else 1.0
    reach = math.ceil((1 if rule.mode == "linear" else 2) * stretch)
    centres = np.floor(places).astype(int)
    taps = centres[:, None] + np.arange(1 - reach, reach + 1)
    distance = np.abs(taps - places.astype(np.float64)[:, None]) / stretch
    shares = _triangle(distance) if rule.mode == "linear" else _keys(distance, rule.cubic_coeff_a)
    if rule.exclude_outside:
        shares = np.where((taps < 0) | (taps >= axis.before), 0.0, shares)
    if rule.exclude_outside or rule.antialias:
        shares = shares / shares.sum(axis=1, keepdims=True)
    result = np.zeros((axis.after, axis.before))
    np.add.at(result, (np.arange(axis.after)[:, None], np.clip(taps, 0, axis.before - 1)), shares)
    return result


def _triangle(distance: Array) -> Array:
    return np.asarray(np.maximum(1 - distance, 0.0))


def _keys(distance: Array, a: float) -> Array:
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((distance - 5) * distance + 8) * distance * a - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
