# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from systolith.compiler.borders import engine_inputs, network_outputs
from systolith.compiler.errors import UnsupportedModel
from systolith.compiler.interp_int import run_integer
from systolith.compiler.ir import Graph, QParams
from systolith.compiler.verify import verify
from tests.support.qdq_models import QdqModel, check, feeds_of, import_model

SEED = 41
Build = Callable[[QdqModel], str]


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


# ---------------------------------------------------------------------- what is read


@pytest.mark.parametrize("axis", [0, None])
@pytest.mark.parametrize("activation", [None, "Relu", "Clip"])
def test_a_convolution(axis: int | None, activation: str | None) -> None:
    m = QdqModel(SEED)
    y = m.conv(m.start(1, 3, 7, 6), 3, 5, axis=axis, pads=[1, 0, 1, 2], strides=[2, 1])
    if activation == "Relu":
        y = m.node("Relu", y)
    if activation == "Clip":
        y = m.node("Clip", y, m.constant(np.float32(-1.1)), m.constant(np.float32(6)))
    graph = check(m.model(m.real(y, 0.11, -20)), judged=1)
    node = graph.nodes[0]
    assert node.origin == ("Conv", *([activation] if activation else []))
    bounds = {None: (-108, 147), "Relu": (0, 147), "Clip": (-10, 55)}
    assert (node.attributes["lo"], node.attributes["hi"]) == bounds[activation]
    assert graph.tensors[graph.outputs[0]].qparams == QParams(float(np.float32(0.11)), -20)


def test_a_relu_hidden_in_the_zero_point_needs_no_bound() -> None:
    m = QdqModel(SEED)
    graph = check(m.model(m.real(m.conv(m.start(1, 3, 5, 5), 3, 4), 0.07, -128)), judged=1)
    assert graph.nodes[0].attributes["lo"] == 0


def test_grouped_dilated_convolution() -> None:
    m = QdqModel(SEED)
    y = m.conv(m.start(1, 6, 9, 9), 6, 6, group=3, dilations=[2, 1], pads=[2, 1, 2, 1])
    graph = check(m.model(m.real(y, 0.1)), judged=1)
    assert graph.nodes[0].attributes["group"] == 3


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16])
def test_other_activation_types(dtype: type) -> None:
    m = QdqModel(SEED, dtype=dtype, opset=21)
    bits = np.iinfo(dtype).bits
    step = 0.1 * 2.0 ** (8 - bits)
    zero = {"uint8": 77, "int16": -1234, "uint16": 40000}[np.dtype(dtype).name]
    x = m.real(m.input(1, 3, 5, 5), step, zero)
    y = m.real(m.node("Relu", m.conv(x, 3, 4)), 2 * step, zero)
    graph = check(m.model(m.real(m.conv(y, 4, 2), 3 * step, None if dtype is np.uint8 else zero)), acc_bits=48)
    shift = 1 << (bits - 1) if np.iinfo(dtype).min == 0 else 0
    assert graph.tensors[graph.inputs[0]].qparams == QParams(float(np.float32(step)), zero - shift, bits, shift > 0)
    last = graph.tensors[graph.outputs[0]].qparams
    assert last is not None
    assert last.zero_point == (-128 if dtype is np.uint8 else zero - shift)


def test_a_type_that_only_an_attribute_says() -> None:
    m = QdqModel(SEED, opset=21)
    scale = m.constant(np.float32(0.1))
    codes = m.node("QuantizeLinear", m.input(1, 3, 4, 4), scale, output_dtype=onnx.TensorProto.INT8)
    y = m.conv(m.node("DequantizeLinear", codes, scale), 3, 2)
    graph = check(m.model(m.real(y, 0.2)), judged=1)
    assert graph.tensors["x0"].qparams == QParams(float(np.float32(0.1)), 0)


@pytest.mark.parametrize("zero", [128, 120])
def test_unsigned_weights(zero: int) -> None:
    m = QdqModel(SEED)
    codes = np.clip(m.rng.integers(0, 256, (4, 3, 3, 3)), zero - 128, zero + 127).astype(np.uint8)
    names = [m.constant(codes), m.constant(np.float32(0.01)), m.constant(np.uint8(zero))]
    y = m.node("Conv", m.start(1, 3, 5, 5), m.node("DequantizeLinear", *names))
    graph = check(m.model(m.real(y, 0.2)), judged=1)
    weight = graph.constant(graph.nodes[0].attributes["weight"])
    assert np.array_equal(weight, codes.astype(np.int64) - zero)


def test_weights_quantised_in_the_graph() -> None:
    m = QdqModel(SEED)
    weight = m.quantise(m.constant(m.rng.normal(0, 0.3, (4, 3, 3, 3)).astype(np.float32)), 0.01, 0)
    y = m.node("Conv", m.start(1, 3, 5, 5), m.dequantise(weight))
    graph = check(m.model(m.real(y, 0.1)), judged=1)
    assert ops(graph) == ["QConv"]


def test_shared_weights() -> None:
    m = QdqModel(SEED)
    weight = m.weight((3, 3, 1, 1))
    x = m.start(1, 3, 4, 4)
    y = m.real(m.node("Conv", x, weight), 0.06)
    graph = check(m.model(m.real(m.node("Conv", y, weight), 0.08)), judged=2)
    assert ops(graph) == ["QConv", "QConv"]


def test_a_float_bias_is_rounded_to_the_accumulators_unit() -> None:
    m = QdqModel(SEED)
    weight = m.weight((4, 3, 1, 1), axis=None)
    bias = np.array([0.1, -2.0, 0.0003, 5.0], dtype=np.float32)
    x = m.start(1, 3, 4, 4)
    graph = check(m.model(m.real(m.node("Conv", x, weight, m.constant(bias)), 0.1)), judged=1)
    unit = graph.constant(graph.nodes[0].attributes["factor"]) * float(np.float32(0.1))
    assert graph.constant(graph.nodes[0].attributes["bias"]).tolist() == np.rint(bias / unit).tolist()


@pytest.mark.parametrize("transposed", [0, 1])
def test_flatten_and_gemm_become_a_kernel_as_large_as_the_map(transposed: int) -> None:
    m = QdqModel(SEED)
    x = m.node("Flatten", m.start(1, 4, 3, 2))
    weight = m.weight((5, 24) if transposed else (24, 5), axis=1 - transposed)
    y = m.node("Gemm", x, weight, m.constant(np.ones((1, 5), np.float32)), transB=transposed)
    graph = check(m.model(m.real(m.node("Relu", y), 0.2)), judged=1)
    assert graph.nodes[0].attributes["kernel"] == (3, 2)
    assert graph.tensors[graph.outputs[0]].shape == (1, 5)


def test_matmul_and_add_of_a_constant() -> None:
    m = QdqModel(SEED)
    product = m.node("MatMul", m.start(1, 20), m.weight((20, 6), axis=1))
    y = m.node("Add", m.constant(m.rng.normal(0, 1, 6).astype(np.float32)), product)
    graph = check(m.model(m.real(m.node("Relu", y), 0.15)), judged=1)
    assert graph.nodes[0].origin == ("MatMul", "Add", "Relu")


@pytest.mark.parametrize("relu", [False, True])
def test_an_add_of_two_branches(relu: bool) -> None:
    m = QdqModel(SEED)
    x = m.start(1, 4, 5, 5)
    y = m.real(m.conv(x, 4, 4, pads=[1, 1, 1, 1]), 0.12, 9)
    z = m.node("Add", x, y)
    z = m.node("Relu", z) if relu else z
    graph = check(m.model(m.real(z, 0.1, -30)), judged=2)
    assert ops(graph) == ["QConv", "QAdd"]
    assert graph.nodes[1].attributes["add"].lo == (0 if relu else -98)


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_pools(op: str) -> None:
    m = QdqModel(SEED)
    x = m.start(1, 4, 7, 7)
    y = m.node(op, x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 0, 1, 1])
    graph = check(m.model(m.real(y, 0.06, -4)), judged=1)
    assert ops(graph) == ["QPool"]


def test_pool_variants() -> None:
    m = QdqModel(SEED)
    x = m.start(1, 4, 7, 7)
    x = m.real(m.node("AveragePool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1), 0.04)
    x = m.real(m.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1), 0.05)
    x = m.real(m.node("MaxPool", x, kernel_shape=[2, 1], dilations=[2, 1]), 0.05)
    graph = check(m.model(m.real(m.node("GlobalAveragePool", x), 0.03)), judged=4)
    assert [node.attributes["mode"] for node in graph.nodes] == ["average", "max", "max", "average"]
    assert graph.nodes[2].attributes["dilations"] == (2, 1)


def test_average_then_reshape_then_gemm() -> None:
    m = QdqModel(SEED)
    pooled = m.node("Reshape", m.node("GlobalAveragePool", m.start(1, 6, 4, 4)), m.constant(np.array([1, -1])))
    y = m.node("MatMul", m.real(pooled, 0.05), m.weight((6, 3), axis=1))
    assert ops(check(m.model(m.real(y, 0.05)), judged=2)) == ["QPool", "QConv"]


def test_another_scale_without_an_operator() -> None:
    m = QdqModel(SEED)
    graph = check(m.model(m.real(m.start(1, 3, 4, 4), 0.09, 11)), judged=1)
    assert ops(graph) == ["QRequant"]


def test_the_same_scale_without_an_operator_is_nothing() -> None:
    m = QdqModel(SEED)
    x = m.real(m.node("Identity", m.start(1, 3, 4, 4)), 0.05, 3)
    assert ops(check(m.model(m.real(m.conv(x, 3, 2), 0.1)), judged=1)) == ["QConv"]


def test_operators_that_need_no_quantisation_of_their_own() -> None:
    m = QdqModel(SEED)
    x = m.node("Relu", m.start(1, 3, 6, 6))
    x = m.node("MaxPool", x, kernel_shape=[2, 2])
    y = m.real(m.conv(x, 3, 2), 0.1)
    graph = check(m.model(m.node("Relu", y)))
    assert ops(graph) == ["QRequant", "QPool", "QConv", "QRequant"]
    params = [graph.tensors[graph.nodes[index].outputs[0]].qparams for index in (1, 3)]
    assert params == [QParams(float(np.float32(0.05)), 3), QParams(float(np.float32(0.1)), 0)]


def test_integer_inputs_and_outputs() -> None:
    m = QdqModel(SEED, dtype=np.uint8)
    x = m.input(1, 3, 6, 6, dtype=np.uint8)
    pooled = m.node("MaxPool", x, kernel_shape=[2, 2])
    m.params[pooled], m.scales[pooled] = (m.constant(np.float32(0.05)), m.constant(np.uint8(100))), 0.05
    y = m.quantise(m.conv(m.dequantise(pooled), 3, 4), 0.2, 90)
    model = m.model(y, dtype=np.uint8)
    graph = check(model)
    assert graph.integer_io == {"x0", y}
    feeds = feeds_of(model)
    got = network_outputs(graph, run_integer(graph, engine_inputs(graph, feeds)))[y]
    assert got.dtype == np.uint8


def test_an_integer_input_that_an_output_shows_too() -> None:
    """Some of what is made of it is read by nothing that says its scale."""
    m = QdqModel(SEED, opset=14)
    x = m.input(1, 3, 6, 6, dtype=np.int8)
    part = m.node("Slice", x, *[m.constant(np.array([number])) for number in (0, 2, 1)])
    m.params[x], m.scales[x] = (m.constant(np.float32(0.05)), m.constant(np.int8(7))), 0.05
    graph = check(m.model(part, m.real(m.conv(m.dequantise(x), 3, 4), 0.2, 90), dtype=(np.int8, np.float32)))
    assert ops(graph) == ["QMove", "QConv"]
    params = graph.tensors[part].qparams
    assert params is not None
    assert params.zero_point == 7


def test_weights_quantised_in_the_graph_to_4_bits() -> None:
    m = QdqModel(SEED, opset=21)
    numbers = m.constant(m.rng.normal(0, 0.3, (4, 3, 3, 3)).astype(np.float32))
    grid = m.constant(np.float32(0.05)), m.constant(np.array(0, helper.tensor_dtype_to_np_dtype(onnx.TensorProto.INT4)))
    weight = m.node("DequantizeLinear", m.node("QuantizeLinear", numbers, *grid), *grid)
    graph = import_model(m.model(m.real(m.node("Conv", m.start(1, 3, 5, 5), weight), 0.1)))
    codes = graph.constant(graph.nodes[0].attributes["weight"])
    assert (codes.min(), codes.max()) == (-8, 7)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_narrower_ranges_as_pytorch_writes_them(dtype: type) -> None:
    m = QdqModel(SEED, dtype=dtype)

    def narrowed(codes: str, low: int, high: int, kind: type) -> str:
        clipped = m.node("Clip", codes, m.constant(np.array(low, kind)), m.constant(np.array(high, kind)))
        m.params[clipped], m.scales[clipped] = m.params[codes], m.scales[codes]
        return m.dequantise(clipped)

    x = narrowed(m.quantise(m.input(1, 3, 5, 5), 0.05, 60), 0, 127, dtype)
    numbers = m.constant(m.rng.normal(0, 0.5, (4, 3, 3, 3)).astype(np.float32))
    weight = narrowed(m.quantise(numbers, 0.01, 0, np.int8), -64, 63, np.int8)
    y = narrowed(m.quantise(m.node("Conv", x, weight), 0.1, 50), 0, 100, dtype)
    graph = check(m.model(y), judged=1)
    assert ops(graph) == ["QRequant", "QConv", "QRequant"]
    assert [(node.attributes["lo"], node.attributes["hi"]) for node in graph.nodes[::2]] == [(-60, 67), (-50, 50)]
    codes = graph.constant(graph.nodes[1].attributes["weight"])
    assert (codes.min(), codes.max()) == (-64, 63)


def test_reshape_on_integers() -> None:
    m = QdqModel(SEED)
    codes = m.quantise(m.input(1, 4, 3, 3), 0.05, 3)
    flat = m.node("Flatten", codes)
    m.params[flat], m.scales[flat] = m.params[codes], m.scales[codes]
    y = m.node("MatMul", m.dequantise(flat), m.weight((36, 3), axis=1))
    assert ops(check(m.model(m.real(y, 0.2)), judged=1)) == ["QConv"]


def test_one_result_quantised_twice() -> None:
    m = QdqModel(SEED)
    y = m.conv(m.start(1, 3, 5, 5), 3, 4)
    a, b, again = m.real(y, 0.1), m.real(m.node("Relu", y), 0.05, -128), m.real(y, 0.1)
    graph = check(m.model(m.real(m.node("Add", a, b), 0.2), again))
    assert ops(graph) == ["QConv", "QConv", "QAdd"]


def test_one_tensor_behind_two_outputs_or_an_input() -> None:
    m = QdqModel(SEED)
    x = m.start(1, 3, 4, 4)
    y = m.real(m.conv(x, 3, 3), 0.1)
    graph = check(m.model(y, m.node("Identity", y), x))
    assert ops(graph) == ["QConv", "View", "View"]
    assert graph.outputs == (y, "identity7_out", x)


@pytest.mark.parametrize("seed", range(12))
def test_random_networks(seed: int) -> None:
    m = QdqModel(seed, dtype=(np.int8, np.uint8)[seed % 2])
    zero = int(m.rng.integers(0, 100))
    channels, x = 3, m.start(1, 3, 9, 9, zero=zero)
    for _ in range(5):
        kind = m.rng.integers(0, 5)
        if kind == 0:
            x = m.node("MaxPool", x, kernel_shape=[2, 2])
            continue
        if kind == 1:
            y = m.node("AveragePool", x, kernel_shape=[2, 3], pads=[1, 1, 0, 1])
        elif kind == 2:
            branch = m.real(m.conv(x, channels, channels, pads=[1, 1, 1, 1]), None, zero)
            y = m.node("Add", *m.rng.permutation([branch, x]))
        else:
            outputs = int(m.rng.integers(2, 7))
            y, channels = m.conv(x, channels, outputs, 2, pads=[1, 0, 0, 1]), outputs
        y = m.node("Relu", y) if m.rng.integers(0, 2) else y
        x = m.real(y, None, zero)
    check(m.model(x))


# ---------------------------------------------------------------------- the host's tail


@pytest.mark.parametrize("form", ["float", "quantised", "dequantised"])
def test_a_final_softmax_is_the_hosts(form: str) -> None:
    m = QdqModel(SEED)
    y = m.real(m.node("MatMul", m.start(1, 9), m.weight((9, 4), axis=1)), 0.05)
    y = m.node("Softmax", y)
    if form != "float":
        y = m.quantise(y, 1 / 256, -128)
    if form == "dequantised":
        y = m.dequantise(y)
    model = m.model(y, dtype=np.int8 if form == "quantised" else np.float32)
    graph = check(model, judged=1)
    scale = "scale=0.00390625, zero_point=-128, dtype=int8"
    steps = ["Softmax", f"QuantizeLinear({scale})", f"DequantizeLinear({scale})"]
    assert list(graph.host_tail[y]) == steps[: 1 + ["float", "quantised", "dequantised"].index(form)]
    got = network_outputs(graph, run_integer(graph, engine_inputs(graph, feeds_of(model))))[y]
    assert got.dtype == (np.int8 if form == "quantised" else np.float32)
    if form != "quantised":
        assert abs(got.sum() - 1) < 0.02


def test_each_output_has_its_own_tail() -> None:
    m = QdqModel(SEED)
    logits = m.real(m.conv(m.start(1, 3, 6, 6), 3, 4), 0.05)
    outputs = [m.node("Relu", logits), m.node("Softmax", logits, axis=1), m.node("Softmax", logits, axis=3), logits]
    model = m.model(*outputs)
    graph = import_model(model)
    verify(graph)
    assert graph.host_tail == {outputs[1]: ("Softmax",), outputs[2]: ("Softmax(axis=3)",)}
    feeds = feeds_of(model)
    got = network_outputs(graph, run_integer(graph, engine_inputs(graph, feeds)))
    real = got[logits]
    powers = np.exp(real - real.max())
    assert np.allclose(got[outputs[0]], np.maximum(real, 0))
    assert np.allclose(got[outputs[1]], powers / powers.sum(axis=1, keepdims=True), atol=1e-6)
    assert np.allclose(got[outputs[2]], powers / powers.sum(axis=3, keepdims=True), atol=1e-6)


@pytest.mark.parametrize("form", ["codes", "real", "softmax"])
def test_a_final_argmax_is_the_hosts(form: str) -> None:
    m = QdqModel(SEED)
    codes = m.quantise(m.conv(m.start(1, 3, 6, 6), 3, 4), 0.05)
    y = codes if form == "codes" else m.dequantise(codes)
    y = m.node("Softmax", y, axis=1) if form == "softmax" else y
    model = m.model(m.node("ArgMax", y, axis=1, keepdims=0), codes, dtype=(np.int64, np.int8))
    graph = import_model(model)
    verify(graph)
    index, stored = graph.outputs
    step = "ArgMax(axis=1, keepdims=0, select_last_index=0)"
    assert graph.host_tail == {index: ("Softmax", step) if form == "softmax" else (step,)}
    got = network_outputs(graph, run_integer(graph, engine_inputs(graph, feeds_of(model))))
    assert got[index].dtype == np.int64
    assert np.array_equal(got[index], got[stored].argmax(axis=1))


def test_transposed_weights() -> None:
    m = QdqModel(SEED)
    weight = m.node("Transpose", m.weight((6, 9), axis=0), perm=[1, 0])
    graph = check(m.model(m.real(m.node("MatMul", m.start(1, 9), weight), 0.2)), judged=1)
    assert graph.constant(graph.nodes[0].attributes["weight"]).shape == (6, 9, 1, 1)
    assert len(set(graph.constant(graph.nodes[0].attributes["factor"]).tolist())) == 6


def test_weight_bits_decide_what_fits() -> None:
    m = QdqModel(SEED)
    model = m.model(m.real(m.node("Conv", m.start(1, 3, 8, 8), m.weight((2, 3, 3, 3)))))
    with pytest.raises(
        UnsupportedModel, match=r"weights minus their zero point span .*; accepted: -8..7; use symmetric"
    ):
        import_model(model, weight_bits=4)


def test_constants_keep_their_values() -> None:
    m = QdqModel(SEED)
    model = m.model(m.real(m.conv(m.start(1, 3, 5, 5), 3, 4), 0.1))
    graph = import_model(model)
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    producers = {node.output[0]: node for node in model.graph.node}
    weight, bias = (producers[name] for name in conv.input[1:])
    assert np.array_equal(graph.constant(graph.nodes[0].attributes["weight"]), values[weight.input[0]])
    assert np.array_equal(graph.constant(graph.nodes[0].attributes["bias"]), values[bias.input[0]])
    factor = float(np.float32(0.05)) * values[weight.input[1]].astype(float) / float(np.float32(0.1))
    assert np.array_equal(graph.constant(graph.nodes[0].attributes["factor"]), factor)
