# SPDX-License-Identifier: Apache-2.0
"""The operators of the float level in numpy, batched, NCHW; the arithmetic is that of the operands' dtype.

Written from the ONNX operator specifications. Geometry is explicit: strides and dilations
(y, x), pads (top, left, bottom, right).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = [
    "average_pool",
    "batch_norm",
    "conv",
    "conv_transpose",
    "dequantize",
    "gemm",
    "max_pool",
    "padded_windows",
    "pool_counts",
    "quantize",
    "softmax",
]

Floats = NDArray[Any]
Pair = tuple[int, int]
Pads = tuple[int, int, int, int]


def _padded(x: Floats, pads: Pads, fill: float) -> Floats:
    if not any(pads):
        return x
    top, left, bottom, right = pads
    return np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)


def _windows(x: Floats, kernel: Pair, strides: Pair, dilations: Pair) -> Floats:
    """A view (N, C, out_h, out_w, kh, kw) of a padded tensor."""
    extent = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))
    view = sliding_window_view(x, extent, axis=(2, 3))
    return view[:, :, :: strides[0], :: strides[1], :: dilations[0], :: dilations[1]]


def padded_windows(x: Floats, kernel: Pair, strides: Pair, pads: Pads, dilations: Pair, fill: float = 0.0) -> Floats:
    """What each position of a sliding window sees, (N, C, out_h, out_w, kh, kw), padding included; a view."""
    return _windows(_padded(x, pads, fill), kernel, strides, dilations)


def _taps(windows: Floats) -> Iterator[Floats]:
    """The kernel's elements one by one, each a (N, C, out_h, out_w) view."""
    for row in range(windows.shape[4]):
        for column in range(windows.shape[5]):
            yield windows[..., row, column]


def conv(
    x: Floats, weight: Floats, bias: Floats | None, *, strides: Pair, pads: Pads, dilations: Pair, group: int
) -> Floats:
    """Convolution: x (N, C, H, W), weight (O, C/group, kh, kw), bias (O) -> (N, O, out_h, out_w)."""
    kernel = (weight.shape[2], weight.shape[3])
    windows = padded_windows(x, kernel, strides, pads, dilations)
    count, _, height, width = windows.shape[:4]
    depth = weight[0].size
    columns = windows.transpose(0, 1, 4, 5, 2, 3).reshape(count, group, depth, height * width)
    sums = weight.reshape(group, -1, depth) @ columns
    result = sums.reshape(count, weight.shape[0], height, width)
    return result if bias is None else result + bias.reshape(-1, 1, 1)


def conv_transpose(
    x: Floats,
    weight: Floats,
    bias: Floats | None,
    *,
    strides: Pair,
    pads: Pads,
    dilations: Pair,
    group: int,
    output_padding: Pair,
) -> Floats:
    """Transposed convolution: x (N, C, H, W), weight (C, O/group, kh, kw), bias (O) -> (N, O, out_h, out_w).

    Every input element adds the kernel, times its value, to the output; ``pads`` are cut off the result.
    """
    count, channels, *size = x.shape
    kernel = (weight.shape[2], weight.shape[3])
    spans = [(n - 1) * s + 1 for n, s in zip(size, strides, strict=True)]
    full = [n + (k - 1) * d + e for n, k, d, e in zip(spans, kernel, dilations, output_padding, strict=True)]
    result = np.zeros((count, group * weight.shape[1], *full), x.dtype)
    grouped = x.reshape(count, group, channels // group, -1)
    for row, column in np.ndindex(kernel):
        tap = weight[:, :, row, column].reshape(group, channels // group, -1).swapaxes(1, 2)
        top, left = row * dilations[0], column * dilations[1]
        target = result[:, :, top : top + spans[0] : strides[0], left : left + spans[1] : strides[1]]
        target += (tap @ grouped).reshape(target.shape)
    cut = result[:, :, pads[0] : full[0] - pads[2], pads[1] : full[1] - pads[3]]
    return cut if bias is None else cut + bias.reshape(-1, 1, 1)


def gemm(a: Floats, b: Floats, c: Floats | None, *, alpha: float, beta: float, trans_a: bool, trans_b: bool) -> Floats:
    """``alpha * A @ B + beta * C`` with optional transposition."""
    product = alpha * ((a.T if trans_a else a) @ (b.T if trans_b else b))
    return np.asarray(product if c is None else product + beta * c)


def batch_norm(x: Floats, scale: Floats, bias: Floats, mean: Floats, variance: Floats, epsilon: float) -> Floats:
    """Inference-time batch normalisation over axis 1."""
    shape = (-1,) + (1,) * (x.ndim - 2)
    factor = scale / np.sqrt(variance + epsilon)
    return x * factor.reshape(shape) + (bias - mean * factor).reshape(shape)


def max_pool(x: Floats, *, kernel: Pair, strides: Pair, pads: Pads, dilations: Pair) -> Floats:
    """Maximum over each window; padding never wins."""
    taps = _taps(padded_windows(x, kernel, strides, pads, dilations, -np.inf))
    result = next(taps).copy()
    for tap in taps:
        np.maximum(result, tap, out=result)
    return result


def pool_counts(size: Pair, *, kernel: Pair, strides: Pair, pads: Pads, dilations: Pair, padding: bool) -> Floats:
    """How many elements each window averages over, (1, 1, out_h, out_w); with ``padding``, padded ones count."""
    ones = _padded(np.ones((1, 1, *size)), pads, float(padding))
    windows: Floats = _windows(ones, kernel, strides, dilations)
    return np.asarray(windows.sum(axis=(4, 5)))


def average_pool(
    x: Floats, *, kernel: Pair, strides: Pair, pads: Pads, dilations: Pair, count_include_pad: bool
) -> Floats:
    """Mean over each window."""
    total = sum(_taps(padded_windows(x, kernel, strides, pads, dilations)), start=x.dtype.type(0))
    counts = pool_counts(
        (x.shape[2], x.shape[3]),
        kernel=kernel,
        strides=strides,
        pads=pads,
        dilations=dilations,
        padding=count_include_pad,
    )
    return np.asarray(total / counts.astype(x.dtype))


def softmax(x: Floats, axis: int) -> Floats:
    """Softmax along one axis."""
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis=axis, keepdims=True))


def _along(value: Floats, axis: int, rank: int) -> Floats:
    """A per-axis parameter shaped to broadcast against a tensor of ``rank``."""
    return value.reshape(()) if value.size == 1 else value.reshape((-1,) + (1,) * (rank - 1 - axis))


def quantize(x: Floats, scale: Floats, zero_point: NDArray[Any], axis: int) -> Floats:
    """QuantizeLinear to the zero point's integer type; the integers come back in the dtype of ``x``."""
    limits = np.iinfo(zero_point.dtype)
    levels = np.rint(x / _along(scale, axis, x.ndim)) + _along(zero_point.astype(x.dtype), axis, x.ndim)
    return np.asarray(np.clip(levels, limits.min, limits.max))


def dequantize(q: NDArray[Any], scale: Floats, zero_point: NDArray[Any], axis: int) -> Floats:
    """DequantizeLinear in the arithmetic of ``scale``."""
    offset = _along(zero_point.astype(scale.dtype), axis, q.ndim)
    return np.asarray((q.astype(scale.dtype) - offset) * _along(scale, axis, q.ndim))
