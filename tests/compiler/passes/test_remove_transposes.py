# SPDX-License-Identifier: Apache-2.0
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from systolith.compiler.interp import run_float
from systolith.compiler.ir import Graph
from systolith.compiler.passes.prepare import prepare_float
from systolith.compiler.passes.remove_transposes import remove_transposes
from systolith.compiler.pipeline import compile_network
from systolith.compiler.quantise_config import QuantiseConfig
from systolith.compiler.verify import verify
from tests.support.float_models import ModelBuilder, read, run_onnxruntime
from tests.support.levels import ROOMY, agree_with_the_isa_model

TO_NCHW, TO_NHWC = [0, 3, 1, 2], [0, 2, 3, 1]


def samples(builder: ModelBuilder, count: int = 3) -> NDArray[np.float32]:
    shape = [dim.dim_value for dim in builder.inputs[0].type.tensor_type.shape.dim][1:]
    return builder.rng.normal(0, 1, (count, *shape)).astype(np.float32)


def removed(builder: ModelBuilder, *outputs: str, perm: tuple[int, ...] = (0, 3, 1, 2)) -> Graph:
    """The graph after the passes, compared with onnxruntime; ``perm``: what becomes of the input."""
    x = samples(builder)
    graph = remove_transposes(read(builder, *outputs))
    verify(graph)
    results = run_float(graph, {"input": x.transpose(perm)})
    for name, expected in zip(outputs, run_onnxruntime(builder.model(*outputs), {"input": x}), strict=True):
        np.testing.assert_allclose(results[name], expected, rtol=1e-4, atol=1e-5)
    return graph


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def layer(net: ModelBuilder, x: str, *shape: int, **attributes: Any) -> str:
    """A convolution as in a network in NHWC that is exported operator by operator."""
    turned = net.add("Transpose", x, perm=TO_NCHW)
    convolved = net.add("Conv", turned, net.weights(*shape), **attributes)
    result = net.add("Transpose", convolved, perm=TO_NHWC)
    return net.add("Relu", net.add("Add", result, net.weights(shape[0])))


def classifier() -> tuple[ModelBuilder, str]:
    """Padding, a residual branch, a join of channels and a dense layer, all in NHWC."""
    net = ModelBuilder((1, 9, 8, 3))
    x = layer(net, "input", 8, 3, 3, 3, pads=[0, 0, 1, 1], strides=[2, 2])
    padded = net.add("Pad", x, net.constant([0, 1, 2, 0, 0, 1, 0, 0], np.int64))
    y = net.add("Add", layer(net, padded, 8, 8, 3, 3), x)
    both = net.add("Concat", y, layer(net, y, 4, 8, 1, 1), axis=3)
    flat = net.add("Reshape", both, net.constant([-1, 192], np.int64))
    return net, net.add("MatMul", flat, net.weights(192, 5))


def test_a_network_in_nhwc_loses_all_transposes() -> None:
    net, out = classifier()
    graph = removed(net, out)
    assert graph.tensors["input"].shape == (1, 3, 9, 8)
    assert "Transpose" not in ops(graph)


def test_a_mean_over_the_map() -> None:
    net = ModelBuilder((1, 9, 8, 3))
    for keepdims in (0, 1):
        x = net.add("ReduceMean", layer(net, "input", 8, 3, 3, 3), axes=[1, 2], keepdims=keepdims)
        flat = net.add("Reshape", x, net.constant([-1, 8], np.int64))
        out = net.add("Gemm", flat, net.weights(5, 8), transB=1)
        assert "Transpose" not in ops(removed(net, out))


def test_a_sequence_as_keras_has_it() -> None:
    """(N, L, C); each convolution between an added and a dropped axis."""
    net = ModelBuilder((1, 20, 3))
    x = "input"
    for inputs in (3, 6):
        image = net.add("Unsqueeze", x, net.constant([1], np.int64))
        turned = net.add("Transpose", image, perm=TO_NCHW)
        convolved = net.add("Conv", turned, net.weights(6, inputs, 1, 3), net.weights(6))
        result = net.add("Transpose", convolved, perm=TO_NHWC)
        x = net.add("Relu", net.add("Squeeze", result, net.constant([1], np.int64)))
    out = net.add("Gemm", net.add("Flatten", x), net.weights(96, 4))
    graph = removed(net, out, perm=(0, 2, 1))
    assert graph.tensors["input"].shape == (1, 3, 20)
    assert "Transpose" not in ops(graph)


def test_what_has_to_stay_is_last() -> None:
    net = ModelBuilder((1, 4, 5, 6))
    turned = net.add("Transpose", net.conv("input", 4, 4, 1, 1), perm=TO_NHWC)
    graph = removed(net, net.add("Relu", net.add("Add", turned, net.weights(4))), perm=(0, 1, 2, 3))
    assert ops(graph) == ["Conv", "Add", "Relu", "Transpose"]


@pytest.mark.parametrize("seed", range(20))
def test_random_chains_end_and_stay_equal(seed: int) -> None:
    rng = np.random.default_rng(seed)
    net = ModelBuilder((1, 3, 4, 5), seed=seed)
    tensors = [net.add("Transpose", "input", perm=[0, *(rng.permutation(3) + 1)]), "input"]
    for _ in range(8):
        x = tensors[int(rng.integers(len(tensors)))]
        kind = rng.choice(["Transpose", "Relu", "Add", "ReduceMean", "Slice", "Join"])
        if kind == "Transpose":
            tensors.append(net.add("Transpose", x, perm=[0, *(rng.permutation(3) + 1)]))
        elif kind == "Relu":
            tensors.append(net.add("Relu", x))
        elif kind == "Add":
            tensors.append(net.add("Add", x, net.constant(0.5)))
        elif kind == "ReduceMean":
            tensors.append(net.add("ReduceMean", x, axes=[int(rng.integers(1, 4))], keepdims=1))
        elif kind == "Slice":
            sizes = [net.constant([value], np.int64) for value in (0, 2, int(rng.integers(1, 4)))]
            tensors.append(net.add("Slice", x, *sizes))
        else:
            tensors.append(net.add("Concat", x, x, axis=int(rng.integers(1, 4))))
    graph = read(net, tensors[-1])
    result = remove_transposes(graph)
    verify(result)
    feed = samples(net)
    expected = run_float(graph, {"input": feed})[tensors[-1]]
    shape, order = graph.tensors["input"].shape, result.tensors["input"].shape
    got = run_float(result, {"input": feed.transpose(0, *(1 + [*shape[1:]].index(size) for size in order[1:]))})
    np.testing.assert_allclose(got[tensors[-1]], expected, rtol=1e-5, atol=1e-6)


def test_from_the_file_to_the_isa_model(tmp_path: Path) -> None:
    net = ModelBuilder((1, 9, 8, 3))
    x = layer(net, layer(net, "input", 8, 3, 3, 3, strides=[2, 2]), 4, 8, 3, 3)
    out = net.add("MatMul", net.add("Reshape", x, net.constant([-1, 8], np.int64)), net.weights(8, 5))
    path = net.save(tmp_path / "nhwc.onnx", out)
    x24 = samples(net, 24)
    feeds = {"input": x24.transpose(0, 3, 1, 2)}
    compiled = compile_network(path, ROOMY, lambda graph: feeds, QuantiseConfig.for_arch(ROOMY))
    assert compiled.network.tensors["input"].shape == (1, 3, 9, 8)
    agree_with_the_isa_model(compiled, feeds)
    expected = run_onnxruntime(onnx.load(str(path)), {"input": x24})[0]
    np.testing.assert_allclose(run_float(compiled.source, feeds)[out], expected, rtol=1e-4, atol=1e-4)


def test_prepare_removes_them() -> None:
    small = ModelBuilder((1, 4, 4, 3))
    out = small.add("Flatten", layer(small, "input", 4, 3, 4, 4))
    assert "Transpose" not in ops(prepare_float(read(small, out)))
