# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest

from systolith.compiler.errors import UnsupportedModel, WeightError
from systolith.compiler.interp import run_float
from systolith.compiler.ir import Node
from systolith.compiler.passes.affine import (
    Affine,
    affine_of,
    by_output,
    is_rescaling,
    per_channel,
    scaled_bounds,
    with_bounds,
)
from tests.support.float_models import ModelBuilder, random_feeds, read

INF = math.inf


def last(op: str, *shape: int, first: bool = False, x: tuple[int, ...] = (1, 3, 2, 2)) -> tuple[ModelBuilder, str]:
    """The network's input and a constant of ``shape``, in either order."""
    builder = ModelBuilder(x)
    operands = ("input", builder.constant(builder.rng.uniform(0.5, 2, shape)))
    return builder, builder.add(op, *(operands[::-1] if first else operands))


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("op", ["Add", "Mul", "Sub", "Div"])
@pytest.mark.parametrize("shape", [(), (1,), (3, 1, 1), (1, 3, 1, 1), (1, 1, 1)])
def test_constants_per_channel(op: str, shape: tuple[int, ...], first: bool) -> None:
    builder, out = last(op, *shape, first=first)
    graph = read(builder, out)
    affine = affine_of(graph, graph.nodes[0])
    if op == "Div" and first:
        assert affine is None
        return
    assert affine is not None
    feeds = random_feeds(graph, 2)
    expected = run_float(graph, feeds, dtype=np.float64)[out]
    got = feeds["input"] * affine.factor.reshape(-1, 1, 1) + affine.offset.reshape(-1, 1, 1)
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert affine.source == "input"


@pytest.mark.parametrize("shape", [(2,), (1, 2), (3, 2, 2), (1, 3, 3, 1, 1), (2, 1, 1, 1)])
def test_other_constants_are_not(shape: tuple[int, ...]) -> None:
    assert per_channel(np.ones(shape), (1, 3, 2, 2)) is None


def test_a_tensor_that_grows_is_not() -> None:
    builder, out = last("Mul", 3, 1, 1, x=(1, 1, 2, 2))
    graph = read(builder, out)
    assert affine_of(graph, graph.nodes[0]) is None


def test_division_by_zero_is_not() -> None:
    builder = ModelBuilder((1, 2))
    graph = read(builder, builder.add("Div", "input", builder.constant([0.0, 1.0])))
    assert affine_of(graph, graph.nodes[0]) is None


def test_two_tensors_are_not() -> None:
    builder = ModelBuilder((1, 2))
    graph = read(builder, builder.add("Mul", "input", "input"))
    assert affine_of(graph, graph.nodes[0]) is None


def test_refuses_computed_statistics() -> None:
    builder = ModelBuilder((1, 2, 3, 3))
    mean = builder.add("Flatten", builder.add("GlobalAveragePool", "input"), axis=0)
    operands = [builder.constant(np.ones(2)) for _ in range(2)]
    node = Node("BatchNormalization", "bn", ("input", *operands, mean, operands[0]), ("y",), {"epsilon": 1e-5})
    graph = read(builder, builder.add("Relu", mean))
    with pytest.raises(UnsupportedModel, match=r"node 'bn' \(BatchNormalization\): its statistics are computed"):
        affine_of(graph, node)


def test_refuses_a_negative_variance() -> None:
    builder = ModelBuilder((1, 2, 5, 5))
    operands = [builder.constant(np.ones(2)) for _ in range(3)]
    variance = builder.constant(np.array([1.0, -1.0]))
    graph = read(builder, builder.add("BatchNormalization", "input", *operands, variance, name="bn"))
    with pytest.raises(WeightError, match=r"node 'bn' \(BatchNormalization\): variance plus epsilon is -0.99999"):
        affine_of(graph, graph.nodes[0])


def test_one_positive_number_is_another_scale() -> None:
    for op, shape, expected in [("Mul", (), True), ("Div", (1,), True), ("Add", (), False), ("Mul", (3, 1, 1), False)]:
        builder, out = last(op, *shape)
        graph = read(builder, out)
        assert is_rescaling(graph, graph.nodes[0]) == expected
    builder = ModelBuilder((1, 2))
    graph = read(builder, builder.add("Mul", "input", builder.constant(-1.0)))
    assert not is_rescaling(graph, graph.nodes[0])


@pytest.mark.parametrize(
    ("bounds", "factor", "offset", "expected"),
    [
        ((-INF, INF), [0.0, -1.0], [3.0, 4.0], (-INF, INF)),
        ((0.0, INF), [2.0, 3.0], [0.0, 0.0], (0.0, INF)),
        ((0.0, INF), [-2.0, -3.0], [0.0, 0.0], (-INF, 0.0)),
        ((0.0, INF), [2.0, -3.0], [0.0, 0.0], None),
        ((0.0, INF), [2.0, 3.0], [1.0, 0.0], None),
        ((0.0, 6.0), [2.0, 2.0], [1.0, 1.0], (1.0, 13.0)),
        ((0.0, 6.0), [2.0, 3.0], [0.0, 0.0], None),
        ((0.0, 6.0), [0.0, 0.0], [1.0, 1.0], None),
    ],
)
def test_bounds_behind(
    bounds: tuple[float, float], factor: list[float], offset: list[float], expected: tuple[float, float] | None
) -> None:
    assert scaled_bounds(bounds, Affine("x", np.array(factor), np.array(offset))) == expected


def test_two_clamps_in_a_row() -> None:
    assert with_bounds(Node("Add", "a", ("x",), ("y",), {"lower": 1.0}), (0.0, 6.0)) == {"lower": 1.0, "upper": 6.0}
    assert with_bounds(Node("Add", "a", ("x",), ("y",)), (-INF, INF)) == {}


def test_the_outputs_of_a_transposed_convolution_lie_in_groups() -> None:
    layer = Node("ConvTranspose", "t", ("x", "w"), ("y",), {"group": 2})
    factor = by_output(layer, np.ones((4, 3, 1, 1)), np.arange(6.0))
    assert factor.reshape(4, 3).tolist() == [[0, 1, 2], [0, 1, 2], [3, 4, 5], [3, 4, 5]]
