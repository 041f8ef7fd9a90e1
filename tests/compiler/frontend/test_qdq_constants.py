# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from systolith.compiler.errors import UnsupportedModel
from systolith.compiler.frontend.qdq_constants import (
    QuantiserConstants,
    accumulator_bias,
    reshaped_constant,
    signed_qparams,
    weights_by_output,
)
from systolith.compiler.frontend.qdq_values import FloatInput, FloatNumbers, Weights
from systolith.compiler.ir import Graph, Node, QParams

LAYER = Node("Conv", "c", ("x", "w", "b"), ("y",))
UNIT = np.array([0.1, 0.5, 1.0])


def quantiser(scale: Any, zero: NDArray[Any] | None = None, axis: int = 0, **attributes: str) -> QuantiserConstants:
    inputs = ("x", "s") if zero is None else ("x", "s", "z")
    constants = {"s": np.array(scale, np.float32)} | ({} if zero is None else {"z": zero})
    node = Node("QuantizeLinear", "q", inputs, ("y",), {"axis": axis, **attributes})
    return QuantiserConstants.of(node, Graph("g", (), (), (), {}, constants))


@pytest.mark.parametrize(
    ("scale", "zero", "message"),
    [
        (0.0, None, "its scale is 0; accepted: positive finite scales"),
        ([0.1, -1.0], None, "its scale is -1; accepted: positive finite scales"),
        (np.inf, None, "its scale is inf; accepted: positive finite scales"),
        ([0.1, 0.2], np.zeros(3, np.int8), "2 scales but 3 zero points; accepted: one zero point for each scale"),
    ],
)
def test_impossible_constants_are_refused(scale: Any, zero: NDArray[Any] | None, message: str) -> None:
    with pytest.raises(UnsupportedModel, match=message):
        quantiser(scale, zero)


def test_computed_constants_are_refused() -> None:
    node = Node("QuantizeLinear", "q", ("x", "s"), ("y",), {"axis": 0})
    with pytest.raises(UnsupportedModel, match="'s' is computed by the network; accepted: constant scale and zero"):
        QuantiserConstants.of(node, Graph("g", (), (), (), {}))


def test_the_type_of_the_integers() -> None:
    assert quantiser(0.1).dtype("uint8") == "uint8"
    assert quantiser(0.1, dtype="int16").dtype("uint8") == "int16"
    assert quantiser(0.1, np.array(0, np.int8)).dtype("uint8") == "int8"


def test_constants_are_dequantised_along_their_axis() -> None:
    constants = quantiser([0.1, 0.2], np.array([1, -1], np.int8), axis=1)
    weights = constants.dequantise(np.array([[5, 5], [6, 6]], np.int8))
    assert weights.codes.tolist() == [[4, 6], [5, 7]]
    assert weights.axis == 1
    with pytest.raises(UnsupportedModel, match=r"2 scales on axis 1 of a tensor of shape \[3\]; accepted: one scale"):
        constants.dequantise(np.zeros(3, np.int8))


def test_constants_are_quantised_with_ties_to_even_and_saturation() -> None:
    codes = quantiser(0.5).quantise(np.array([0.25, 0.75, -1.0, 1e6]))
    assert codes.dtype == np.uint8
    assert codes.tolist() == [0, 2, 0, 255]


@pytest.mark.parametrize(("kind", "expected"), [("INT4", [-8, -1, 7]), ("UINT4", [0, 0, 15])])
def test_constants_of_less_than_8_bits(kind: str, expected: list[int]) -> None:
    dtype = onnx.helper.tensor_dtype_to_np_dtype(onnx.TensorProto.DataType.Value(kind))
    codes = quantiser(0.5, np.array(0, dtype)).quantise(np.array([-9.0, -0.5, 9.0]))
    assert (codes.dtype, codes.astype(int).tolist()) == (dtype, expected)


@pytest.mark.parametrize(
    ("zero", "expected"),
    [
        (np.array(3, np.int8), QParams(0.5, 3)),
        (np.array(3, np.uint8), QParams(0.5, -125, unsigned=True)),
        (np.array([-7], np.int16), QParams(0.5, -7, 16)),
    ],
)
def test_activations_in_signed_integers(zero: NDArray[Any], expected: QParams) -> None:
    constants = quantiser(0.5, zero)
    assert signed_qparams(constants, constants.dtype("")) == expected


@pytest.mark.parametrize("dtype", ["int32", "int4", ""])
def test_other_activation_types_are_refused(dtype: str) -> None:
    with pytest.raises(UnsupportedModel, match=f"an activation of type {dtype}; accepted: int8, uint8, int16, uint16"):
        signed_qparams(quantiser(0.5), dtype)


def test_constants_in_another_shape() -> None:
    weights = Weights(np.arange(12).reshape(2, 6), np.array([0.1, 0.2]), 0)
    made = reshaped_constant(LAYER, weights, (2, 3, 2))
    assert isinstance(made, Weights)
    assert (made.codes.shape, made.axis, made.scale.tolist()) == ((2, 3, 2), 0, [0.1, 0.2])
    message = r"it turns \[2, 6\] with scales on axis 0 into \[3, 4\]; accepted: reshapes behind the axis of the scales"
    with pytest.raises(UnsupportedModel, match=message):
        reshaped_constant(LAYER, weights, (3, 4))
    one_scale = reshaped_constant(LAYER, replace(weights, scale=np.array(0.1)), (3, 4))
    assert isinstance(one_scale, Weights)
    assert one_scale.codes.tolist() == np.arange(12).reshape(3, 4).tolist()


@pytest.mark.parametrize("axis", [0, 1])
def test_weights_have_output_channels_first(axis: int) -> None:
    codes = np.arange(6).reshape(2, 3)
    weight, scale = weights_by_output(LAYER, Weights(codes, np.array(0.5), 1), axis=axis, bits=8)
    assert weight.tolist() == (codes if axis == 0 else codes.T).tolist()
    assert scale.tolist() == [0.5] * codes.shape[axis]


def test_a_bias_of_the_accumulators_scale_keeps_its_integers() -> None:
    # one part in ten million off, as float32 products are: the integers count, not the scale
    value = Weights(np.array([2**30, -7, 0]), UNIT * (1 + 1e-7), 0)
    assert accumulator_bias(LAYER, value, UNIT).tolist() == [2**30, -7, 0]


def test_other_biases_are_real_numbers_of_units() -> None:
    unit = UNIT
    codes = Weights(np.array([10, 3, 5]), np.array(0.5), 0)
    assert accumulator_bias(LAYER, codes, unit) == pytest.approx(np.array([10, 3, 5]) * 0.5 / unit)
    numbers = np.array([[0.26, -0.25, 2.5]])
    assert accumulator_bias(LAYER, FloatNumbers(numbers), unit) == pytest.approx(numbers[0] / unit)
    assert accumulator_bias(LAYER, FloatNumbers(np.array(1.0)), unit) == pytest.approx(1 / unit)
    assert accumulator_bias(LAYER, None, unit).tolist() == [0, 0, 0]


def test_impossible_biases_are_refused() -> None:
    with pytest.raises(UnsupportedModel, match="its bias is computed by the network; accepted: a constant"):
        accumulator_bias(LAYER, FloatInput("x", (3,)), UNIT)
    with pytest.raises(UnsupportedModel, match=r"a bias of shape \[2\]; accepted: one number for each of 3 channels"):
        accumulator_bias(LAYER, FloatNumbers(np.zeros(2)), UNIT)
    with pytest.raises(UnsupportedModel, match=r"bias 1e\+20 in units of the accumulator; accepted: less than 2\*\*52"):
        accumulator_bias(LAYER, FloatNumbers(np.full(3, 1e19)), UNIT)
