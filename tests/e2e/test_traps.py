# SPDX-License-Identifier: Apache-2.0
"""What importers of networks get wrong: each trap through float execution, integers and the ISA model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from systolith.api.network import engine_batch
from systolith.compiler.borders import network_outputs
from systolith.compiler.interp_int import run_integer
from systolith.compiler.pipeline import Compiled, compile_network
from tests.support.float_models import ModelBuilder, run_onnxruntime
from tests.support.levels import COUNT, ROOMY, agree_on_every_level, agree_with_the_isa_model
from tests.support.qdq_models import QdqModel, judge

Built = tuple[ModelBuilder, list[str]]


@dataclass(frozen=True)
class Trap:
    """A network that holds the trap, and how many steps of 8-bit outputs its integers may be from float.

    That is what the rounding of a layer's weights and result makes; more where layers follow each other.
    """

    build: Callable[[], Built]
    lsb: float = 1.5


TRAPS: dict[str, Trap] = {}


def trap(lsb: float = 1.5) -> Callable[[Callable[[], Built]], Callable[[], Built]]:
    def register(build: Callable[[], Built]) -> Callable[[], Built]:
        TRAPS[build.__name__] = Trap(build, lsb)
        return build

    return register


def image(channels: int = 3, size: int = 9, **options: Any) -> ModelBuilder:
    return ModelBuilder((1, channels, size, size + 1), **options)


# ---------------------------------------------------------------------- windows


@trap()
def the_kernel_of_a_dilated_convolution_reaches_further() -> Built:
    net = image()
    return net, [net.conv("input", 4, 3, 3, 2, dilations=[2, 3], pads=[2, 0, 2, 3])]


@trap()
def a_dilated_convolution_pads_itself_by_its_reach() -> Built:
    """The runtime refuses auto_pad beside dilations, so that the reach stands in the kernel of a second network."""
    net = image()
    return net, [net.conv("input", 4, 3, 5, 3, auto_pad="SAME_UPPER", strides=[2, 1])]


@trap()
def everything_may_be_left_out() -> Built:
    net = image()
    return net, [net.conv("input", 4, 3, 3, 3)]


@trap()
def same_upper_pads_below_and_on_the_right() -> Built:
    net = ModelBuilder((1, 3, 8, 8))
    return net, [net.conv("input", 4, 3, 3, 3, auto_pad="SAME_UPPER", strides=[2, 2])]


@trap()
def same_lower_pads_above_and_on_the_left() -> Built:
    net = ModelBuilder((1, 3, 8, 8))
    return net, [net.conv("input", 4, 3, 3, 3, auto_pad="SAME_LOWER", strides=[2, 2])]


@trap()
def valid_is_not_same() -> Built:
    net = image()
    return net, [net.conv("input", 4, 3, 3, 3, auto_pad="VALID")]


@trap()
def pads_list_all_beginnings_first() -> Built:
    net = image()
    return net, [net.conv("input", 4, 3, 3, 3, pads=[0, 1, 2, 0])]


@trap()
def strides_differ_by_axis() -> Built:
    net = image()
    return net, [net.conv("input", 4, 3, 2, 3, strides=[3, 1])]


@trap()
def groups_see_their_own_channels() -> Built:
    net = image(4)
    return net, [net.conv("input", 6, 2, 3, 3, group=2)]


@trap()
def a_depthwise_convolution_may_multiply_its_channels() -> Built:
    net = image(4)
    return net, [net.conv("input", 8, 1, 3, 3, group=4, pads=[1, 1, 1, 1])]


@trap()
def an_average_leaves_its_padding_out() -> Built:
    net = image()
    return net, [net.add("AveragePool", "input", kernel_shape=[3, 3], pads=[1, 1, 1, 1])]


@trap()
def an_average_counts_its_padding_when_told() -> Built:
    net = image()
    return net, [net.add("AveragePool", "input", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)]


@trap()
def padding_never_wins_a_maximum() -> Built:
    net = image()
    below = net.add("Add", net.conv("input", 4, 3, 1, 1), net.constant(np.full((4, 1, 1), -9.0)))
    return net, [net.add("MaxPool", below, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2])]


@trap()
def ceil_mode_adds_a_window() -> Built:
    net = image()
    return net, [net.add("MaxPool", "input", kernel_shape=[2, 2], strides=[2, 3], ceil_mode=1)]


@trap(lsb=4)
def sequences_have_one_axis() -> Built:
    net = ModelBuilder((1, 3, 30))
    x = net.add("Relu", net.conv("input", 8, 3, 5, strides=[2], pads=[2, 2]))
    x = net.add("MaxPool", net.conv(x, 8, 1, 3, group=8, dilations=[2], pads=[2, 2]), kernel_shape=[2], strides=[2])
    return net, [x, net.add("Gemm", net.add("Flatten", x), net.weights(56, 5))]


@trap(lsb=2.5)
def sequences_are_averaged() -> Built:
    net = ModelBuilder((1, 3, 20))
    pooled = net.add("GlobalAveragePool", net.add("Relu", net.conv("input", 6, 3, 3)))
    return net, [net.add("MatMul", net.add("Squeeze", pooled, net.constant([2], np.int64)), net.weights(6, 4))]


# ---------------------------------------------------------------------- products and normalisation


def _gemm(rows: tuple[int, int], **attributes: Any) -> Built:
    net = ModelBuilder((1, 6))
    return net, [net.add("Gemm", "input", net.weights(*rows), net.weights(5), **attributes)]


@trap()
def gemm_with_weights_as_they_are() -> Built:
    return _gemm((6, 5))


@trap()
def gemm_with_transposed_weights_and_factors() -> Built:
    return _gemm((5, 6), transB=1, alpha=0.5, beta=-2.0)


@trap()
def gemm_with_transposed_activations_of_one_element() -> Built:
    net = ModelBuilder((1, 1))
    return net, [net.add("Gemm", "input", net.weights(1, 5), net.weights(5), transA=1)]


@trap()
def gemm_without_a_bias() -> Built:
    net = ModelBuilder((1, 6))
    return net, [net.add("Gemm", "input", net.weights(6, 5))]


@trap()
def gemm_with_one_bias_for_all() -> Built:
    net = ModelBuilder((1, 6))
    return net, [net.add("Gemm", "input", net.weights(6, 5), net.constant([0.75]))]


@trap(lsb=2.5)
def a_gemm_behind_a_flattened_map_counts_channels_first() -> Built:
    net = image()
    flat = net.add("Flatten", net.add("Relu", net.conv("input", 4, 3, 3, 3, strides=[3, 3])))
    return net, [net.add("Gemm", flat, net.weights(5, 36), transB=1)]


@trap()
def batch_normalisation_with_a_zero_gamma() -> Built:
    net = image()
    gamma, beta = net.constant([0.0, 1.5, -0.5, 0.0]), net.constant([0.5, -0.25, 0.0, 0.0])
    mean, variance = net.constant([1.0, 0.5, 0.0, 3.0]), net.constant([1.0, 2.0, 0.1, 0.5])
    return net, [net.add("BatchNormalization", net.conv("input", 4, 3, 3, 3), gamma, beta, mean, variance)]


@trap()
def batch_normalisation_with_an_epsilon_that_matters() -> Built:
    net = image()
    values = [net.constant(np.linspace(0.5, 1.5, 4) * factor) for factor in (1.0, 0.3, 0.2, 1e-3)]
    return net, [net.add("BatchNormalization", net.conv("input", 4, 3, 3, 3), *values, epsilon=1e-2)]


# ---------------------------------------------------------------------- the graph


@trap(lsb=4)
def weights_shared_between_nodes() -> Built:
    net = image()
    weight, bias = net.weights(3, 3, 3, 3), net.weights(3)
    once = net.add("Conv", "input", weight, bias, pads=[1, 1, 1, 1])
    return net, [net.add("Conv", once, weight, bias), net.add("Relu", net.add("Conv", once, weight, strides=[2, 2]))]


@trap()
def initialisers_that_are_inputs_too() -> Built:
    net = image()
    out = net.conv("input", 4, 3, 3, 3)
    net.inputs += [
        helper.make_tensor_value_info("c0", TensorProto.FLOAT, [4, 3, 3, 3]),
        helper.make_tensor_value_info("c1", TensorProto.FLOAT, [4]),
    ]
    return net, [out]


@trap()
def a_batch_without_a_size() -> Built:
    net = ModelBuilder(("N", 3, 7, 7))
    return net, [net.conv("input", 4, 3, 3, 3)]


@trap(lsb=2.5)
def outputs_that_nobody_uses() -> Built:
    """Of a Dropout's mask, of a Split's second half and of a whole dead branch."""
    net = image(4)
    kept = net.add("Dropout", net.conv("input", 4, 4, 3, 3), outputs=2)
    net.conv(kept, 2, 4, 1, 1)
    return net, [net.add("Relu", kept)]


@trap(lsb=4)
def several_inputs_and_outputs() -> Built:
    net = image(4, 6)
    net.inputs.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, [1, 4, 6, 7]))
    total = net.add("Add", net.conv("input", 4, 4, 1, 1), "other")
    return net, [total, net.conv("other", 2, 4, 3, 3), net.add("Relu", net.conv(total, 3, 4, 3, 3))]


@trap(lsb=2.5)
def a_tensor_that_is_read_and_an_output() -> Built:
    net = image()
    first = net.add("Relu", net.conv("input", 4, 3, 3, 3))
    return net, [first, net.conv(first, 2, 4, 3, 3)]


@trap()
def a_tensor_added_to_itself() -> Built:
    net = image()
    x = net.conv("input", 4, 3, 3, 3)
    return net, [net.add("Add", x, x)]


def _clip(opset: int) -> Built:
    net = image(opset=opset)
    x = net.conv("input", 4, 3, 3, 3)
    if opset < 11:
        return net, [net.add("Clip", x, min=-2.0, max=4.0)]
    return net, [net.add("Clip", x, net.constant(-2.0), net.constant(4.0))]


@trap(lsb=3)
def bounds_as_attributes() -> Built:
    return _clip(9)


@trap(lsb=3)
def bounds_as_inputs() -> Built:
    return _clip(13)


def _squeezed(opset: int) -> Built:
    net = ModelBuilder((1, 4, 1, 1), opset=opset)
    axes = [2, 3]
    by_input = [net.constant(axes, np.int64)] if opset >= 13 else []
    by_attribute: dict[str, Any] = {} if by_input else {"axes": axes}
    flat = net.add("Squeeze", "input", *by_input, **by_attribute)
    return net, [net.add("MatMul", flat, net.weights(4, 5))]


@trap()
def axes_as_attributes() -> Built:
    return _squeezed(9)


@trap()
def axes_as_inputs() -> Built:
    return _squeezed(13)


def _feeds(net: ModelBuilder) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(7)
    constants = {f"c{index}" for index in range(100)}
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim][1:]
        for value in net.inputs
        if value.name not in constants
    }
    return {name: rng.normal(0, 1, (COUNT, *shape)).astype(np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize("name", TRAPS)
def test_float_networks(name: str, tmp_path: Path) -> None:
    net, outputs = TRAPS[name].build()
    path = net.save(tmp_path / "trap.onnx", *outputs)
    agree_on_every_level(path, _feeds(net), TRAPS[name].lsb)


def test_a_wrong_level_is_noticed(tmp_path: Path) -> None:
    """The comparison itself can fail: no integers are this close."""
    net, outputs = everything_may_be_left_out()
    path = net.save(tmp_path / "trap.onnx", *outputs)
    with pytest.raises(AssertionError, match="steps from float"):
        agree_on_every_level(path, _feeds(net), 0.4)


# ---------------------------------------------------------------------- quantised networks

QDQ: dict[str, Callable[[], tuple[QdqModel, str]]] = {}


def quantised(build: Callable[[], tuple[QdqModel, str]]) -> Callable[[], tuple[QdqModel, str]]:
    QDQ[build.__name__] = build
    return build


@quantised
def scales_per_output_channel() -> tuple[QdqModel, str]:
    net = QdqModel()
    return net, net.real(net.conv(net.start(1, 3, 6, 6), 3, 4))


@quantised
def scales_on_the_second_axis() -> tuple[QdqModel, str]:
    """MatMul's weights have their outputs there."""
    net = QdqModel()
    return net, net.real(net.node("MatMul", net.start(1, 6), net.weight((6, 5), axis=1)))


@quantised
def scales_on_an_axis_counted_from_the_end() -> tuple[QdqModel, str]:
    net = QdqModel()
    return net, net.real(net.node("MatMul", net.start(1, 6), net.weight((6, 5), axis=-1)))


@quantised
def unsigned_bytes() -> tuple[QdqModel, str]:
    net = QdqModel(dtype=np.uint8)
    return net, net.real(net.node("Relu", net.conv(net.start(1, 3, 6, 6, zero=128), 3, 4)), 0.1, 0)


@quantised
def zero_points_left_out() -> tuple[QdqModel, str]:
    """Unsigned bytes and zero is what ONNX means then."""
    net = QdqModel(dtype=np.uint8)
    return net, net.real(net.node("Relu", net.conv(net.start(1, 3, 6, 6, zero=None), 3, 4)), 0.1, None)


@quantised
def a_relu_in_front_of_the_quantiser() -> tuple[QdqModel, str]:
    net = QdqModel()
    return net, net.real(net.node("Relu", net.conv(net.start(1, 3, 6, 6), 3, 4)), 0.1, 5)


@quantised
def a_relu_folded_into_the_quantiser() -> tuple[QdqModel, str]:
    """The zero point is the smallest integer: nothing below zero can be said."""
    net = QdqModel()
    return net, net.real(net.conv(net.start(1, 3, 6, 6), 3, 4), 0.1, -128)


@quantised
def a_bias_of_32_bits_through_its_own_dequantiser() -> tuple[QdqModel, str]:
    net = QdqModel()
    x = net.start(1, 3, 6, 6)
    weight = net.weight((4, 3, 3, 3), None)
    return net, net.real(net.node("Conv", x, weight, net.bias(4, x, weight)))


@quantised
def weights_shared_between_quantised_nodes() -> tuple[QdqModel, str]:
    net = QdqModel()
    weight = net.weight((3, 3, 3, 3))
    first = net.real(net.node("Conv", net.start(1, 3, 8, 8), weight), 0.1)
    return net, net.real(net.node("Conv", first, weight), 0.2)


@pytest.mark.parametrize("name", QDQ)
def test_quantised_networks(name: str, tmp_path: Path) -> None:
    """Within one step a layer of double precision, top values as onnxruntime's; the ISA model is equal."""
    net, out = QDQ[name]()
    model = net.model(out)
    path = tmp_path / "trap.onnx"
    onnx.save(model, str(path))
    compiled = compile_network(path, ROOMY)
    rng = np.random.default_rng(3)
    shape = compiled.network.tensors["x0"].shape[1:]
    feeds = {"x0": rng.normal(0, 2, (COUNT, *shape)).astype(np.float32)}
    for sample in range(4):
        single = {"x0": feeds["x0"][sample : sample + 1]}
        assert max(one.distance for one in judge(model, compiled.network, single)) <= 1
    _close_to_onnxruntime(model, compiled, feeds, out)
    agree_with_the_isa_model(compiled, feeds)


def _close_to_onnxruntime(model: onnx.ModelProto, compiled: Compiled, feeds: dict[str, NDArray[Any]], out: str) -> None:
    codes = run_integer(compiled.network, engine_batch(compiled.network, feeds), acc_bits=ROOMY.acc_bits)
    got = network_outputs(compiled.network, {name: codes[name] for name in compiled.network.outputs})[out]
    params = compiled.network.tensors[compiled.network.outputs[0]].qparams
    assert params is not None
    (expected,) = run_onnxruntime(model, feeds)
    assert np.abs(got.reshape(expected.shape) - expected).max() <= 2.01 * params.scale


def test_a_quantised_network_in_nhwc(tmp_path: Path) -> None:
    """Transposes around the layers, and in front of a dense layer whose weights are in the order of NHWC, vanish."""
    net = QdqModel()
    x = net.node("Transpose", net.start(1, 6, 5, 3), perm=[0, 3, 1, 2])
    x = net.real(net.node("Transpose", net.conv(x, 3, 4), perm=[0, 2, 3, 1]), 0.1)
    flat = net.node("Reshape", x, net.constant(np.array([1, 48])))
    out = net.real(net.node("MatMul", flat, net.weight((48, 5), axis=1)), 0.3)
    path = tmp_path / "nhwc.onnx"
    onnx.save(net.model(out), str(path))
    compiled = compile_network(path, ROOMY)
    assert [node.op for node in compiled.network.nodes] == ["QConv", "QConv"]
    given = np.random.default_rng(3).normal(0, 2, (COUNT, 6, 5, 3)).astype(np.float32)
    codes = run_integer(compiled.network, engine_batch(compiled.network, {"x0": given.transpose(0, 3, 1, 2)}))
    got = network_outputs(compiled.network, {name: codes[name] for name in compiled.network.outputs})[out]
    (expected,) = run_onnxruntime(net.model(out), {"x0": given})
    assert np.abs(got - expected).max() <= 2.01 * 0.3
    agree_with_the_isa_model(compiled, {"x0": given.transpose(0, 3, 1, 2)})
