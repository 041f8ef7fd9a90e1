# SPDX-License-Identifier: Apache-2.0
import pytest

from systolith.compiler.ir import Graph
from systolith.compiler.passes.affine_to_conv import affine_to_conv
from systolith.compiler.passes.fuse_activation import fuse_activation
from systolith.compiler.verify import verify
from tests.support.float_models import ModelBuilder, assert_same_result, only, read


def replaced(builder: ModelBuilder, *outputs: str) -> Graph:
    before = fuse_activation(read(builder, *outputs))
    after = affine_to_conv(before)
    verify(after)
    assert_same_result(before, after)
    return after


@pytest.mark.parametrize("op", ["Add", "Mul", "Sub", "Div"])
def test_of_a_map(op: str) -> None:
    builder = ModelBuilder((1, 3, 4, 4))
    out = builder.add(op, "input", builder.constant(builder.rng.uniform(0.5, 2, (3, 1, 1))), name="n")
    (node,) = replaced(builder, out).nodes
    assert (node.op, node.name, node.origin, node.attributes["group"]) == ("Conv", "n", (op,), 3)


def test_of_a_vector() -> None:
    builder = ModelBuilder((1, 3))
    out = builder.add("Relu", builder.add("Add", builder.add("Mul", "input", builder.weights(3)), builder.weights(3)))
    after = replaced(builder, out)
    assert [node.op for node in after.nodes] == ["Reshape", "Conv", "Reshape"] * 2


def test_bounds_stay() -> None:
    builder = ModelBuilder((1, 3, 4, 4))
    after = replaced(builder, builder.add("Relu", builder.add("Add", "input", builder.weights(3, 1, 1))))
    assert only(after, "Conv").attributes["lower"] == 0.0


def test_batch_normalisation() -> None:
    builder = ModelBuilder((1, 3, 4, 4))
    operands = [builder.constant(builder.rng.uniform(0.5, 2, 3)) for _ in range(4)]
    assert [node.op for node in replaced(builder, builder.add("BatchNormalization", "input", *operands)).nodes] == [
        "Conv"
    ]


@pytest.mark.parametrize("shape", [(1, 3, 4), (1, 3, 2, 2, 2)])
def test_other_ranks_stay(shape: tuple[int, ...]) -> None:
    builder = ModelBuilder(shape)
    graph = read(builder, builder.add("Neg", "input"))
    assert affine_to_conv(graph) == graph


def test_another_scale_stays() -> None:
    builder = ModelBuilder((1, 3, 4, 4))
    graph = read(builder, builder.add("Mul", "input", builder.constant(2.0)))
    assert affine_to_conv(graph) == graph
