# SPDX-License-Identifier: Apache-2.0
"""Integers for the weights and bias of one layer, and the proof that its sums fit the accumulator.

Weights are symmetric, one scale per output channel: of the scales that clip the largest weights by up to half, the one
with the smallest squared error. They are rounded to nearest or, given the covariance of what they meet, so that the
output changes least (:mod:`.reconstruct`). The bias has the accumulator's scale, ``input_scale * weight_scale``, and
takes back what rounding the weights adds to the output on average (bias correction, Nagel et al., *Data-Free
Quantization Through Weight Equalization and Bias Correction*, 2019, section 4.2, with measured means).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import QuantisationError
from .ir import QParams
from .quantise_config import QuantiseConfig
from .reconstruct import reconstruct

__all__ = ["QuantisedWeights", "check_sums", "quantise_weights"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_SHARES = np.linspace(1.0, 0.5, 51)
"""Shares of the largest weight that are tried as the range's end."""


@dataclass(frozen=True)
class QuantisedWeights:
    """A layer in integers: real weight = ``scale * weight``, real bias = ``input_scale * scale * bias``."""

    weight: Ints
    bias: Ints
    scale: Floats


def quantise_weights(
    name: str,
    weight: Floats,
    bias: Floats,
    mean_input: Floats,
    source: QParams,
    config: QuantiseConfig,
    covariance: Floats | None = None,
    spare: float = 1.0,
) -> QuantisedWeights:
    """Quantise a layer.

    Args:
        name: the layer's node, for its bits and for the refusal.
        weight: real weights (O, I/group, kh, kw).
        bias: real bias (O).
        mean_input: what each weight meets on average, of the weights' shape.
        source: the quantisation of the layer's input.
        config: bits and granularity.
        covariance: of what each group's kernel meets, (group, K, K), if the weights shall be reconstructed.
        spare: the scale of a layer whose weights are all zero.

    Raises:
        QuantisationError: a sum can overflow the accumulator.
    """
    top = (1 << (config.bits_of(name) - 1)) - 1
    scale = _filled(_scales(weight.reshape(len(weight), -1), top, per_channel=config.per_channel), spare)
    rounded = _rounded(weight, scale, top)
    if covariance is not None and config.per_channel:
        rounded, scale = reconstruct(weight, scale, top, covariance)
    least = _least_scale(rounded, bias, source, config)
    enough = (scale >= least).reshape(-1, 1, 1, 1)
    scale = np.maximum(scale, least)
    rounded = np.where(enough, rounded, _rounded(weight, scale, top))
    bias = bias - _mean_shift(weight, rounded, scale, mean_input)
    integers = np.rint(bias / (source.scale * scale)).astype(np.int64)
    check_sums(name, rounded, integers, source, config)
    return QuantisedWeights(rounded, integers, scale)


def _rounded(weight: Floats, scale: Floats, top: int) -> Ints:
    scaled = weight / scale.reshape(-1, 1, 1, 1)
    return np.clip(np.rint(scaled), -top, top).astype(np.int64)


def _scales(rows: Floats, top: int, *, per_channel: bool) -> Floats:
    """The scale of each row with the least squared error; zero for a row of zeros."""
    if not per_channel:
        return np.full(len(rows), _scales(rows.reshape(1, -1), top, per_channel=True)[0])
    full = np.abs(rows).max(axis=1) / top
    errors = np.stack([_squared_error(rows, full * share, top) for share in _SHARES])
    return np.asarray(full * _SHARES[errors.argmin(axis=0)])


def _squared_error(rows: Floats, scale: Floats, top: int) -> Floats:
    step = np.where(scale > 0, scale, 1.0)[:, None]
    near = np.clip(np.rint(rows / step), -top, top) * step
    return np.asarray(((near - rows) ** 2).sum(axis=1))


def _mean_shift(weight: Floats, rounded: Ints, scale: Floats, mean_input: Floats) -> Floats:
    """How much rounding the weights moves each output on average."""
    error = rounded * scale.reshape(-1, 1, 1, 1) - weight
    return np.asarray((error * mean_input).sum(axis=(1, 2, 3)))


def _filled(scale: Floats, spare: float) -> Floats:
    """A row of zeros takes the largest scale of the others, so that its bias has a sensible one."""
    largest = float(scale.max(initial=0.0))
    return np.where(scale > 0, scale, largest if largest > 0 else spare)


def _extent(weight: Ints, low: int, high: int) -> tuple[Ints, Ints]:
    """Smallest and largest sum per output for inputs in ``[low, high]``; partial sums lie between them."""
    rows = weight.reshape(len(weight), -1)
    return np.minimum(rows * low, rows * high).sum(axis=1), np.maximum(rows * low, rows * high).sum(axis=1)


def _least_scale(weight: Ints, bias: Floats, source: QParams, config: QuantiseConfig) -> Floats:
    """The weight scale from which on the bias fits the accumulator beside the sums."""
    low, high = _extent(weight, source.low - source.zero_point, source.high - source.zero_point)
    room = (1 << (config.acc_bits - 1)) - 1 - np.maximum(-low, high)
    # Half of the room: the zero point's share of the sums travels in the hardware's bias.
    return np.asarray(np.abs(bias) / (source.scale * np.maximum(room // 2, 1)))


def check_sums(name: str, weight: Ints, bias: Ints, source: QParams, config: QuantiseConfig) -> None:
    """Sums of stored integers, the bias with the zero point's share, and the total must all fit the accumulator.

    Args:
        name: the layer's node.
        weight: (O, I/group, kh, kw).
        bias: (O).
        source: the quantisation of the layer's input.
        config: bits.

    Raises:
        QuantisationError: one does not.
    """
    raw_low, raw_high = _extent(weight, source.low, source.high)
    low, high = _extent(weight, source.low - source.zero_point, source.high - source.zero_point)
    stored = bias - source.zero_point * weight.reshape(len(weight), -1).sum(axis=1)
    smallest = np.minimum.reduce([raw_low, low + bias, stored])
    largest = np.maximum.reduce([raw_high, high + bias, stored])
    reach = np.maximum(-smallest - 1, largest)
    worst = int(reach.argmax())
    needed = int(reach[worst]).bit_length() + 1
    if needed > config.acc_bits:
        raise QuantisationError(
            f"node {name!r}: sums of output channel {worst} ({weight[0].size} products of {source.bits}-bit "
            f"activations and {config.bits_of(name)}-bit weights) need {needed} accumulator bits; accepted: "
            f"{config.acc_bits}; use an arch with a wider acc_bits or narrower weights"
        )
