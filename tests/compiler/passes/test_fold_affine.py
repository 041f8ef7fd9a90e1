# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from numpy.typing import NDArray

from systolith.compiler.ir import Graph, Node, Tensor
from systolith.compiler.passes.fold_affine import fold_affine
from systolith.compiler.passes.fuse_activation import fuse_activation
from systolith.compiler.passes.normalise_gemm import normalise_gemm
from tests.support.float_models import ModelBuilder, assert_same_result, read


def folded(builder: ModelBuilder, *outputs: str) -> Graph:
    before = fuse_activation(normalise_gemm(read(builder, *outputs)))
    after = fold_affine(before)
    assert_same_result(before, after)
    return after


def norm(builder: ModelBuilder, x: str, channels: int, gamma: NDArray[np.float64] | None = None) -> str:
    rng = builder.rng
    operands = [gamma if gamma is not None else rng.uniform(0.5, 2, channels), *rng.normal(0, 1, (2, channels))]
    variance = builder.constant(rng.uniform(0.1, 3, channels))
    return builder.add("BatchNormalization", x, *map(builder.constant, operands), variance, name="bn", epsilon=1e-3)


@pytest.mark.parametrize("op", ["Add", "Mul", "Sub", "Div"])
@pytest.mark.parametrize("shape", [(4, 1, 1), (1, 4, 1, 1), (1,), ()])
def test_behind_a_conv(op: str, shape: tuple[int, ...]) -> None:
    builder = ModelBuilder((1, 3, 5, 5))
    out = builder.add(op, builder.conv("input", 4, 3, 3, 3), builder.constant(builder.rng.uniform(0.5, 2, shape)))
    after = folded(builder, out)
    assert [(node.op, node.outputs, node.origin) for node in after.nodes] == [("Conv", (out,), ("Conv", op))]


@pytest.mark.parametrize("op", ["Sub", "Mul"])
def test_constant_first(op: str) -> None:
    builder = ModelBuilder((1, 3, 5, 5))
    assert len(folded(builder, builder.add(op, builder.weights(4, 1, 1), builder.conv("input", 4, 3, 3, 3))).nodes) == 1


def test_negation() -> None:
    builder = ModelBuilder((1, 3, 5, 5))
    assert len(folded(builder, builder.add("Neg", builder.conv("input", 4, 3, 3, 3))).nodes) == 1


@pytest.mark.parametrize("op", ["Add", "Mul"])
def test_behind_a_conv_without_bias(op: str) -> None:
    builder = ModelBuilder((1, 3, 5, 5))
    conv = builder.add("Conv", "input", builder.weights(4, 3, 3, 3))
    assert len(folded(builder, builder.add(op, conv, builder.weights(4, 1, 1))).nodes) == 1


@pytest.mark.parametrize("op", ["Add", "Mul"])
@pytest.mark.parametrize("shape", [(5,), (1, 5), (1, 1)])
def test_behind_a_matmul(op: str, shape: tuple[int, ...]) -> None:
    builder = ModelBuilder((1, 3))
    product = builder.add("MatMul", "input", builder.weights(3, 5))
    after = folded(builder, builder.add(op, product, builder.weights(*shape)))
    assert [node.origin for node in after.nodes] == [("MatMul", op)]


def test_several_in_a_row() -> None:
    builder = ModelBuilder((1, 3, 5, 5))
    out = builder.conv("input", 4, 3, 3, 3)
    for op in ("Add", "Mul", "Sub"):
        out = builder.add(op, out, builder.weights(4, 1, 1))
    assert len(folded(builder, norm(builder, out, 4)).nodes) == 1


@pytest.mark.parametrize("group", [1, 2, 4])
def test_batch_normalisation(group: int) -> None:
    builder = ModelBuilder((1, 4, 5, 5))
    after = folded(builder, norm(builder, builder.conv("input", 8, 4 // group, 3, 3, group=group), 8))
    assert [(node.op, node.outputs) for node in after.nodes] == [("Conv", ("bn_out",))]
    assert after.nodes[0].origin == ("Conv", "BatchNormalization")


def test_batch_normalisation_of_a_vector() -> None:
    builder = ModelBuilder((1, 4))
    out = norm(builder, builder.add("MatMul", "input", builder.weights(4, 8)), 8)
    assert [node.op for node in folded(builder, out).nodes] == ["Gemm"]


def test_zero_gamma_leaves_the_offset() -> None:
    builder = ModelBuilder((1, 4, 5, 5))
    gamma = np.array([0.0, 1.0, 0.0, 2.0])
    after = folded(builder, norm(builder, builder.conv("input", 4, 4, 3, 3), 4, gamma))
    assert not after.constant(after.nodes[0].inputs[1])[[0, 2]].any()


@pytest.mark.parametrize(("factor", "bounds"), [(2.0, (0.0, 12.0)), (-0.5, (-3.0, 0.0))])
def test_behind_bounds(factor: float, bounds: tuple[float, float]) -> None:
    builder = ModelBuilder((1, 4, 5, 5))
    clip = builder.add("Clip", builder.conv("input", 4, 4, 3, 3), builder.constant(0.0), builder.constant(6.0))
    (node,) = folded(builder, builder.add("Mul", clip, builder.constant(factor))).nodes
    assert (node.attributes["lower"], node.attributes["upper"]) == bounds


def test_bounds_that_would_differ_by_channel_stay() -> None:
    builder = ModelBuilder((1, 4, 5, 5))
    clip = builder.add("Clip", builder.conv("input", 4, 4, 3, 3), builder.constant(0.0), builder.constant(6.0))
    after = folded(builder, builder.add("Mul", clip, builder.constant(builder.rng.uniform(0.5, 2, (4, 1, 1)))))
    assert [node.op for node in after.nodes] == ["Conv", "Mul"]


def test_bounds_of_the_operator_itself_stay() -> None:
    builder = ModelBuilder((1, 3, 5, 5))
    relu = builder.add("Relu", builder.add("Add", builder.conv("input", 4, 3, 3, 3), builder.weights(4, 1, 1)))
    (node,) = folded(builder, relu).nodes
    assert node.attributes["lower"] == 0.0


@pytest.mark.parametrize("op", ["Add", "Mul"])
@pytest.mark.parametrize("shape", [(3, 3), (1, 3), (4, 3, 3)])
def test_constant_that_varies_over_the_image_stays(op: str, shape: tuple[int, ...]) -> None:
    builder = ModelBuilder((1, 3, 5, 5))
    out = builder.add(op, builder.conv("input", 4, 3, 3, 3), builder.weights(*shape))
    assert [node.op for node in folded(builder, out).nodes] == ["Conv", op]


def test_sum_of_two_branches_stays() -> None:
    builder = ModelBuilder((1, 3, 5, 5))
    out = builder.add("Add", builder.conv("input", 3, 3, 1, 1), "input")
    assert [node.op for node in folded(builder, out).nodes] == ["Conv", "Add"]


def test_layer_with_other_readers_stays() -> None:
    builder = ModelBuilder((1, 3, 5, 5))
    conv = builder.conv("input", 4, 3, 3, 3)
    after = folded(builder, builder.add("Add", conv, builder.weights(4, 1, 1)), builder.add("Sigmoid", conv))
    assert [node.op for node in after.nodes] == ["Conv", "Add", "Sigmoid"]


def test_a_layer_with_computed_weights_stays() -> None:
    shapes = {"x": (1, 2, 3, 3), "w": (1, 2, 1, 1), "c": (1, 1, 3, 3), "y": (1, 1, 3, 3)}
    window = {"kernel_shape": (1, 1), "strides": (1, 1), "pads": (0,) * 4, "dilations": (1, 1), "group": 1}
    nodes = (Node("Conv", "conv", ("x", "w"), ("c",), window), Node("Neg", "neg", ("c",), ("y",)))
    graph = Graph("g", ("x", "w"), ("y",), nodes, {name: Tensor(name, shape) for name, shape in shapes.items()})
    assert fold_affine(graph) == graph


def test_graph_without_one_stays() -> None:
    builder = ModelBuilder((1, 4, 5, 5))
    before = read(builder, builder.conv("input", 8, 4, 3, 3))
    assert fold_affine(before) == before
