# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from systolith.compiler.reconstruct import added_power, pass_on, reconstruct

Floats = NDArray[np.float64]


def correlated(group: int, size: int, seed: int = 0) -> Floats:
    """Covariances of inputs that move together, as neighbouring pixels do."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(0, 1, (group, size, size // 2)) + 0.5
    return np.asarray(mixing @ mixing.transpose(0, 2, 1) + 0.05 * np.eye(size))


def layer(group: int = 1, bits: int = 4) -> tuple[Floats, Floats, int, Floats]:
    rng = np.random.default_rng(1)
    weight = rng.normal(0, 1, (6, 4, 3, 3)) * rng.uniform(0.01, 2, (6, 1, 1, 1))
    top = 2 ** (bits - 1) - 1
    return weight, np.abs(weight).max(axis=(1, 2, 3)) / top, top, correlated(group, 36)


def nearest(weight: Floats, scale: Floats, top: int) -> NDArray[np.int64]:
    return np.clip(np.rint(weight / scale.reshape(-1, 1, 1, 1)), -top, top).astype(np.int64)


@pytest.mark.parametrize("group", [1, 2, 6])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_outputs_change_less_than_by_rounding_to_nearest(group: int, bits: int) -> None:
    weight, scale, top, covariance = layer(group, bits)
    integers, fitted = reconstruct(weight, scale, top, covariance)
    assert integers.dtype == np.int64
    assert np.abs(integers).max() <= top
    before = added_power(weight, nearest(weight, scale, top), scale, covariance)
    after = added_power(weight, integers, fitted, covariance)
    assert (after < before).all()
    assert after.sum() < 0.5 * before.sum()


@pytest.mark.parametrize("group", [1, 2, 6])
def test_passing_errors_on_is_better_already(group: int) -> None:
    weight, scale, top, covariance = layer(group)
    rows = pass_on(weight.reshape(group, -1, 36), scale.reshape(group, -1), top, covariance)
    integers = rows.astype(np.int64).reshape(weight.shape)
    before = added_power(weight, nearest(weight, scale, top), scale, covariance)
    assert added_power(weight, integers, scale, covariance).sum() < 0.7 * before.sum()


def test_power_is_the_variance_of_the_error() -> None:
    rng = np.random.default_rng(2)
    inputs = rng.normal(0, 1, (500, 4)) @ rng.normal(0, 1, (4, 4))
    weight, integers = rng.normal(0, 1, (2, 4, 1, 1)), rng.integers(-3, 4, (2, 4, 1, 1))
    scale = np.array([0.3, 0.5])
    error = inputs @ (weight - integers * scale.reshape(-1, 1, 1, 1)).reshape(2, 4).T
    covariance = np.cov(inputs.T, bias=True)[None]
    np.testing.assert_allclose(added_power(weight, integers, scale, covariance), error.var(axis=0))


def test_close_to_the_best_of_all_roundings() -> None:
    """Every rounding up or down of a layer of five weights at the fitted scale."""
    rng = np.random.default_rng(3)
    weight, covariance = rng.normal(0, 1, (1, 5, 1, 1)), correlated(1, 5, 4)
    scale = np.abs(weight).max(axis=(1, 2, 3)) / 7
    integers, fitted = reconstruct(weight, scale, 7, covariance)
    floor = np.floor(weight / fitted.reshape(-1, 1, 1, 1))
    choices = [floor + np.reshape(up, weight.shape) for up in itertools.product((-1, 0, 1, 2), repeat=5)]
    powers = [float(added_power(weight, np.clip(q, -7, 7).astype(np.int64), fitted, covariance)[0]) for q in choices]
    assert added_power(weight, integers, fitted, covariance)[0] <= np.quantile(powers, 0.02)


def test_inputs_that_never_vary_leave_the_weights_near() -> None:
    weight, scale, top, _ = layer(bits=8)
    integers, fitted = reconstruct(weight, scale, top, np.zeros((1, 36, 36)))
    np.testing.assert_allclose(integers * fitted.reshape(-1, 1, 1, 1), weight, atol=0.6 * float(scale.max()))


def test_a_row_of_zeros_keeps_its_scale() -> None:
    weight, scale, top, covariance = layer()
    weight[2] = 0
    integers, fitted = reconstruct(weight, scale, top, covariance)
    assert not integers[2].any()
    assert fitted[2] == scale[2]
