# SPDX-License-Identifier: Apache-2.0
import numpy as np
import onnx
import pytest

from systolith.compiler.errors import UnsupportedModel
from systolith.compiler.frontend.fold import fold_constants, static_shapes
from systolith.compiler.frontend.onnx_file import infer_shapes
from systolith.compiler.interp import run_float
from tests.support.float_models import ModelBuilder, random_feeds, read, run_onnxruntime


def test_static_shapes_leave_dynamic_ones_out() -> None:
    builder = ModelBuilder(("N", 3))
    shapes = static_shapes(builder.model(builder.add("Relu", "input")))
    assert shapes == {}


def test_model_without_constants_stays() -> None:
    builder = ModelBuilder((1, 3))
    model = infer_shapes(builder.model(builder.add("Relu", "input")))
    assert fold_constants(model) == (model, {})


def test_constant_node_becomes_a_constant() -> None:
    builder = ModelBuilder((1, 3))
    value = builder.add("Constant", value=onnx.numpy_helper.from_array(np.array([1, 2, 3], np.float32)))
    model, constants = fold_constants(infer_shapes(builder.model(builder.add("Add", "input", value))))
    assert [node.op_type for node in model.graph.node] == ["Add"]
    assert constants[value].tolist() == [1, 2, 3]


def test_shape_arithmetic_of_an_exporter() -> None:
    """What PyTorch writes for ``x.view(x.size(0), -1)``."""
    builder = ModelBuilder(("N", 3, 4, 5))
    size = builder.add("Gather", builder.add("Shape", "input"), builder.constant(0, np.int64), axis=0)
    first = builder.add("Unsqueeze", size, builder.constant([0], np.int64))
    target = builder.add("Concat", first, builder.constant([-1], np.int64), axis=0)
    graph = read(builder, builder.add("Reshape", "input", target))
    assert [node.op for node in graph.nodes] == ["Reshape"]
    assert graph.nodes[0].attributes["shape"] == (1, 60)


def test_computed_weights() -> None:
    builder = ModelBuilder((1, 3))
    weight = builder.add("Transpose", builder.weights(5, 3), perm=[1, 0])
    out = builder.add("MatMul", "input", builder.add("Mul", weight, builder.constant(2.0)))
    graph = read(builder, out)
    assert [node.op for node in graph.nodes] == ["MatMul"]
    feeds = random_feeds(graph, 2)
    np.testing.assert_allclose(
        run_float(graph, feeds)[out], run_onnxruntime(builder.model(out), feeds)[0], rtol=1e-5, atol=1e-6
    )


def test_dequantised_weights_stay() -> None:
    builder = ModelBuilder((1, 3))
    weight = builder.add(
        "DequantizeLinear", builder.constant(np.array([[1], [2], [3]]), np.int8), builder.constant(0.5)
    )
    graph = read(builder, builder.add("MatMul", "input", weight))
    assert [node.op for node in graph.nodes] == ["DequantizeLinear", "MatMul"]


def test_refuses_what_cannot_be_evaluated() -> None:
    builder = ModelBuilder((1, 3))
    builder.add("Gather", builder.constant([1.0]), builder.constant(7, np.int64), name="bad", axis=0)
    builder.add("Add", "input", "bad_out", name="sum")
    with pytest.raises(UnsupportedModel, match=r"node 'bad' \(Gather\): its operands are constant but it cannot be"):
        fold_constants(builder.model("sum_out"))


def test_a_constant_batch_norm_uses_the_given_statistics() -> None:
    builder = ModelBuilder((1, 2), opset=13)
    parameters = [builder.constant(value) for value in ([2.0, 3.0], [0.5, 0.0], [1.0, 1.0], [4.0, 9.0])]
    shifted = builder.add("BatchNormalization", builder.constant(np.array([[3.0, 4.0]])), *parameters, epsilon=0.0)
    _, constants = fold_constants(builder.model(builder.add("Add", "input", shifted)))
    np.testing.assert_allclose(constants[shifted], [[2.5, 3.0]], rtol=1e-6)
