# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from systolith.compiler.observe import BINS, bin_range
from systolith.compiler.quantise_config import Method, QuantiseConfig
from systolith.compiler.ranges import Range, choose_range

Floats = NDArray[np.float64]


def chosen(values: Floats, method: Method, bits: int = 8) -> Range:
    low, high = float(values.min()), float(values.max())
    counts = np.histogram(values, BINS, bin_range(low, high))[0]
    return choose_range(counts, low, high, QuantiseConfig(method=method, act_bits=bits))


def error(values: Floats, ends: Range, bits: int) -> float:
    step = (ends[1] - ends[0]) / (2**bits - 1)
    near = np.clip(np.rint(values / step), round(ends[0] / step), round(ends[1] / step)) * step
    return float(((near - values) ** 2).mean())


def heavy_tails(seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_t(3, 50_000)


@pytest.mark.parametrize("method", ["min-max", "auto", "mse", "entropy", "percentile"])
def test_a_uniform_tensor_keeps_its_range(method: Method) -> None:
    values = np.random.default_rng(0).uniform(-1, 3, 100_000)
    assert chosen(values, method) == pytest.approx((-1, 3), abs=0.1)


@pytest.mark.parametrize("method", ["auto", "mse", "entropy", "percentile"])
def test_rare_large_values_are_cut_off(method: Method) -> None:
    values = heavy_tails()
    low, high = chosen(values, method, bits=4 if method != "percentile" else 8)
    assert values.min() < 1.3 * low < 0
    assert 0 < 1.3 * high < values.max()


def test_mse_has_the_least_error() -> None:
    values = heavy_tails()
    errors = {method: error(values, chosen(values, method, 5), 5) for method in ("min-max", "entropy", "mse")}
    assert min(errors, key=lambda method: errors[method]) == "mse"
    assert errors["mse"] < 0.5 * errors["min-max"]


def test_entropy_is_not_misled_by_the_zeros_of_a_relu() -> None:
    """Half of the values are exactly zero: a peak that would draw the range to it."""
    values = np.maximum(np.random.default_rng(1).normal(0, 1, 100_000), 0)
    low, high = chosen(values, "entropy")
    assert low == 0
    assert high > 0.6 * values.max()


def test_entropy_cuts_where_little_is_lost() -> None:
    values = np.concatenate([np.random.default_rng(2).normal(0, 1, 100_000), [100.0]])
    low, high = chosen(values, "entropy", 4)
    assert high <= 30.1
    assert low == pytest.approx(values.min(), rel=0.8)
