# SPDX-License-Identifier: Apache-2.0
import pytest

from systolith.boards.pll import Ecp5Pll, Ice40Pll


def test_frequencies() -> None:
    assert Ecp5Pll(input_hz=25_000_000, feedback=2, divider=12).output_hz == 50_000_000
    assert Ecp5Pll(input_hz=25_000_000, reference=2, feedback=3, divider=16).output_hz == 37_500_000
    assert Ice40Pll(input_hz=12_000_000, feedback=64, divider_log2=5).output_hz == 24_000_000


@pytest.mark.parametrize(
    ("feedback", "divider", "message"),
    [
        (2, 4, r"PLL oscillator \(MHz\) must be in 400..800, got 200"),
        (4, 9, r"PLL oscillator \(MHz\) must be in 400..800, got 900"),
    ],
)
def test_ecp5_limits(feedback: int, divider: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Ecp5Pll(input_hz=25_000_000, feedback=feedback, divider=divider)
    with pytest.raises(ValueError, match=r"PLL phase detector \(MHz\) must be in 10..400, got 5"):
        Ecp5Pll(input_hz=5_000_000, feedback=2, divider=50)


@pytest.mark.parametrize(
    ("hertz", "feedback", "divider", "message"),
    [
        (12_000_000, 40, 5, r"PLL oscillator \(MHz\) must be in 533..1066, got 480"),
        (25_000_000, 32, 5, r"PLL input \(MHz\) must be in 10..17, got 25"),
        (12_000_000, 64, 7, "PLL divider_log2 must be in 1..6, got 7"),
    ],
)
def test_ice40_limits(hertz: int, feedback: int, divider: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Ice40Pll(input_hz=hertz, feedback=feedback, divider_log2=divider)
