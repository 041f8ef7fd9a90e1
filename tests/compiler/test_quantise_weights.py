# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from numpy.typing import NDArray

from systolith.compiler.errors import QuantisationError
from systolith.compiler.ir import QParams
from systolith.compiler.quantise_config import QuantiseConfig
from systolith.compiler.quantise_weights import QuantisedWeights, quantise_weights

SOURCE = QParams(0.02, -100)
PLAIN = QuantiseConfig()
Floats = NDArray[np.float64]


def layer(shape: tuple[int, ...] = (6, 4, 3, 3), seed: int = 0) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    scales = rng.uniform(0.01, 2.0, (shape[0], 1, 1, 1))
    return rng.normal(0, 1, shape) * scales, rng.normal(0, 1, shape[0])


def quantised(
    weight: Floats,
    bias: Floats,
    config: QuantiseConfig = PLAIN,
    mean: Floats | None = None,
    source: QParams = SOURCE,
) -> QuantisedWeights:
    return quantise_weights("n", weight, bias, np.zeros_like(weight) if mean is None else mean, source, config)


def real(result: QuantisedWeights) -> Floats:
    return result.weight * result.scale.reshape(-1, 1, 1, 1)


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
def test_integers_are_symmetric_and_in_range(bits: int) -> None:
    weight, bias = layer()
    result = quantised(weight, bias, QuantiseConfig(weight_bits=bits, acc_bits=48))
    assert result.weight.dtype == result.bias.dtype == np.int64
    assert np.abs(result.weight).max() == 2 ** (bits - 1) - 1


def test_eight_bits_are_close() -> None:
    weight, bias = layer()
    result = quantised(weight, bias)
    peaks = np.abs(weight).max(axis=(1, 2, 3))
    assert (np.abs(real(result) - weight).max(axis=(1, 2, 3)) <= 0.02 * peaks).all()
    np.testing.assert_allclose(result.bias * SOURCE.scale * result.scale, bias, atol=SOURCE.scale * result.scale.max())


def test_scales_are_better_than_the_full_range() -> None:
    weight, bias = layer((4, 32, 3, 3))
    result = quantised(weight, bias, QuantiseConfig(weight_bits=4))
    full = np.abs(weight).max(axis=(1, 2, 3), keepdims=True) / 7
    plain = ((np.rint(weight / full) * full - weight) ** 2).sum(axis=(1, 2, 3))
    assert (((real(result) - weight) ** 2).sum(axis=(1, 2, 3)) < 0.9 * plain).all()


def test_one_scale_for_the_layer() -> None:
    weight, bias = layer()
    assert len(set(quantised(weight, bias, QuantiseConfig(per_channel=False)).scale)) == 1
    assert len(set(quantised(weight, bias).scale)) == len(weight)


def test_bias_takes_back_the_mean_error() -> None:
    weight, bias = layer()
    mean = np.abs(np.random.default_rng(1).normal(0, 1, weight.shape))
    config = QuantiseConfig(weight_bits=3)
    result = quantised(weight, bias, config, mean)
    before = (weight * mean).sum(axis=(1, 2, 3)) + bias
    after = (real(result) * mean).sum(axis=(1, 2, 3)) + result.bias * SOURCE.scale * result.scale
    plain = (real(result) * mean).sum(axis=(1, 2, 3)) + bias
    np.testing.assert_allclose(after, before, atol=float(SOURCE.scale * result.scale.max()))
    assert np.abs(plain - before).max() > 10 * np.abs(after - before).max()


def test_channel_of_zeros_keeps_its_bias() -> None:
    weight, bias = layer()
    weight[2] = 0
    result = quantised(weight, bias)
    assert not result.weight[2].any()
    assert result.bias[2] * SOURCE.scale * result.scale[2] == pytest.approx(bias[2], abs=0.01)


def test_layer_of_zeros() -> None:
    result = quantised(np.zeros((2, 3, 1, 1)), np.array([0.0, 5.0]))
    assert (result.bias * SOURCE.scale * result.scale).tolist() == [0.0, 5.0]


def test_huge_bias_widens_the_scale_until_it_fits() -> None:
    weight, bias = layer()
    weight[1] *= 1e-9
    bias[1] = 1e3
    result = quantised(weight, bias, QuantiseConfig(acc_bits=24))
    assert abs(int(result.bias[1])) < 2**23
    assert result.bias[1] * SOURCE.scale * result.scale[1] == pytest.approx(1e3, rel=1e-3)


@pytest.mark.parametrize("zero_point", [-128, -100, 0, 127])
@pytest.mark.parametrize("seed", range(5))
def test_accepted_sums_fit_for_the_worst_inputs(zero_point: int, seed: int) -> None:
    source = QParams(0.02, zero_point)
    weight, bias = layer((3, 5, 2, 2), seed)
    bits = 18
    result = quantised(weight, bias, QuantiseConfig(acc_bits=bits), source=source)
    rows = result.weight.reshape(3, -1)
    for worst in (np.where(rows > 0, 127, -128), np.where(rows > 0, -128, 127)):
        raw = (rows * worst).sum(axis=1)
        total = raw - zero_point * rows.sum(axis=1) + result.bias
        for value in (raw, total, total - raw):
            assert value.min() >= -(2 ** (bits - 1))
            assert value.max() < 2 ** (bits - 1)


def test_refuses_sums_that_can_overflow() -> None:
    weight = np.ones((2, 512, 3, 3))
    weight[0] *= 0.1
    weight[0, 0, 0, 0] = 1.0
    expected = r"node 'n': sums of output channel 1 \(4608 products of 8-bit .* need 28 accumulator bits; accepted: 24"
    with pytest.raises(QuantisationError, match=expected):
        quantised(weight, np.zeros(2), QuantiseConfig(acc_bits=24))


def test_refuses_sums_that_only_underflow() -> None:
    source = QParams(0.02, -128)
    with pytest.raises(QuantisationError, match="need 26 accumulator bits; accepted: 24"):
        quantised(-np.ones((1, 1000, 1, 1)), np.zeros(1), QuantiseConfig(acc_bits=24), source=source)
