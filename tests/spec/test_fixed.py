# SPDX-License-Identifier: Apache-2.0
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from systolith.spec.fixed import (
    FINER,
    LaneWidths,
    UnrepresentableScale,
    make_add_multiplier,
    make_scaler,
    requantise,
    residual_add,
    residual_multiply,
    round_shift,
)

WIDTHS = [LaneWidths(4, 24), LaneWidths(8, 32), LaneWidths(16, 48), LaneWidths(8, 32, 2), LaneWidths(16, 64, 4)]
WIDE = 1 << 40

factors = st.floats(min_value=2.0**-18, max_value=3.98)


def test_eight_bit_lane_is_18_by_16() -> None:
    eight = LaneWidths(8, 32)
    assert (eight.operand, eight.mult, eight.guard, eight.post, eight.shift) == (18, 16, 8, 24, 6)


def test_precision_widens_operand_and_multipliers() -> None:
    wide = LaneWidths(8, 32, 2)
    assert (wide.operand, wide.mult, wide.guard, wide.post, wide.add_mult, wide.add_post) == (20, 20, 10, 30, 19, 16)


@given(st.integers(-(1 << 60), 1 << 60), st.integers(1, 40))
def test_round_shift_is_round_half_to_even(value: int, shift: int) -> None:
    assert round_shift(value, shift) == round(Fraction(value, 1 << shift))


@pytest.mark.parametrize("widths", WIDTHS)
@given(real=factors, data=st.data())
def test_requantise_is_within_its_documented_error(widths: LaneWidths, real: float, data: st.DataObject) -> None:
    reach = min(int(2.0 ** (widths.act_bits + 1) / real), (1 << (widths.acc_bits - 1)) - 1)
    acc = data.draw(st.integers(-reach, reach))
    low, high = -(1 << widths.act_bits) + 1, (1 << widths.act_bits) - 1
    got = requantise(acc, make_scaler(real, widths), low, high, widths)
    exact = acc * Fraction(real)
    bound = Fraction(1, 2) + Fraction(1, 1 << widths.guard) + Fraction(1 << widths.act_bits, 1 << widths.mult)
    clamped = max(Fraction(low), min(Fraction(high), exact))
    assert abs(got - clamped) <= bound


@given(real=st.integers(-10, 1), acc=st.integers(-(1 << 20), 1 << 20))
def test_powers_of_two_are_exact_with_ties_to_even(real: int, acc: int) -> None:
    got = requantise(acc, make_scaler(2.0**real, LaneWidths(8, 32)), -255, 255, LaneWidths(8, 32))
    # 8 guard bits: exact while the pre-shift drops nothing
    if real >= -8:
        assert got == max(-255, min(255, round(acc * Fraction(2) ** real)))


@pytest.mark.parametrize("widths", WIDTHS)
@given(real=factors)
def test_multipliers_use_all_their_bits(widths: LaneWidths, real: float) -> None:
    scaler = make_scaler(real, widths)
    assert scaler.multiplier.bit_length() == widths.mult
    assert 0 <= scaler.shift <= widths.max_shift
    held = scaler.multiplier * Fraction(2) ** (widths.headroom - scaler.shift - widths.post)
    assert abs(held - Fraction(real)) <= Fraction(real) / (1 << widths.mult)


def test_a_multiplier_that_rounds_up_to_a_power_of_two() -> None:
    widths = LaneWidths(8, 32)
    assert make_scaler(1.0 - 2.0**-20, widths) == make_scaler(1.0, widths)


def test_vanishing_multipliers_become_zero() -> None:
    assert make_scaler(2.0**-80, LaneWidths(8, 32)).multiplier == 0


@pytest.mark.parametrize("real", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_factors_are_refused(real: float) -> None:
    with pytest.raises(UnrepresentableScale, match="finite and positive"):
        make_scaler(real, WIDTHS[1])
    with pytest.raises(UnrepresentableScale, match="finite and positive"):
        make_add_multiplier(real, WIDTHS[1])


@pytest.mark.parametrize("real", [4.0, 3.99999])
def test_the_largest_requantise_factor(real: float) -> None:
    with pytest.raises(UnrepresentableScale, match="must be below 4"):
        make_scaler(real, WIDTHS[1])


def test_the_largest_add_factor() -> None:
    assert make_add_multiplier(7.9999, WIDTHS[1]) < 1 << WIDTHS[1].add_mult
    with pytest.raises(UnrepresentableScale, match="must be below 8"):
        make_add_multiplier(8.0, WIDTHS[1])


@given(own=st.integers(-255, 255), other=st.integers(-255, 255), a=factors, b=factors)
def test_residual_add_is_within_its_documented_error(own: int, other: int, a: float, b: float) -> None:
    widths = LaneWidths(8, 32)
    multipliers = make_add_multiplier(a, widths), make_add_multiplier(b, widths)
    got = residual_add(own, other, *multipliers, -WIDE, WIDE, widths)
    assert abs(got - (own * Fraction(a) + other * Fraction(b))) <= Fraction(1, 2) + Fraction(1, 64)


@given(first=st.integers(-255, 255), other=st.integers(-255, 255), real=st.floats(0.01, 4.01))
def test_a_product_is_within_its_documented_error(first: int, other: int, real: float) -> None:
    """The first factor's rounding and what the lane loses before it, times the second; then the final rounding."""
    widths, limit = LaneWidths(8, 32), 1 << (LaneWidths(8, 32).own - 1)
    own = requantise(first, make_scaler(real / 4, widths), -limit, limit - 1, widths, FINER)
    got = residual_multiply(own, other, -WIDE, WIDE, widths)
    own_error = Fraction(1, 2) + Fraction(1, 32)
    error = abs(got - Fraction(real) * first * other / 256)
    assert error <= Fraction(1, 2) + own_error * abs(other) / 256
