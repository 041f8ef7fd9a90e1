# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from systolith.compiler.errors import UnsupportedModel
from tests.support.qdq_models import QdqModel, check, import_model

SEED = 47
SHAPE = (1, 3, 6, 5)
BY_CHANNEL = np.array([0.5, -0.25, 0.0], np.float32).reshape(3, 1, 1)


def number(m: QdqModel, value: Any) -> str:
    return m.constant(np.asarray(value, dtype=np.float32))


def layer(m: QdqModel) -> str:
    return m.conv(m.start(*SHAPE), 3, 3)


def activation(m: QdqModel) -> str:
    return m.real(layer(m), 0.07, 5)


@pytest.mark.parametrize("before", [layer, activation])
@pytest.mark.parametrize("value", [0.5, -2.0, BY_CHANNEL])
@pytest.mark.parametrize(
    "build",
    [
        lambda m, x, c: m.node("Mul", x, c),
        lambda m, x, c: m.node("Mul", c, x),
        lambda m, x, c: m.node("Add", c, x),
        lambda m, x, c: m.node("Sub", x, c),
        lambda m, x, c: m.node("Sub", c, x),
    ],
    ids=["x*c", "c*x", "c+x", "x-c", "c-x"],
)
def test_a_constant_joins_a_layer(
    build: Callable[[QdqModel, str, str], str], value: Any, before: Callable[[QdqModel], str]
) -> None:
    m = QdqModel(SEED)
    graph = check(m.model(m.real(build(m, before(m), number(m, value)), 0.11, 3)))
    assert {node.op for node in graph.nodes} <= {"QConv", "QRequant"}
    assert len(graph.nodes) == (1 if before is layer else 2)


def test_quotients_negatives_and_dequantised_constants() -> None:
    m = QdqModel(SEED)
    y = m.node("Neg", m.node("Div", layer(m), number(m, [[[2.0]], [[-4.0]], [[0.5]]])))
    graph = check(m.model(m.real(m.node("Mul", y, m.weight((3, 1, 1), axis=0)), 0.01)), judged=1)
    assert graph.nodes[0].origin == ("Conv", "Div", "Neg", "Mul")


def test_a_positive_factor_of_a_limited_layer() -> None:
    m = QdqModel(SEED)
    y = m.node("Mul", m.node("Clip", layer(m), number(m, 0), number(m, 3)), number(m, 2))
    graph = check(m.model(m.real(y, 0.05)), judged=1)
    assert (graph.nodes[0].attributes["lo"], graph.nodes[0].attributes["hi"]) == (0, 120)


def test_a_positive_factor_after_a_transposed_convolution_of_several_phases() -> None:
    m = QdqModel(SEED)
    y = m.node("ConvTranspose", m.start(*SHAPE), m.weight((3, 4, 3, 3), None), strides=[2, 2])
    graph = check(m.model(m.real(m.node("Mul", m.node("Relu", y), number(m, 0.5)), 0.05, -3)), judged=1)
    assert [node.op for node in graph.nodes] == ["QConv"] * 4 + ["QMove"]


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_a_positive_factor_scales_what_a_pad_fills_in(factor: float) -> None:
    m = QdqModel(SEED)
    pads = m.constant(np.array([0, 0, 1, 2, 0, 0, 0, 1]))
    y = m.node("Mul", m.node("Pad", m.start(*SHAPE), pads, number(m, 1.5)), number(m, factor))
    (node,) = check(m.model(m.real(y, 0.15)), judged=1).nodes
    assert (node.op, node.attributes["fill"]) == ("QMove", 10 * factor)


@pytest.mark.parametrize("before", [layer, activation])
def test_batch_normalisation(before: Callable[[QdqModel], str]) -> None:
    m = QdqModel(SEED, opset=15)
    parameters = [number(m, value) for value in ([1, -0.5, 0], [0.3, -1, 0.7], [0.2, 0, 1], [1, 0.25, 4])]
    y = m.node("BatchNormalization", before(m), *parameters)
    check(m.model(m.real(y, 0.11)))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda m, x: m.node("Mul", x, number(m, np.ones((6, 5)))),
            r"\(Mul\): a constant of shape \[6, 5\] meets a tensor of shape \[1, 3, 6, 5\]; accepted: one number, or",
        ),
        (lambda m, x: m.node("Div", x, number(m, 0)), r"\(Div\): it divides by zero"),
        (
            lambda m, x: m.node("Mul", m.node("Relu", m.conv(x, 3, 3)), number(m, -1)),
            r"\(Mul\): tensor 'relu\d_out' is not quantised",
        ),
    ],
)
def test_refusals(build: Callable[[QdqModel, str], str], message: str) -> None:
    m = QdqModel(SEED)
    with pytest.raises(UnsupportedModel, match=message):
        import_model(m.model(m.real(build(m, m.start(*SHAPE)))))


def test_refuses_to_turn_the_most_negative_weight() -> None:
    m = QdqModel(SEED)
    codes = np.full((2, 3, 1, 1), -128, np.int8)
    weight = m.node("DequantizeLinear", m.constant(codes), number(m, 0.01))
    y = m.node("Neg", m.node("Conv", m.start(*SHAPE), weight))
    with pytest.raises(
        UnsupportedModel, match=r"\(Neg\): a negative factor turns a weight of -128; accepted: weights without"
    ):
        import_model(m.model(m.real(y)))
