# SPDX-License-Identifier: Apache-2.0
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from systolith.compiler import float_ops

PLAIN: dict[str, Any] = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}


def image(*shape: int) -> NDArray[np.float64]:
    return np.arange(np.prod(shape), dtype=np.float64).reshape(shape)


def test_conv_by_hand() -> None:
    x, weight = image(1, 1, 3, 3), np.ones((1, 1, 2, 2))
    result = float_ops.conv(x, weight, np.array([10.0]), group=1, **PLAIN)
    assert result.tolist() == [[[[18, 22], [30, 34]]]]


def test_conv_groups_do_not_mix() -> None:
    x, weight = image(2, 2, 2, 2), np.array([1.0, 10.0]).reshape(2, 1, 1, 1)
    np.testing.assert_array_equal(
        float_ops.conv(x, weight, None, group=2, **PLAIN), x * np.array([1, 10]).reshape(1, 2, 1, 1)
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_the_operands(dtype: Any) -> None:
    x: NDArray[Any] = image(1, 2, 4, 4).astype(dtype)
    assert float_ops.conv(x, np.ones((1, 2, 2, 2), dtype), None, group=1, **PLAIN).dtype == dtype
    assert float_ops.average_pool(x, kernel=(2, 2), count_include_pad=False, **PLAIN).dtype == dtype


def test_conv_transpose_by_hand() -> None:
    x, weight = image(1, 1, 2, 2), np.array([[1.0, 2.0]]).reshape(1, 1, 1, 2)
    window: dict[str, Any] = {**PLAIN, "strides": (2, 1), "output_padding": (1, 0)}
    result = float_ops.conv_transpose(x, weight, np.array([10.0]), group=1, **window)
    assert result.tolist() == [[[[10, 11, 12], [10, 10, 10], [12, 17, 16], [10, 10, 10]]]]
    cut = float_ops.conv_transpose(x, weight, None, group=1, **{**window, "pads": (0, 1, 2, 0)})
    assert cut.tolist() == [[[[1, 2], [0, 0]]]]


def test_conv_transpose_undoes_the_steps_of_a_conv() -> None:
    """<conv(x), y> = <x, conv_transpose(y)> for every x and y, whatever the window."""
    rng = np.random.default_rng(0)
    window: dict[str, Any] = {"strides": (2, 1), "pads": (1, 0, 1, 2), "dilations": (1, 2), "group": 2}
    x, weight = rng.normal(size=(2, 4, 7, 6)), rng.normal(size=(6, 2, 3, 2))
    forward = float_ops.conv(x, weight, None, **window)
    y = rng.normal(size=forward.shape)
    back = float_ops.conv_transpose(y, weight, None, **window, output_padding=(0, 0))
    assert np.isclose((forward * y).sum(), (x * back).sum())


def test_gemm() -> None:
    a, b = image(2, 3), image(3, 2)
    plain = float_ops.gemm(a, b, np.array([1.0, 2.0]), alpha=2.0, beta=3.0, trans_a=False, trans_b=False)
    np.testing.assert_array_equal(plain, 2 * a @ b + 3 * np.array([1.0, 2.0]))
    turned = float_ops.gemm(a.T, b.T, None, alpha=1.0, beta=1.0, trans_a=True, trans_b=True)
    np.testing.assert_array_equal(turned, a @ b)


def test_batch_norm_with_zero_gamma_gives_beta() -> None:
    x = image(1, 2, 2, 2)
    result = float_ops.batch_norm(x, np.array([0.0, 1.0]), np.array([5.0, 0.0]), np.zeros(2), np.ones(2), 0.0)
    assert (result[:, 0] == 5).all()
    np.testing.assert_array_equal(result[:, 1], x[:, 1])


def test_padding_never_wins_a_maximum() -> None:
    x = -1 - image(1, 1, 2, 2)
    result = float_ops.max_pool(x, kernel=(2, 2), strides=(1, 1), pads=(1, 1, 0, 0), dilations=(1, 1))
    assert result.tolist() == [[[[-1, -1], [-1, -1]]]]


@pytest.mark.parametrize(("counted", "corner"), [(False, 1.0), (True, 0.25)])
def test_average_counts(counted: bool, corner: float) -> None:
    window: dict[str, Any] = {"kernel": (2, 2), "strides": (1, 1), "pads": (1, 1, 0, 0), "dilations": (1, 1)}
    result = float_ops.average_pool(np.ones((1, 1, 2, 2)), count_include_pad=counted, **window)
    assert result[0, 0, 0, 0] == corner
    assert result[0, 0, 1, 1] == 1.0


def test_softmax_sums_to_one_without_overflow() -> None:
    result = float_ops.softmax(np.array([[1000.0, 1000.0, -1000.0]]), 1)
    np.testing.assert_allclose(result, [[0.5, 0.5, 0.0]])


def test_quantize_rounds_ties_to_even_and_saturates() -> None:
    x = np.array([0.5, 1.5, 2.5, -300.0, 300.0])
    assert float_ops.quantize(x, np.array(1.0), np.array(0, np.int8), 0).tolist() == [0, 2, 2, -128, 127]


@pytest.mark.parametrize(("name", "low", "high"), [("int4", -8, 7), ("uint4", 0, 15), ("int16", -32768, 32767)])
def test_quantize_knows_every_width(name: str, low: int, high: int) -> None:
    dtype = onnx.helper.tensor_dtype_to_np_dtype(getattr(onnx.TensorProto, name.upper()))
    codes = float_ops.quantize(np.array([-1e6, 1e6]), np.array(1.0), np.zeros((), dtype), 0)
    assert codes.tolist() == [low, high]


def test_an_odd_zero_point_turns_ties_where_it_is_added_first() -> None:
    x, zero = np.array([0.5, 1.5, -0.5, 1.4]), np.array(1, np.int8)
    assert float_ops.quantize(x, np.array(1.0), zero, 0).tolist() == [1, 3, 1, 2]
    assert float_ops.quantize(x, np.array(1.0), zero, 0, ties_with_zero=True).tolist() == [2, 2, 0, 2]


def test_quantizers_work_in_blocks() -> None:
    """The last block may be cut short."""
    x, scale, zero = np.array([[1.0, 2.0, 3.0]]), np.array([[1.0, 0.5]]), np.array([[0, 1]], np.uint8)
    codes = float_ops.quantize(x, scale, zero, 1, 2)
    assert codes.tolist() == [[1, 2, 7]]
    np.testing.assert_array_equal(float_ops.dequantize(codes, scale, zero, 1, 2), x)


def test_quantizers_work_along_an_axis() -> None:
    x, scale, zero = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 0.5]), np.array([1, 2], np.uint8)
    codes = float_ops.quantize(x, scale, zero, 1)
    assert codes.tolist() == [[2, 6], [4, 10]]
    np.testing.assert_array_equal(float_ops.dequantize(codes, scale, zero, 1), x)
