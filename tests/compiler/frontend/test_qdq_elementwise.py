# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from systolith.compiler.elementwise import BINARY, UNARY
from systolith.compiler.frontend.qdq_elementwise import ELEMENTWISE
from tests.support.qdq_models import QdqModel, check

SEED = 53


def test_every_elementwise_operator_has_a_rule() -> None:
    assert set(ELEMENTWISE) == {*UNARY, *BINARY}


def test_an_add_goes_three_ways() -> None:
    m = QdqModel(SEED)
    x = m.start(1, 3, 5, 5)
    half = m.constant(np.float32(0.5))
    by_bias = m.real(m.node("Add", m.conv(x, 3, 3, 1), half), 0.06)
    by_table = m.real(m.node("Add", m.node("Tanh", x), x), 0.05)
    graph = check(m.model(m.real(m.node("Add", by_bias, by_table), 0.1)), judged=3)
    assert [(node.op, node.origin) for node in graph.nodes] == [
        ("QConv", ("Conv", "Add")),
        ("QTable", ("Add",)),
        ("QAdd", ("Add",)),
    ]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize(("op", "made"), [("Add", "QAdd"), ("Mul", "QMul")])
@pytest.mark.parametrize("pixels", ["all", "one"])
def test_two_tensors(pixels: str, op: str, made: str, dtype: type) -> None:
    """In either order; of one shape, or one of a single pixel."""
    m = QdqModel(SEED, dtype=dtype)
    x = m.start(1, 3, 5, 4)
    other = m.real(m.node("GlobalAveragePool", x), 0.03) if pixels == "one" else m.real(m.node("Neg", x), 0.04)
    first = m.real(m.node(op, other, x), 0.4)
    graph = check(m.model(m.real(m.node("Relu", m.node(op, first, other)), 1.2)))
    assert [node.op for node in graph.nodes][1:] == [made, made]


def test_squeeze_and_excite() -> None:
    """A gate between 0 and 1, as a quantiser scales it, on what is quantised from zero up."""
    m = QdqModel(SEED, dtype=np.uint8)
    x = m.real(m.node("Relu", m.conv(m.start(1, 3, 6, 6), 3, 8)), 0.04)
    squeezed = m.real(m.node("GlobalAveragePool", x), 0.02)
    gate = m.real(m.node("Sigmoid", m.real(m.conv(squeezed, 8, 8, 1), 0.05, 128)), 1 / 256)
    graph = check(m.model(m.real(m.node("Mul", x, gate), 0.015)))
    assert (graph.nodes[-1].op, graph.nodes[-1].inputs[0]) == ("QMul", graph.nodes[1].inputs[0])


def test_the_operand_that_may_be_larger_comes_first() -> None:
    m = QdqModel(SEED)
    x = m.start(1, 3, 4, 4)
    centred = m.real(m.node("Neg", x), 0.05, 0)
    lopsided = m.real(m.node("Relu", x), 0.02, -128)
    graph = check(m.model(m.real(m.node("Mul", lopsided, centred), 0.05)))
    first, second = (graph.tensors[name].qparams for name in graph.nodes[-1].inputs)
    assert first is not None
    assert second is not None
    assert (first.zero_point, second.zero_point) == (0, -128)
