# SPDX-License-Identifier: Apache-2.0
"""Round a layer's weights so that its output, not the weights, changes least.

With the covariance H of what the kernel meets, integers q of scale s add the power ``(w - s q) H (w - s q)`` to an
output; its mean is the bias correction's task. Rounding one weight after the other, each error is passed on to those
that are not rounded yet (Frantar et al., *GPTQ*, 2023); then single integers are changed as long as that lowers the
power (coordinate descent: Behdin et al., *QuantEase*, 2023), and the scale is fitted to the integers by least squares,
in turns.

Measured on MLPerf Tiny's float networks with 4-bit weights everywhere, signal to noise at the outputs, to nearest and
reconstructed: ResNet-8 15.4 and 21.4 dB (84.6 % and 87.6 % of 500 test images right, 89.0 % in float), DS-CNN 18.4 and
22.0 dB, MobileNetV1 8.3 and 14.5 dB, autoencoder 23.6 and 25.9 dB. With 8 bits the gain is between -0.5 and 1.2 dB.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["added_power", "pass_on", "reconstruct"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_DAMPING = 0.03
"""What is added to the diagonal of H, of its mean: calibration sees too few samples to trust every direction."""

_TURNS = 3
"""Fits of the scale, each with a descent behind it."""

_SWEEPS = 20
"""Most passes of a descent over all weights; it mostly ends after five."""


def reconstruct(weight: Floats, scale: Floats, top: int, covariance: Floats) -> tuple[Ints, Floats]:
    """Integers and scales of a layer.

    Args:
        weight: real weights (O, I/group, kh, kw).
        scale: the scales to begin with (O,), positive.
        top: largest magnitude of an integer.
        covariance: of what each group's kernel meets, (group, K, K) with K = I/group * kh * kw.

    Returns:
        Integers of the weights' shape, and scales (O,) within a factor of two of those given.
    """
    damped = _damped(covariance)
    rows = weight.reshape(len(covariance), -1, covariance.shape[1])
    first = scale.reshape(rows.shape[:2])
    fitted, integers = first, pass_on(rows, first, top, damped)
    for turn in range(_TURNS + 1):
        integers = _descend(rows, integers, fitted, top, damped)
        if turn < _TURNS:
            fitted = np.clip(_fit(rows, integers, first, damped), first / 2, first * 2)
    return integers.astype(np.int64).reshape(weight.shape), fitted.reshape(-1)


def added_power(weight: Floats, integers: Ints, scale: Floats, covariance: Floats) -> Floats:
    """The power that rounding adds to each output, (O,), without that of the mean."""
    error = weight - integers * scale.reshape(-1, 1, 1, 1)
    rows = error.reshape(len(covariance), -1, covariance.shape[1])
    return np.asarray(np.einsum("goi,gij,goj->go", rows, covariance, rows).reshape(-1))


def _damped(covariance: Floats) -> Floats:
    size = covariance.shape[1]
    mean = np.trace(covariance, axis1=1, axis2=2) / size
    # Where nothing ever varies, the weights themselves are what is left to keep.
    added = np.where(mean > 0, _DAMPING * mean, 1.0)
    return covariance + added[:, None, None] * np.eye(size)


def _nearest(values: Floats, top: int) -> Floats:
    return np.clip(np.rint(values), -top, top)


def pass_on(rows: Floats, scale: Floats, top: int, covariance: Floats) -> Floats:
    """GPTQ: round column by column; the upper Cholesky factor of the inverse says where an error goes.

    Args:
        rows: real weights (group, O/group, K).
        scale: (group, O/group).
        top: largest magnitude of an integer.
        covariance: (group, K, K), regular.
    """
    upper = np.linalg.cholesky(np.linalg.inv(covariance)).transpose(0, 2, 1)
    left, integers = rows.copy(), np.zeros_like(rows)
    for column in range(rows.shape[2]):
        integers[:, :, column] = _nearest(left[:, :, column] / scale, top)
        error = (left[:, :, column] - integers[:, :, column] * scale) / upper[:, column, column, None]
        left[:, :, column:] -= error[:, :, None] * upper[:, None, column, column:]
    return integers


def _descend(rows: Floats, integers: Floats, scale: Floats, top: int, covariance: Floats) -> Floats:
    """Set each integer to the best one given all others, until none changes."""
    integers = integers.copy()
    slope = (rows - integers * scale[..., None]) @ covariance
    for _ in range(_SWEEPS):
        changed = False
        for column in range(rows.shape[2]):
            wanted = integers[:, :, column] + slope[:, :, column] / (covariance[:, column, column, None] * scale)
            change = _nearest(wanted, top) - integers[:, :, column]
            if change.any():
                changed = True
                integers[:, :, column] += change
                slope -= (change * scale)[:, :, None] * covariance[:, column, None, :]
        if not changed:
            break
    return integers


def _fit(rows: Floats, integers: Floats, scale: Floats, covariance: Floats) -> Floats:
    """The scale of each row that its integers suit best; ``scale`` for a row of zeros."""
    seen = integers @ covariance
    power = (seen * integers).sum(axis=2)
    return np.where(power > 0, (seen * rows).sum(axis=2) / np.where(power > 0, power, 1.0), scale)
