# SPDX-License-Identifier: Apache-2.0
"""The float level's operators that move or select data, in numpy, for any rank; written from the ONNX specification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["argmax", "concat", "pad", "take"]

Array = NDArray[Any]


def argmax(x: Array, axis: int, *, keepdims: bool, last: bool) -> NDArray[np.int64]:
    """The index of the maximum along an axis; of several the first, or the last."""
    if last:
        return np.asarray(x.shape[axis] - 1 - argmax(np.flip(x, axis), axis, keepdims=keepdims, last=False))
    return np.asarray(np.argmax(x, axis, keepdims=keepdims), np.int64)


def concat(operands: Sequence[Array], axis: int) -> Array:
    """Operands one behind another; one of a single sample is repeated for every sample of the others."""
    count = max(len(operand) for operand in operands)
    if axis == 0 or all(len(operand) == count for operand in operands):
        return np.concatenate(operands, axis)
    return np.concatenate([np.broadcast_to(operand, (count, *operand.shape[1:])) for operand in operands], axis)


def take(x: Array, starts: Sequence[int], steps: Sequence[int], counts: Sequence[int | None]) -> Array:
    """On each axis ``count`` elements from ``start`` on, ``step`` apart (negative: backwards); None: the axis whole."""
    for axis, (start, step, count) in enumerate(zip(starts, steps, counts, strict=True)):
        if count is not None:
            x = np.take(x, start + step * np.arange(count), axis)
    return x


def pad(x: Array, pads: Sequence[int], mode: Literal["constant", "edge", "reflect", "wrap"], value: float) -> Array:
    """``pads``: elements before each axis, then behind each axis, none negative."""
    widths = list(zip(pads[: x.ndim], pads[x.ndim :], strict=True))
    if mode == "constant":
        return np.pad(x, widths, constant_values=x.dtype.type(value))
    return np.pad(x, widths, mode=mode)
