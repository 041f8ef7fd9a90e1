# SPDX-License-Identifier: Apache-2.0
import pytest

from systolith.compiler.ir import Graph
from systolith.compiler.passes.spell_out import spell_out
from tests.support.float_models import ModelBuilder, assert_same_result, read


def spelt(builder: ModelBuilder, *outputs: str) -> Graph:
    before = read(builder, *outputs)
    after = spell_out(before)
    assert_same_result(before, after)
    return after


def test_hard_sigmoid() -> None:
    builder = ModelBuilder((1, 4))
    after = spelt(builder, builder.add("HardSigmoid", "input", alpha=0.3, beta=0.4))
    assert [node.op for node in after.nodes] == ["Mul", "Add", "Clip"]
    assert {node.origin for node in after.nodes} == {("HardSigmoid",)}


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("op", ["Max", "Min"])
def test_one_bound(op: str, first: bool) -> None:
    builder = ModelBuilder((1, 4))
    operands = ("input", builder.constant([0.25]))
    after = spelt(builder, builder.add(op, *(operands[::-1] if first else operands)))
    assert [node.op for node in after.nodes] == ["Clip"]


@pytest.mark.parametrize("first", [False, True])
def test_a_share_of_itself(first: bool) -> None:
    builder = ModelBuilder((1, 4))
    operands = ("input", builder.add("Mul", builder.constant(0.1), "input"))
    (node,) = spelt(builder, builder.add("Max", *(operands[::-1] if first else operands))).nodes
    assert node.op == "LeakyRelu"
    assert node.attributes["alpha"] == pytest.approx(0.1)


@pytest.mark.parametrize("factor", [2.0, -0.5])
def test_another_multiple_of_itself_stays(factor: float) -> None:
    builder = ModelBuilder((1, 4))
    out = builder.add("Max", "input", builder.add("Mul", "input", builder.constant(factor)))
    assert [node.op for node in spelt(builder, out).nodes] == ["Mul", "Max"]


@pytest.mark.parametrize("shape", [(4,), (1, 4)])
def test_other_constants_stay(shape: tuple[int, ...]) -> None:
    builder = ModelBuilder((1, 4))
    graph = read(builder, builder.add("Max", "input", builder.weights(*shape)))
    assert spell_out(graph) == graph


def test_the_least_share_stays() -> None:
    builder = ModelBuilder((1, 4))
    out = builder.add("Min", "input", builder.add("Mul", "input", builder.constant(0.1)))
    assert [node.op for node in spelt(builder, out).nodes] == ["Mul", "Min"]
