# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from systolith.compiler.ir import Graph
from systolith.compiler.passes.split_prelu import split_prelu
from tests.support.float_models import ModelBuilder, assert_same_result, read


def split(builder: ModelBuilder, *outputs: str, scalar: bool = True) -> Graph:
    before = read(builder, *outputs)
    after = split_prelu(before, scalar=scalar)
    assert_same_result(before, after)
    return after


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 4, 4)])
def test_a_slope_per_channel(shape: tuple[int, ...]) -> None:
    builder = ModelBuilder(shape)
    slope = np.array([-0.5, 0.2, 1.5]).reshape(3, *(1,) * (len(shape) - 2))
    after = split(builder, builder.add("PRelu", "input", builder.constant(slope), name="p"), scalar=False)
    assert [node.op for node in after.nodes] == ["Relu", "Clip", "Mul", "Add"]
    assert (after.nodes[-1].name, after.nodes[-1].origin) == ("p", ("PRelu",))


@pytest.mark.parametrize("alpha", [0.01, 0.5, 0.0, 1.0, 1.5, -0.3])
def test_one_slope(alpha: float) -> None:
    builder = ModelBuilder((1, 3, 4, 4))
    after = split(builder, builder.add("LeakyRelu", "input", alpha=alpha))
    shares = ["Relu", "Mul", "Mul", "Add"]
    assert [node.op for node in after.nodes] == (shares if 0 < alpha < 1 else ["Relu", "Clip", "Mul", "Add"])


def test_one_slope_as_a_constant() -> None:
    builder = ModelBuilder((1, 3, 4, 4))
    after = split(builder, builder.add("PRelu", "input", builder.constant([0.25])))
    assert [node.op for node in after.nodes] == ["Relu", "Mul", "Mul", "Add"]


def test_one_slope_stays_for_a_table() -> None:
    builder = ModelBuilder((1, 3, 4, 4))
    out = builder.add("PRelu", builder.add("LeakyRelu", "input"), builder.constant([0.25]))
    graph = read(builder, out)
    assert split_prelu(graph, scalar=False) == graph


@pytest.mark.parametrize("shape", [(4,), (3, 4, 4)])
def test_slopes_over_the_image_stay(shape: tuple[int, ...]) -> None:
    builder = ModelBuilder((1, 3, 4, 4))
    graph = read(builder, builder.add("PRelu", "input", builder.weights(*shape)))
    assert split_prelu(graph, scalar=True) == graph
