# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable

import numpy as np
import pytest

from systolith.compiler.errors import UnsupportedModel
from tests.support.qdq_models import QdqModel, import_model

SEED = 41
Build = Callable[[QdqModel], str]


def unquantised_layer(m: QdqModel) -> str:
    return m.real(m.conv(m.conv(m.start(1, 3, 8, 8), 3, 4), 4, 2))


def unquantised_input(m: QdqModel) -> str:
    return m.real(m.node("Conv", m.input(1, 3, 8, 8), m.weight((2, 3, 3, 3))))


def unquantised_output(m: QdqModel) -> str:
    return m.conv(m.start(1, 3, 8, 8), 3, 4)


def float_weights(m: QdqModel) -> str:
    return m.real(m.node("Conv", m.start(1, 3, 8, 8), m.constant(np.ones((2, 3, 3, 3), np.float32))))


def weights_on_the_wrong_axis(m: QdqModel) -> str:
    return m.real(m.node("Conv", m.start(1, 3, 8, 8), m.weight((2, 3, 3, 3), axis=1)))


def asymmetric_weights(m: QdqModel) -> str:
    names = [m.constant(np.full((2, 3, 3, 3), 200, np.uint8)), m.constant(np.float32(0.01)), m.constant(np.uint8(10))]
    return m.real(m.node("Conv", m.start(1, 3, 8, 8), m.node("DequantizeLinear", *names)))


def activation_per_channel(m: QdqModel) -> str:
    names = [m.constant(np.full(3, 0.1, np.float32)), m.constant(np.zeros(3, np.int8))]
    return m.node("DequantizeLinear", m.node("QuantizeLinear", m.input(1, 3, 8, 8), *names), *names)


def another_scale(m: QdqModel) -> str:
    codes = m.quantise(m.input(1, 3, 8, 8), 0.1)
    m.params[codes] = (m.constant(np.float32(0.2)), m.params[codes][1])
    return m.real(m.conv(m.dequantise(codes), 3, 2))


def two_input_scales(m: QdqModel) -> str:
    x = m.input(1, 3, 8, 8)
    return m.real(m.node("Add", m.real(x, 0.1), m.real(x, 0.2)))


def flattened_output(m: QdqModel) -> str:
    return m.node("Flatten", m.start(1, 3, 8, 8))


def broadcast_add(m: QdqModel) -> str:
    return m.real(m.node("Add", m.start(1, 3, 8, 8), m.start(1, 3, 8, 1)))


def constant_added(m: QdqModel) -> str:
    return m.real(m.node("Add", m.start(1, 3, 8, 8), m.weight((1, 3, 8, 8))))


def bias_along_the_width(m: QdqModel) -> str:
    y = m.conv(m.start(1, 3, 8, 8), 3, 6)
    return m.real(m.node("Add", y, m.constant(np.ones(6, np.float32))))


def bias_after_relu(m: QdqModel) -> str:
    y = m.node("Relu", m.conv(m.start(1, 3, 8, 8), 3, 6))
    return m.real(m.node("Add", y, m.constant(np.ones((6, 1, 1), np.float32))))


def clip_off_the_grid(m: QdqModel) -> str:
    x = m.node("Clip", m.start(1, 3, 8, 8), m.constant(np.float32(0)), m.constant(np.float32(1.03)))
    return m.real(m.conv(x, 3, 2))


def inner_softmax(m: QdqModel) -> str:
    x = m.real(m.node("Softmax", m.start(1, 8)))
    return m.real(m.node("MatMul", x, m.weight((8, 3), axis=1)))


def softmax_over_the_batch(m: QdqModel) -> str:
    return m.node("Softmax", m.start(1, 3, 8, 8), axis=0)


def scaled_gemm(m: QdqModel) -> str:
    return m.real(m.node("Gemm", m.start(1, 8), m.weight((8, 3), axis=1), alpha=0.5))


def large_factor(m: QdqModel) -> str:
    return m.real(m.start(1, 3, 8, 8), 0.01)


def large_add_factor(m: QdqModel) -> str:
    x = m.start(1, 3, 8, 8)
    return m.real(m.node("Add", x, x), 0.001)


def arithmetic_on_integers(m: QdqModel) -> str:
    codes = m.quantise(m.input(1, 3, 8, 8), 0.1)
    total = m.node("Relu", codes)
    m.params[total] = m.params[codes]
    m.scales[total] = 0.1
    return m.dequantise(total)


def unread_integer_input(m: QdqModel) -> str:
    x = m.input(1, 3, 8, 8, dtype=np.int8)
    return m.node("DequantizeLinear", x, m.constant(np.float32(0.1)))


def reshaped_softmax(m: QdqModel) -> str:
    return m.node("Flatten", m.node("Softmax", m.start(1, 3, 8, 8)))


def reshaped_probabilities(m: QdqModel) -> str:
    return m.node("Flatten", m.real(m.node("Softmax", m.start(1, 3, 8, 8)), 1 / 256, -128))


def long_table(m: QdqModel) -> str:
    m.dtype, m.opset = np.int16, 21
    return m.real(m.node("Sigmoid", m.start(1, 3)))


REFUSED = [
    (unquantised_layer, r"\(Conv\): tensor 'conv\d_out' is not quantised; accepted: tensors that come from a Deq"),
    (unquantised_input, r"\(Conv\): tensor 'x0' is a float input; accepted: tensors that come from a DequantizeLinear"),
    (unquantised_output, r"\(Conv\): tensor 'conv\d_out' is not quantised; .*; quantise the tensor before it"),
    (float_weights, "its weights are not quantised; accepted: a DequantizeLinear of constant integers; quantise"),
    (weights_on_the_wrong_axis, r"weight scales on axis 1; accepted: on axis 0 \(output channels\)"),
    (asymmetric_weights, "weights minus their zero point span 190..190; accepted: -128..127; use symmetric weights"),
    (activation_per_channel, r"\(QuantizeLinear\): an activation with 3 scales; accepted: one scale per tensor"),
    (another_scale, "with another scale, zero point or type; accepted: the scale, zero point and type of"),
    (two_input_scales, "input 'x0' is quantised in two ways; accepted: one scale and zero point for each input"),
    (flattened_output, r"\(Flatten\): a tensor of shape \[1, 3, 8, 8\] is seen as \[1, 192\]|\(Reshape\): a tensor"),
    (broadcast_add, r"it combines \[1, 3, 8, 8\] and \[1, 3, 8, 1\]; accepted: operands of one shape, or one that"),
    (constant_added, r"\(Add\): a constant of shape \[1, 3, 8, 8\] meets a tensor of .*; accepted: one number, or one"),
    (
        bias_along_the_width,
        r"a constant of shape \[6\] meets a tensor of shape \[1, 6, 6, 6\]; accepted: one number, or",
    ),
    (bias_after_relu, r"\(Add\): tensor 'relu\d_out' is not quantised; accepted: tensors that come from"),
    (clip_off_the_grid, r"\(Conv\): tensor 'clip\d_out' is not quantised"),
    (inner_softmax, r"\(MatMul\): tensor 'dequ.*' is computed by the host; accepted: tensors"),
    (
        softmax_over_the_batch,
        r"\(Softmax\): it runs over axis 0; accepted: operators that leave the batch axis \(axis 0\) alone",
    ),
    (scaled_gemm, r"\(Gemm\): alpha=0.5; accepted: alpha=1, beta=1, transA=0; fold the factors"),
    (large_factor, r"a scale ratio of 5; accepted: less than 4"),
    (large_add_factor, r"a scale ratio of 50; accepted: less than 8"),
    (arithmetic_on_integers, "it computes on the integers of 'quantizelinear0_out'; accepted: real numbers"),
    (reshaped_softmax, r"\(\w+\): it follows Softmax, which the host computes; accepted: nothing behind it but"),
    (
        reshaped_probabilities,
        r"\(\w+\): it follows DequantizeLinear, which the host computes; accepted: nothing behind it but",
    ),
    (
        long_table,
        r"\(Sigmoid\): a table of 65536 values, for an activation of 16 bits; accepted: functions of activations of at "
        "most 8 bits; quantise activations to 8 bits",
    ),
    (unread_integer_input, r"it reads integer input 'x0' as it is; accepted: integer inputs that a Dequ"),
]


@pytest.mark.parametrize(("build", "message"), REFUSED, ids=[build.__name__ for build, _ in REFUSED])
def test_refusals(build: Build, message: str) -> None:
    m = QdqModel(SEED, opset=14 if build is arithmetic_on_integers else 13)
    model = m.model(build(m))
    with pytest.raises(UnsupportedModel, match=message):
        import_model(model)
