# SPDX-License-Identifier: Apache-2.0
import pytest

from systolith.compiler.ir import Graph
from systolith.compiler.passes.fuse_bias import fuse_bias
from systolith.compiler.passes.normalise_gemm import normalise_gemm
from tests.support.float_models import ModelBuilder, assert_same_result, read


def fused(builder: ModelBuilder, *outputs: str) -> Graph:
    before = normalise_gemm(read(builder, *outputs))
    after = fuse_bias(before)
    assert_same_result(before, after)
    return after


@pytest.mark.parametrize("shape", [(4, 1, 1), (1, 4, 1, 1), (1,), ()])
def test_behind_a_conv(shape: tuple[int, ...]) -> None:
    builder = ModelBuilder((1, 3, 5, 5))
    out = builder.add("Add", builder.weights(*shape), builder.conv("input", 4, 3, 3, 3))
    after = fused(builder, out)
    assert [(node.op, node.outputs, node.origin) for node in after.nodes] == [("Conv", (out,), ("Conv", "Add"))]


def test_behind_a_conv_without_bias() -> None:
    builder = ModelBuilder((1, 3, 5, 5))
    conv = builder.add("Conv", "input", builder.weights(4, 3, 3, 3))
    assert len(fused(builder, builder.add("Add", conv, builder.weights(4, 1, 1))).nodes) == 1


@pytest.mark.parametrize("shape", [(5,), (1, 5), (1, 1)])
def test_behind_a_matmul(shape: tuple[int, ...]) -> None:
    builder = ModelBuilder((1, 3))
    product = builder.add("MatMul", "input", builder.weights(3, 5))
    after = fused(builder, builder.add("Add", product, builder.weights(*shape)))
    assert [node.origin for node in after.nodes] == [("MatMul", "Add")]


def test_two_in_a_row() -> None:
    builder = ModelBuilder((1, 3))
    out = builder.add("MatMul", "input", builder.weights(3, 5))
    for _ in range(2):
        out = builder.add("Add", out, builder.weights(5))
    assert len(fused(builder, out).nodes) == 1


@pytest.mark.parametrize("shape", [(3, 3), (1, 3), (4, 3, 3)])
def test_constant_that_varies_over_the_image_stays(shape: tuple[int, ...]) -> None:
    builder = ModelBuilder((1, 3, 5, 5))
    out = builder.add("Add", builder.conv("input", 4, 3, 3, 3), builder.weights(*shape))
    assert [node.op for node in fused(builder, out).nodes] == ["Conv", "Add"]


def test_sum_of_two_branches_stays() -> None:
    builder = ModelBuilder((1, 3, 5, 5))
    out = builder.add("Add", builder.conv("input", 3, 3, 1, 1), "input")
    assert [node.op for node in fused(builder, out).nodes] == ["Conv", "Add"]


def test_layer_with_other_readers_stays() -> None:
    builder = ModelBuilder((1, 3, 5, 5))
    conv = builder.conv("input", 4, 3, 3, 3)
    after = fused(builder, builder.add("Add", conv, builder.weights(4, 1, 1)), builder.add("Relu", conv))
    assert [node.op for node in after.nodes] == ["Conv", "Add", "Relu"]
