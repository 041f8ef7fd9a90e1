# SPDX-License-Identifier: Apache-2.0
import pytest

from systolith.compiler.ir import Graph
from systolith.compiler.passes.fold_affine_forward import fold_affine_forward
from systolith.compiler.passes.fuse_activation import fuse_activation
from systolith.compiler.passes.normalise_gemm import normalise_gemm
from tests.support.float_models import ModelBuilder, assert_same_result, read


def folded(builder: ModelBuilder, *outputs: str) -> list[str]:
    before = fuse_activation(normalise_gemm(read(builder, *outputs)))
    after: Graph = fold_affine_forward(before)
    assert_same_result(before, after)
    return [node.op for node in after.nodes]


def per_channel(builder: ModelBuilder, op: str, x: str = "input", channels: int = 4) -> str:
    return builder.add(op, x, builder.constant(builder.rng.uniform(0.5, 2, (channels, 1, 1))))


@pytest.mark.parametrize("op", ["Add", "Mul", "Sub", "Div"])
@pytest.mark.parametrize("group", [1, 2, 4])
def test_into_a_conv(op: str, group: int) -> None:
    builder = ModelBuilder((1, 4, 5, 5))
    x = per_channel(builder, op)
    assert folded(builder, builder.conv(x, 8, 4 // group, 3, 3, group=group, strides=[2, 1])) == ["Conv"]


@pytest.mark.parametrize("op", ["Add", "Mul"])
def test_into_a_conv_without_bias(op: str) -> None:
    builder = ModelBuilder((1, 4, 5, 5))
    assert folded(builder, builder.add("Conv", per_channel(builder, op), builder.weights(8, 4, 3, 3))) == ["Conv"]


@pytest.mark.parametrize("op", ["Add", "Mul"])
def test_into_a_matmul(op: str) -> None:
    builder = ModelBuilder((1, 3))
    x = builder.add(op, "input", builder.weights(3))
    assert folded(builder, builder.add("MatMul", x, builder.weights(3, 5))) == ["Gemm"]


def test_offset_and_factor_in_a_row() -> None:
    builder = ModelBuilder((1, 4, 5, 5))
    x = per_channel(builder, "Div", per_channel(builder, "Sub"))
    assert folded(builder, builder.conv(x, 8, 4, 3, 3)) == ["Conv"]


def test_only_the_factor_goes_behind_padding() -> None:
    builder = ModelBuilder((1, 4, 5, 5))
    x = per_channel(builder, "Div", per_channel(builder, "Sub"))
    assert folded(builder, builder.conv(x, 8, 4, 3, 3, pads=[0, 1, 0, 0])) == ["Sub", "Conv"]


def test_other_readers_keep_it() -> None:
    builder = ModelBuilder((1, 4, 5, 5))
    x = per_channel(builder, "Mul")
    assert folded(builder, builder.conv(x, 8, 4, 3, 3), builder.add("Sigmoid", x)) == ["Mul", "Conv", "Sigmoid"]
    assert folded(builder, builder.conv(x, 8, 4, 3, 3), x) == ["Mul", "Conv"]


def test_bounds_keep_it() -> None:
    builder = ModelBuilder((1, 4, 5, 5))
    x = builder.add("Relu", per_channel(builder, "Add"))
    assert folded(builder, builder.conv(x, 8, 4, 3, 3)) == ["Add", "Conv"]
