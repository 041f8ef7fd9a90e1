# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from numpy.typing import NDArray

from systolith.compiler.errors import UnsupportedModel, WeightError
from systolith.compiler.ir import Graph
from systolith.compiler.passes.fold_batch_norm import fold_batch_norm
from systolith.compiler.passes.normalise_gemm import normalise_gemm
from tests.support.float_models import ModelBuilder, assert_same_result, read


def norm(builder: ModelBuilder, x: str, channels: int, gamma: NDArray[np.float64] | None = None) -> str:
    rng = builder.rng
    operands = [gamma if gamma is not None else rng.uniform(0.5, 2, channels), *rng.normal(0, 1, (2, channels))]
    variance = builder.constant(rng.uniform(0.1, 3, channels))
    return builder.add("BatchNormalization", x, *map(builder.constant, operands), variance, name="bn", epsilon=1e-3)


def folded(builder: ModelBuilder, *outputs: str) -> Graph:
    before = read(builder, *outputs)
    after = fold_batch_norm(before)
    assert_same_result(before, after)
    return after


@pytest.mark.parametrize("group", [1, 2, 4])
def test_into_a_conv(group: int) -> None:
    builder = ModelBuilder((1, 4, 5, 5))
    after = folded(builder, norm(builder, builder.conv("input", 8, 4 // group, 3, 3, group=group), 8))
    assert [(node.op, node.outputs) for node in after.nodes] == [("Conv", ("bn_out",))]
    assert after.nodes[0].origin == ("Conv", "BatchNormalization")


def test_into_a_conv_without_bias() -> None:
    builder = ModelBuilder((1, 4, 5, 5))
    assert len(folded(builder, norm(builder, builder.add("Conv", "input", builder.weights(8, 4, 1, 1)), 8)).nodes) == 1


def test_into_a_gemm() -> None:
    builder = ModelBuilder((1, 4))
    before = normalise_gemm(read(builder, norm(builder, builder.add("MatMul", "input", builder.weights(4, 8)), 8)))
    after = fold_batch_norm(before)
    assert [node.op for node in after.nodes] == ["Gemm"]
    assert_same_result(before, after)


def test_zero_gamma_leaves_the_offset() -> None:
    builder = ModelBuilder((1, 4, 5, 5))
    gamma = np.array([0.0, 1.0, 0.0, 2.0])
    after = folded(builder, norm(builder, builder.conv("input", 4, 4, 3, 3), 4, gamma))
    assert not after.constant(after.nodes[0].inputs[1])[[0, 2]].any()


def test_graph_without_one_stays() -> None:
    builder = ModelBuilder((1, 4, 5, 5))
    before = read(builder, builder.conv("input", 8, 4, 3, 3))
    assert fold_batch_norm(before) == before


def test_refuses_at_the_input() -> None:
    builder = ModelBuilder((1, 4, 5, 5))
    with pytest.raises(UnsupportedModel, match=r"node 'bn' \(BatchNormalization\): it normalises the network's input"):
        fold_batch_norm(read(builder, norm(builder, "input", 4)))


def test_refuses_behind_another_operator() -> None:
    builder = ModelBuilder((1, 4, 5, 5))
    out = norm(builder, builder.add("Relu", "input", name="act"), 4)
    with pytest.raises(
        UnsupportedModel, match=r"the result of 'act' \(Relu\), which it cannot be folded into; accepted"
    ):
        fold_batch_norm(read(builder, out))


def test_refuses_behind_a_conv_with_other_readers() -> None:
    builder = ModelBuilder((1, 4, 5, 5))
    conv = builder.conv("input", 4, 4, 3, 3)
    graph = read(builder, norm(builder, conv, 4), builder.add("Relu", conv))
    with pytest.raises(UnsupportedModel, match="that nothing else reads"):
        fold_batch_norm(graph)


def test_refuses_a_negative_variance() -> None:
    builder = ModelBuilder((1, 2, 5, 5))
    operands = [builder.constant(np.ones(2)) for _ in range(3)]
    x = builder.conv("input", 2, 2, 1, 1)
    variance = builder.constant(np.array([1.0, -1.0]))
    out = builder.add("BatchNormalization", x, *operands, variance, name="bn")
    with pytest.raises(WeightError, match=r"node 'bn' \(BatchNormalization\): variance plus epsilon is -0.99999"):
        fold_batch_norm(read(builder, out))
