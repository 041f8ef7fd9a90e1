# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from systolith.compiler.ir import Graph
from systolith.compiler.passes.fold_transposes import fold_transposes
from systolith.compiler.verify import verify
from tests.support.float_models import ModelBuilder, assert_same_result, read


def folded(builder: ModelBuilder, *outputs: str) -> Graph:
    before = read(builder, *outputs)
    after = fold_transposes(before)
    verify(after)
    assert_same_result(before, after)
    return after


def flattened(builder: ModelBuilder, perm: list[int]) -> str:
    x = builder.add("Transpose", "input", perm=perm)
    return builder.add("Reshape", x, builder.constant([1, 24], np.int64))


@pytest.mark.parametrize("perm", [[0, 2, 3, 1], [0, 3, 1, 2], [0, 1, 3, 2]])
@pytest.mark.parametrize("turned", [0, 1])
def test_gemm(perm: list[int], turned: int) -> None:
    builder = ModelBuilder((1, 2, 3, 4))
    weight, bias = builder.weights(*((5, 24) if turned else (24, 5))), builder.weights(5)
    graph = folded(builder, builder.add("Gemm", flattened(builder, perm), weight, bias, transB=turned, alpha=0.5))
    assert [node.op for node in graph.nodes] == ["Reshape", "Gemm"]


@pytest.mark.parametrize("turned", [0, 1])
@pytest.mark.parametrize("per_output", [False, True])
def test_quantised_weights(turned: int, per_output: bool) -> None:
    builder = ModelBuilder((1, 2, 3, 4))
    codes = builder.constant(builder.rng.integers(-127, 128, (5, 24) if turned else (24, 5)), np.int8)
    scale = builder.constant(np.linspace(0.01, 0.02, 5) if per_output else 0.01)
    weight = builder.add("DequantizeLinear", codes, scale, axis=0 if turned else 1)
    graph = folded(builder, builder.add("Gemm", flattened(builder, [0, 2, 3, 1]), weight, transB=turned))
    assert [node.op for node in graph.nodes] == ["Reshape", "DequantizeLinear", "Gemm"]


def test_scales_along_the_inputs_stay() -> None:
    builder = ModelBuilder((1, 2, 3, 4))
    codes = builder.constant(builder.rng.integers(-127, 128, (24, 5)), np.int8)
    weight = builder.add("DequantizeLinear", codes, builder.constant(np.linspace(0.01, 0.02, 24)), axis=0)
    graph = folded(builder, builder.add("MatMul", flattened(builder, [0, 2, 3, 1]), weight))
    assert "Transpose" in [node.op for node in graph.nodes]


def test_quantisers_in_between() -> None:
    """TFLite's converter moves the integers: Q, Transpose, Reshape, DQ."""
    builder = ModelBuilder((1, 2, 3, 4))
    scale, zero = builder.constant(0.05), builder.constant(3, np.int8)
    codes = builder.add("QuantizeLinear", "input", scale, zero)
    flat = builder.add(
        "Reshape", builder.add("Transpose", codes, perm=[0, 2, 3, 1]), builder.constant([1, 24], np.int64)
    )
    out = builder.add("MatMul", builder.add("DequantizeLinear", flat, scale, zero), builder.weights(24, 5))
    graph = folded(builder, out)
    assert [node.op for node in graph.nodes] == ["QuantizeLinear", "Reshape", "DequantizeLinear", "MatMul"]


def test_scales_along_the_flattened_axis_stay() -> None:
    builder = ModelBuilder((1, 2, 3, 4))
    many = builder.constant(np.linspace(0.01, 0.02, 24))
    codes = builder.add(
        "QuantizeLinear", flattened(builder, [0, 2, 3, 1]), many, builder.constant(np.zeros(24), np.int8)
    )
    real = builder.add("DequantizeLinear", codes, many, builder.constant(np.zeros(24), np.int8))
    graph = folded(builder, builder.add("MatMul", real, builder.weights(24, 5)))
    assert "Transpose" in [node.op for node in graph.nodes]


def test_products_that_share_the_map_and_the_weights() -> None:
    builder = ModelBuilder((1, 2, 3, 4))
    flat, weight = flattened(builder, [0, 2, 3, 1]), builder.weights(24, 5)
    first, second = (builder.add("MatMul", flat, weight) for _ in range(2))
    graph = folded(builder, builder.add("Add", first, second), first)
    assert [node.op for node in graph.nodes] == ["Reshape", "MatMul", "Reshape", "MatMul", "Add"]


def test_other_readers_keep_the_transpose() -> None:
    builder = ModelBuilder((1, 2, 3, 4))
    flat = flattened(builder, [0, 2, 3, 1])
    graph = folded(builder, builder.add("Relu", flat), builder.add("MatMul", flat, builder.weights(24, 5)))
    assert sorted(node.op for node in graph.nodes) == ["MatMul", "Relu", "Reshape", "Reshape", "Transpose"]


def test_other_products_stay() -> None:
    builder = ModelBuilder((1, 2, 3, 4))
    x = builder.add("Transpose", "input", perm=[0, 2, 3, 1])
    rows = builder.add("Reshape", x, builder.constant([1, 12, 2], np.int64))
    graph = folded(builder, builder.add("MatMul", rows, builder.weights(2, 5)))
    assert [node.op for node in graph.nodes] == ["Transpose", "Reshape", "MatMul"]
