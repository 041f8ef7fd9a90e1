# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from systolith.compiler.fixed_np import make_scalers, requantise, residual_add, residual_multiply, round_shift
from systolith.spec import fixed
from systolith.spec.fixed import LaneWidths

WIDTHS = [
    LaneWidths(4, 24),
    LaneWidths(8, 32),
    LaneWidths(16, 48),
    LaneWidths(16, 64),
    LaneWidths(8, 32, 2),
    LaneWidths(16, 64, 4),
]
SEED = 31


def edge_values(bits: int) -> list[int]:
    """Values around zero, around every power of two, and at both ends of a signed range of ``bits`` bits."""
    top = 1 << (bits - 1)
    around = {sign * (1 << power) + step for power in range(bits) for sign in (-1, 1) for step in (-1, 0, 1)}
    return sorted(value for value in around if -top <= value < top)


def edge_scalers(widths: LaneWidths) -> list[fixed.Scaler]:
    """Every shift with the smallest and the largest multipliers of the field, and some real factors."""
    fields = [0, 1, 1 << (widths.mult - 1), (1 << widths.mult) - 1]
    every = [fixed.Scaler(multiplier, shift) for shift in range(widths.max_shift + 1) for multiplier in fields]
    return every + [fixed.make_scaler(real, widths) for real in (3.98, 1.0, 0.5, 1 / 3, 2.0**-16, 1e-9, 1e-30)]


@pytest.mark.parametrize("widths", WIDTHS)
def test_requantise_equals_the_normative_one_at_the_edges(widths: LaneWidths) -> None:
    acc, scalers = edge_values(widths.acc_bits), edge_scalers(widths)
    low, high = -(1 << widths.act_bits), (1 << widths.act_bits) - 1
    multiplier, shift = np.array([[s.multiplier, s.shift] for s in scalers]).T[:, :, None]
    got = requantise(np.array(acc), multiplier, shift, low, high, widths)
    want = [[fixed.requantise(value, scaler, low, high, widths) for value in acc] for scaler in scalers]
    assert got.tolist() == want


@pytest.mark.parametrize("widths", WIDTHS)
def test_ties_go_to_even(widths: LaneWidths) -> None:
    half = make_scalers([0.5], widths)
    acc = np.arange(-9, 10)
    got = requantise(acc, *half, -100, 100, widths)
    assert got.tolist() == [round(value / 2) for value in range(-9, 10)]


@pytest.mark.parametrize("widths", WIDTHS)
def test_requantise_equals_the_normative_one_on_random_values(widths: LaneWidths) -> None:
    rng = np.random.default_rng(SEED)
    reals = np.exp(rng.uniform(np.log(1e-6), np.log(3.9), 300))
    reach = np.minimum(2.0 ** (widths.act_bits + 1) / reals, 2.0 ** (widths.acc_bits - 1) - 1)
    acc = rng.integers(-reach, reach + 1, (20, 300))
    multiplier, shift = make_scalers(reals, widths)
    low, high = -(1 << widths.act_bits) + 3, (1 << (widths.act_bits - 1)) - 5
    got = requantise(acc, multiplier, shift, low, high, widths)
    scalers = [fixed.make_scaler(float(real), widths) for real in reals]
    want = [[fixed.requantise(int(v), s, low, high, widths) for v, s in zip(row, scalers, strict=True)] for row in acc]
    assert got.tolist() == want


@pytest.mark.parametrize("widths", WIDTHS)
def test_residual_add_equals_the_normative_one(widths: LaneWidths) -> None:
    rng = np.random.default_rng(SEED)
    top = 1 << widths.act_bits
    own, other = (np.append(rng.integers(-top, top, 500), [-top, top - 1]) for _ in range(2))
    for factors in [(7.9, 7.9), (1.0, 0.5), (0.3, 2.0**-30), tuple(rng.uniform(0.01, 2, 2))]:
        m_own, m_other = (fixed.make_add_multiplier(float(real), widths) for real in factors)
        for low, high in [(-top, top), (-3, top // 3)]:
            got = residual_add(own, other, m_own, m_other, low, high, widths)
            pairs = zip(own.tolist(), other.tolist(), strict=True)
            assert got.tolist() == [fixed.residual_add(a, b, m_own, m_other, low, high, widths) for a, b in pairs]


@pytest.mark.parametrize("widths", WIDTHS)
def test_residual_multiply_equals_the_normative_one(widths: LaneWidths) -> None:
    rng = np.random.default_rng(SEED)
    limit, top = 1 << (widths.own - 1), 1 << widths.act_bits
    own = np.append(rng.integers(-limit, limit, 500), [-limit, limit - 1])
    other = np.append(rng.integers(-top, top, 500), [-top, top - 1])
    for low, high in [(-top, top), (-3, top // 3)]:
        got = residual_multiply(own, other, low, high, widths)
        pairs = zip(own.tolist(), other.tolist(), strict=True)
        assert got.tolist() == [fixed.residual_multiply(a, b, low, high, widths) for a, b in pairs]


@settings(max_examples=200)
@given(st.lists(st.integers(-(1 << 62), 1 << 62), min_size=1), st.integers(1, 61))
def test_round_shift(values: list[int], shift: int) -> None:
    got = round_shift(np.array(values, dtype=np.int64), shift)
    assert got.tolist() == [fixed.round_shift(value, shift) for value in values]


def test_an_impossible_factor_is_refused() -> None:
    with pytest.raises(fixed.UnrepresentableScale, match="must be below 4, got 5.0"):
        make_scalers([1.0, 5.0], WIDTHS[1])
