# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from systolith.compiler.errors import ShapeError, VerifyError
from systolith.compiler.interp import run_float
from systolith.compiler.ir import Graph, Node, Tensor
from tests.support.float_models import ModelBuilder, random_feeds, read, run_onnxruntime


def residual_network(seed: int) -> tuple[ModelBuilder, str]:
    """A network with every operator of the float level that survives import."""
    rng = np.random.default_rng(seed)
    builder = ModelBuilder((1, 3, 10, 9), seed=seed)
    stem = builder.conv("input", 4, 3, 3, 3, pads=[1, 0, 1, 2], strides=[int(rng.integers(1, 3)), 1])
    norm = [builder.constant(rng.uniform(0.5, 2, 4)) for _ in range(4)]
    x = builder.add("Relu", builder.add("BatchNormalization", stem, *norm))
    branch = builder.conv(x, 4, 1, 3, 3, pads=[1, 1, 1, 1], group=4)
    x = builder.add("Clip", builder.add("Add", branch, x), builder.constant(-1.0), builder.constant(2.0))
    x = builder.add("MaxPool", x, kernel_shape=[2, 3], strides=[2, 1])
    x = builder.add("AveragePool", x, kernel_shape=[2, 2], pads=[0, 0, 1, 1])
    x = builder.add("Flatten", builder.add("GlobalAveragePool", x))
    x = builder.add("Add", builder.add("MatMul", x, builder.weights(4, 6)), builder.weights(6))
    x = builder.add("Gemm", builder.add("Identity", x), builder.weights(5, 6), builder.weights(5), transB=1)
    return builder, builder.add("Softmax", x)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_agrees_with_onnxruntime(seed: int, dtype: type) -> None:
    builder, out = residual_network(seed)
    graph = read(builder, out)
    feeds = random_feeds(graph, 3, seed)
    got = run_float(graph, feeds, dtype=dtype)
    assert list(got) == [out]
    assert got[out].dtype == dtype
    np.testing.assert_allclose(got[out], run_onnxruntime(builder.model(out), feeds)[0], rtol=1e-4, atol=1e-6)


def test_batch_is_free_and_samples_do_not_mix() -> None:
    builder, out = residual_network(0)
    graph = read(builder, out)
    feeds = random_feeds(graph, 5)
    whole = run_float(graph, feeds, dtype=np.float64)[out]
    rows = [run_float(graph, {"input": feeds["input"][i : i + 1]}, dtype=np.float64)[out] for i in range(5)]
    np.testing.assert_allclose(whole, np.concatenate(rows), rtol=1e-12)


def test_keeps_the_tensors_asked_for() -> None:
    builder, out = residual_network(0)
    graph = read(builder, out)
    assert set(run_float(graph, random_feeds(graph, 1), keep=graph.tensors)) == set(graph.tensors)
    assert set(run_float(graph, random_feeds(graph, 1), keep=["input", "conv0_out"])) == {"input", "conv0_out"}


def test_quantisers_agree_with_onnxruntime() -> None:
    builder = ModelBuilder((1, 3))
    scale, zero = builder.constant([0.02, 0.5, 0.1]), builder.constant([3, 0, 255], np.uint8)
    codes = builder.add("QuantizeLinear", "input", scale, zero, axis=1)
    out = builder.add("DequantizeLinear", codes, scale, zero, axis=1)
    graph = read(builder, out)
    feeds = random_feeds(graph, 20)
    np.testing.assert_array_equal(run_float(graph, feeds)[out], run_onnxruntime(builder.model(out), feeds)[0])


def test_fused_bounds_clamp() -> None:
    shape = (1, 2)
    node = Node("Add", "add", ("x", "x"), ("y",), {"lower": -1.0, "upper": 2.0})
    graph = Graph("g", ("x",), ("y",), (node,), {name: Tensor(name, shape) for name in "xy"})
    assert run_float(graph, {"x": np.array([[-5, 5], [0.5, 1]])})["y"].tolist() == [[-1, 2], [1, 2]]


def graph_of(op: str) -> Graph:
    return Graph("g", ("x",), ("y",), (Node(op, "n", ("x",), ("y",)),), {n: Tensor(n, (1, 2, 3, 3)) for n in "xy"})


def test_refuses_a_missing_input() -> None:
    with pytest.raises(ShapeError, match=r"input 'x' is missing; expected an array of shape \[batch, 2, 3, 3\]"):
        run_float(graph_of("Relu"), {})


@pytest.mark.parametrize("shape", [(1, 3, 3, 2), (2, 3, 3), (1, 2, 3, 3, 1)])
def test_refuses_a_wrong_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"input 'x': expected shape \[batch, 2, 3, 3\], got "):
        run_float(graph_of("Relu"), {"x": np.zeros(shape)})


def test_refuses_an_integer_graph() -> None:
    with pytest.raises(VerifyError, match="node 'n': operator QConv is not of the float level"):
        run_float(graph_of("QConv"), {"x": np.zeros((1, 2, 3, 3))})
