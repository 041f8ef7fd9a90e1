# SPDX-License-Identifier: Apache-2.0
"""The operators of the float level in numpy, batched, NCHW; the arithmetic is that of the operands' dtype.

Written from the ONNX operator specifications. Geometry is explicit: strides and dilations (y, x), pads (top, left,
bottom, right). Windows work on any number of axes behind the channels, with as many numbers.
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
    "integer_range",
    "log_softmax",
    "max_pool",
    "padded_windows",
    "pool_counts",
    "quantize",
    "softmax",
]

Floats = NDArray[Any]
Sizes = tuple[int, ...]


def _padded(x: Floats, pads: Sizes, fill: float) -> Floats:
    if not any(pads):
        return x
    half = len(pads) // 2
    return np.pad(x, ((0, 0), (0, 0), *zip(pads[:half], pads[half:], strict=True)), constant_values=fill)


def _windows(x: Floats, kernel: Sizes, strides: Sizes, dilations: Sizes) -> Floats:
    """A view (N, C, out_h, out_w, kh, kw) of a padded tensor."""
    extent = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))
    view = sliding_window_view(x, extent, axis=tuple(range(2, x.ndim)))
    steps = tuple(slice(None, None, step) for step in (*strides, *dilations))
    return np.asarray(view[:, :, *steps])


def padded_windows(
    x: Floats, kernel: Sizes, strides: Sizes, pads: Sizes, dilations: Sizes, fill: float = 0.0
) -> Floats:
    """What each position of a sliding window sees, (N, C, out_h, out_w, kh, kw), padding included; a view."""
    return _windows(_padded(x, pads, fill), kernel, strides, dilations)


def _taps(windows: Floats, kernel: Sizes) -> Iterator[Floats]:
    """The kernel's elements one by one, each a (N, C, out_h, out_w) view."""
    for tap in np.ndindex(kernel):
        yield windows[..., *tap]


def _per_channel(values: Floats, rank: int) -> Floats:
    """A number per channel, shaped to broadcast against a tensor of ``rank``."""
    return values.reshape(-1, *(1,) * (rank - 2))


def conv(
    x: Floats, weight: Floats, bias: Floats | None, *, strides: Sizes, pads: Sizes, dilations: Sizes, group: int
) -> Floats:
    """Convolution: x (N, C, H, W), weight (O, C/group, kh, kw), bias (O) -> (N, O, out_h, out_w)."""
    kernel, axes = weight.shape[2:], x.ndim - 2
    windows = padded_windows(x, kernel, strides, pads, dilations)
    count, size, depth = len(x), windows.shape[2 : 2 + axes], weight[0].size
    order = (0, 1, *range(2 + axes, 2 + 2 * axes), *range(2, 2 + axes))
    columns = windows.transpose(order).reshape(count, group, depth, -1)
    sums = weight.reshape(group, -1, depth) @ columns
    result = sums.reshape(count, weight.shape[0], *size)
    return result if bias is None else result + _per_channel(bias, x.ndim)


def conv_transpose(
    x: Floats,
    weight: Floats,
    bias: Floats | None,
    *,
    strides: Sizes,
    pads: Sizes,
    dilations: Sizes,
    group: int,
    output_padding: Sizes,
) -> Floats:
    """Transposed convolution: x (N, C, H, W), weight (C, O/group, kh, kw), bias (O) -> (N, O, out_h, out_w).

    Every input element adds the kernel, times its value, to the output; ``pads`` are cut off the result.
    """
    count, channels, *size = x.shape
    kernel = weight.shape[2:]
    spans = [(n - 1) * s + 1 for n, s in zip(size, strides, strict=True)]
    full = [n + (k - 1) * d + e for n, k, d, e in zip(spans, kernel, dilations, output_padding, strict=True)]
    result = np.zeros((count, group * weight.shape[1], *full), x.dtype)
    grouped = x.reshape(count, group, channels // group, -1)
    for tap in np.ndindex(kernel):
        share = weight[:, :, *tap].reshape(group, channels // group, -1).swapaxes(1, 2) @ grouped
        starts = [at * step for at, step in zip(tap, dilations, strict=True)]
        places = tuple(slice(a, a + n, s) for a, n, s in zip(starts, spans, strides, strict=True))
        target = result[:, :, *places]
        target += share.reshape(target.shape)
    kept = tuple(slice(a, n - b) for n, a, b in zip(full, pads, pads[len(full) :], strict=False))
    cut = result[:, :, *kept]
    return cut if bias is None else cut + _per_channel(bias, x.ndim)


def gemm(a: Floats, b: Floats, c: Floats | None, *, alpha: float, beta: float, trans_a: bool, trans_b: bool) -> Floats:
    """``alpha * A @ B + beta * C`` with optional transposition."""
    product = alpha * ((a.T if trans_a else a) @ (b.T if trans_b else b))
    return np.asarray(product if c is None else product + beta * c)


def batch_norm(x: Floats, scale: Floats, bias: Floats, mean: Floats, variance: Floats, epsilon: float) -> Floats:
    """Inference-time batch normalisation over axis 1."""
    shape = (-1,) + (1,) * (x.ndim - 2)
    factor = scale / np.sqrt(variance + epsilon)
    return x * factor.reshape(shape) + (bias - mean * factor).reshape(shape)


def max_pool(x: Floats, *, kernel: Sizes, strides: Sizes, pads: Sizes, dilations: Sizes) -> Floats:
    """Maximum over each window; padding never wins."""
    taps = _taps(padded_windows(x, kernel, strides, pads, dilations, -np.inf), kernel)
    result = next(taps).copy()
    for tap in taps:
        np.maximum(result, tap, out=result)
    return result


def pool_counts(size: Sizes, *, kernel: Sizes, strides: Sizes, pads: Sizes, dilations: Sizes, padding: bool) -> Floats:
    """How many elements each window averages over, (1, 1, out_h, out_w); with ``padding``, padded ones count."""
    ones = _padded(np.ones((1, 1, *size)), pads, float(padding))
    windows: Floats = _windows(ones, kernel, strides, dilations)
    return np.asarray(windows.sum(axis=tuple(range(2 + len(size), windows.ndim))))


def average_pool(
    x: Floats, *, kernel: Sizes, strides: Sizes, pads: Sizes, dilations: Sizes, count_include_pad: bool
) -> Floats:
    """Mean over each window."""
    total = sum(_taps(padded_windows(x, kernel, strides, pads, dilations), kernel), start=x.dtype.type(0))
    counts = pool_counts(
        x.shape[2:],
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


def log_softmax(x: Floats, axis: int) -> Floats:
    """The logarithm of :func:`softmax`, without its underflow."""
    lowered = x - x.max(axis=axis, keepdims=True)
    return np.asarray(lowered - np.log(np.exp(lowered).sum(axis=axis, keepdims=True)))


def _along(value: Floats, axis: int, shape: Sizes, block: int) -> Floats:
    """A parameter per axis or per block of an axis, shaped to broadcast against a tensor of ``shape``."""
    if value.size == 1:
        return value.reshape(())
    if block:
        return np.take(np.repeat(value, block, axis), np.arange(shape[axis]), axis)
    return value.reshape((-1,) + (1,) * (len(shape) - 1 - axis))


def integer_range(dtype: np.dtype[Any]) -> tuple[int, int]:
    """The limits of an integer type, types of less than 8 bits included, which numpy itself does not know."""
    bits = int(dtype.name.lstrip("uint"))
    return (0, (1 << bits) - 1) if dtype.name.startswith("u") else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def quantize(
    x: Floats, scale: Floats, zero_point: NDArray[Any], axis: int, block: int = 0, *, ties_with_zero: bool = False
) -> Floats:
    """QuantizeLinear to the zero point's integer type; the integers come back in the dtype of ``x``.

    With ``ties_with_zero`` the zero point is added before rounding.
    """
    offset = _along(zero_point.astype(x.dtype), axis, x.shape, block)
    steps = x / _along(scale, axis, x.shape, block)
    levels = np.rint(steps + offset) if ties_with_zero else np.rint(steps) + offset
    return np.asarray(np.clip(levels, *integer_range(zero_point.dtype)))


def dequantize(q: NDArray[Any], scale: Floats, zero_point: NDArray[Any], axis: int, block: int = 0) -> Floats:
    """DequantizeLinear in the arithmetic of ``scale``."""
    offset = _along(zero_point.astype(scale.dtype), axis, q.shape, block)
    return np.asarray((q.astype(scale.dtype) - offset) * _along(scale, axis, q.shape, block))
