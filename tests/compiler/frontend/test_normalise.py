# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import onnx
import pytest

from systolith.compiler.errors import UnsupportedModel
from systolith.compiler.interp import run_float
from systolith.compiler.ir import Node
from systolith.compiler.verify import verify
from tests.support.float_models import ModelBuilder, only, random_feeds, read, run_onnxruntime

NEWEST = min(onnx.defs.onnx_opset_version(), 21)
"""The newest operator set that any accepted onnxruntime runs."""


def last(builder: ModelBuilder, out: str) -> Node:
    """The node that makes ``out``, after a comparison with onnxruntime."""
    graph = read(builder, out)
    feeds = random_feeds(graph, 2)
    expected = run_onnxruntime(builder.model(out), feeds)[0]
    np.testing.assert_allclose(run_float(graph, feeds)[out], expected, rtol=1e-4, atol=1e-5)
    return graph.nodes[-1]


@pytest.mark.parametrize("opset", [9, 10])
def test_clip_with_attributes(opset: int) -> None:
    builder = ModelBuilder((1, 3), opset=opset)
    assert last(builder, builder.add("Clip", "input", min=0.0, max=6.0)).attributes == {"min": 0.0, "max": 6.0}


@pytest.mark.parametrize("opset", [11, 13, NEWEST])
def test_clip_with_inputs(opset: int) -> None:
    builder = ModelBuilder((1, 3), opset=opset)
    out = builder.add("Clip", "input", "", builder.constant(0.5))
    node = last(builder, out)
    assert node.attributes == {"min": -math.inf, "max": 0.5}
    assert node.inputs == ("input",)


@pytest.mark.parametrize("opset", [9, 11])
def test_squeeze_and_unsqueeze_with_attributes(opset: int) -> None:
    builder = ModelBuilder((1, 3, 1, 1), opset=opset)
    out = builder.add("Unsqueeze", builder.add("Squeeze", "input", axes=[2, 3]), axes=[2, 3])
    assert last(builder, out).attributes == {"shape": (1, 3, 1, 1)}


@pytest.mark.parametrize("opset", [13, NEWEST])
def test_squeeze_and_unsqueeze_with_inputs(opset: int) -> None:
    builder = ModelBuilder((1, 3, 1, 1), opset=opset)
    squeezed = builder.add("Squeeze", "input", builder.constant([-1, -2], np.int64))
    out = builder.add("Unsqueeze", squeezed, builder.constant([2, 3], np.int64))
    assert last(builder, out).attributes == {"shape": (1, 3, 1, 1)}


@pytest.mark.parametrize("opset", [9, 13, NEWEST])
def test_flatten_and_reshape(opset: int) -> None:
    builder = ModelBuilder((1, 3, 2, 4), opset=opset)
    out = builder.add("Reshape", builder.add("Flatten", "input"), builder.constant([0, 4, -1], np.int64))
    assert last(builder, out).attributes == {"shape": (1, 4, 6)}


@pytest.mark.parametrize("opset", [9, 10, 12, 13])
def test_dropout_is_an_identity(opset: int) -> None:
    builder = ModelBuilder((1, 3), opset=opset)
    node = last(builder, builder.add("Dropout", "input", outputs=2))
    assert (node.op, node.inputs, node.origin) == ("Identity", ("input",), ("Dropout",))


@pytest.mark.parametrize(("opset", "axis"), [(9, 1), (11, 1), (13, 1), (13, -1), (NEWEST, -1)])
def test_softmax_axis(opset: int, axis: int) -> None:
    builder = ModelBuilder((1, 5), opset=opset)
    assert last(builder, builder.add("Softmax", "input", axis=axis)).attributes == {"axis": 1}


def test_softmax_default_axis_changed_in_opset_13() -> None:
    for opset in (11, 13):
        builder = ModelBuilder((1, 5, 1, 1), opset=opset)
        expected = {"axis": 1} if opset == 11 else {"axis": 3}
        assert last(builder, builder.add("Softmax", "input")).attributes == expected


@pytest.mark.parametrize("op", ["Softmax", "ArgMax"])
def test_what_the_host_computes_leaves_the_batch_alone(op: str) -> None:
    builder = ModelBuilder((1, 3), opset=13)
    out = builder.add(op, builder.add("Relu", "input"), axis=0)
    with pytest.raises(
        UnsupportedModel, match=rf"\({op}\): it .* axis 0; accepted: operators that leave the batch axis"
    ):
        read(builder, out)


def test_old_softmax_over_several_axes_is_refused() -> None:
    builder = ModelBuilder((1, 5, 2, 2), opset=11)
    out = builder.add("Softmax", "input", axis=1)
    with pytest.raises(UnsupportedModel, match=r"it runs over axes 1\.\. of \[1, 5, 2, 2\]"):
        read(builder, out)


@pytest.mark.parametrize("opset", [9, 14, NEWEST])
def test_batch_norm(opset: int) -> None:
    builder = ModelBuilder((1, 3, 2, 2), opset=opset)
    operands = [builder.constant(builder.rng.uniform(0.5, 2, 3)) for _ in range(4)]
    assert last(builder, builder.add("BatchNormalization", "input", *operands)).attributes == {
        "epsilon": pytest.approx(1e-5)
    }


def test_gemm_attributes_are_explicit() -> None:
    builder = ModelBuilder((1, 4))
    out = builder.add("Gemm", "input", builder.weights(3, 4), builder.weights(3), transB=1, alpha=0.5, beta=2.0)
    assert last(builder, out).attributes == {"alpha": 0.5, "beta": 2.0, "transA": False, "transB": True}


def test_quantisers_have_a_counted_axis() -> None:
    builder = ModelBuilder((1, 4))
    scale, zero = builder.constant(0.5), builder.constant(3, np.int8)
    out = builder.add("DequantizeLinear", builder.add("QuantizeLinear", "input", scale, zero), scale, zero, axis=-1)
    assert last(builder, out).attributes == {"axis": 1}


def test_quantisers_keep_what_their_attributes_say() -> None:
    builder = ModelBuilder((2, 4), opset=NEWEST)
    scale = builder.weights(2, 2)
    codes = builder.add("QuantizeLinear", "input", scale, axis=1, block_size=2, output_dtype=onnx.TensorProto.INT16)
    out = builder.add("DequantizeLinear", codes, scale, axis=1, block_size=2)
    graph = read(builder, out, batch=None)
    assert graph.nodes[0].attributes == {"axis": 1, "dtype": "int16", "block_size": 2}
    verify(graph, batch=None)
    with pytest.raises(UnsupportedModel, match="block_size 2; accepted: one scale per tensor or per axis"):
        read(builder, out)


def test_refuses_codes_that_are_no_integers() -> None:
    builder = ModelBuilder((1, 4), opset=NEWEST)
    zero = onnx.helper.make_tensor("zero", onnx.TensorProto.FLOAT8E5M2, [], [0.0])
    zero_point = builder.constant(onnx.numpy_helper.to_array(zero), None)
    codes = builder.add("QuantizeLinear", "input", builder.constant(0.5), zero_point)
    out = builder.add("DequantizeLinear", codes, builder.constant(0.5), zero_point)
    with pytest.raises(UnsupportedModel, match="values of type float8_e5m2; accepted: integers of 2 to 16 bits"):
        read(builder, out)
    weight = builder.add("DequantizeLinear", zero_point, builder.constant(0.5))
    with pytest.raises(UnsupportedModel, match="values of type float8_e5m2; accepted: integers of 2 to 16 bits"):
        read(builder, builder.add("Add", "input", weight))


def test_refuses_reshapes_of_the_batch() -> None:
    builder = ModelBuilder((1, 4))
    out = builder.add("Reshape", "input", builder.constant([2, 2], np.int64), name="r")
    with pytest.raises(UnsupportedModel, match=r"node 'r' \(Reshape\): it turns \[1, 4\] into \[2, 2\]"):
        read(builder, out)


def test_refuses_empty_clip_bounds() -> None:
    builder = ModelBuilder((1, 4))
    out = builder.add("Clip", "input", builder.constant(2.0), builder.constant(1.0))
    with pytest.raises(UnsupportedModel, match=r"bounds 2\.\.1; accepted: min below max"):
        read(builder, out)


def test_refuses_training_mode() -> None:
    builder = ModelBuilder((1, 4))
    dropout = builder.add("Dropout", "input", builder.constant(0.5), builder.constant(True, np.bool_))
    with pytest.raises(UnsupportedModel, match="training_mode true"):
        read(builder, dropout)


def test_refuses_a_used_dropout_mask() -> None:
    builder = ModelBuilder((1, 4))
    builder.add("Dropout", "input", outputs=2, name="d")
    out = builder.add("Cast", "d_out1", to=onnx.TensorProto.FLOAT)
    with pytest.raises(UnsupportedModel, match="its extra output 'd_out1' is used"):
        read(builder, out)


def test_refuses_folded_operators_on_activations() -> None:
    builder = ModelBuilder((1, 4))
    out = builder.add("Expand", "input", builder.constant([1, 4], np.int64), name="wide")
    with pytest.raises(
        UnsupportedModel, match=r"node 'wide' \(Expand\): operator Expand on activations is not supported"
    ):
        read(builder, out)


def test_refuses_a_product_over_the_batch() -> None:
    builder = ModelBuilder((1, 1))
    out = builder.add("MatMul", "input", builder.add("Relu", "input"))
    with pytest.raises(UnsupportedModel, match="it sums over axis 0 of its second operand"):
        read(builder, out)


def test_products_of_stacks() -> None:
    builder = ModelBuilder((1, 2, 3, 4))
    turned = builder.add("Transpose", "input", perm=[0, 1, 3, 2])
    last(builder, builder.add("MatMul", builder.add("MatMul", "input", turned), builder.weights(3, 5)))


def test_refuses_broadcasts_of_the_batch() -> None:
    builder = ModelBuilder((1, 4))
    out = builder.add("Add", "input", builder.weights(1, 2, 4))
    with pytest.raises(UnsupportedModel, match=r"it broadcasts 'input' of shape \[1, 4\] to rank 3"):
        read(builder, out)


def test_only_finds_the_node() -> None:
    builder = ModelBuilder((1, 4))
    assert only(read(builder, builder.add("Relu", "input")), "Relu").attributes == {}
