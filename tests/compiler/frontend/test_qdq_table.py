# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from systolith.compiler.errors import QuantisationError, UnsupportedModel
from systolith.compiler.lower import lower
from systolith.spec.arch import PRESETS
from tests.support.qdq_models import QdqModel, check, import_model, on_engine

SEED = 43
SHAPE = (1, 3, 4, 5)
TABLES = replace(PRESETS["4x4"], tables=4)


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("Sigmoid", {}),
        ("Tanh", {}),
        ("HardSwish", {}),
        ("LeakyRelu", {"alpha": 0.3}),
        ("Elu", {}),
        ("Softplus", {}),
        ("Exp", {}),
        ("Abs", {}),
    ],
)
@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_a_function_is_a_table(op: str, attributes: dict[str, float], dtype: type) -> None:
    m = QdqModel(SEED, dtype=dtype, opset=14)
    zero = 120 if dtype is np.uint8 else -8
    x = m.real(m.input(*SHAPE), 0.05, zero)
    graph = check(m.model(m.real(m.node(op, x, **attributes), 0.03, zero)), judged=1)
    assert [node.op for node in graph.nodes] == ["QTable"]
    assert graph.constant(graph.nodes[0].attributes["table"]).shape == (256,)


def test_the_activation_after_a_function_is_in_the_table() -> None:
    m = QdqModel(SEED)
    y = m.node("Clip", m.node("Tanh", m.start(*SHAPE)), m.constant(np.float32(-0.5)), m.constant(np.float32(0.25)))
    graph = check(m.model(m.real(y, 0.01)), judged=1)
    table = graph.constant(graph.nodes[0].attributes["table"])
    assert (table.min(), table.max()) == (-50, 25)


def test_a_chain_is_one_table() -> None:
    m = QdqModel(SEED)
    y = m.node("Sigmoid", m.node("Add", m.node("Tanh", m.start(*SHAPE)), m.constant(np.float32(0.5))))
    y = m.node("Div", m.constant(np.float32(2)), y)
    graph = check(m.model(m.real(y, 0.05)), judged=1)
    assert [node.op for node in graph.nodes] == ["QTable"]


@pytest.mark.parametrize("quantised", [False, True])
def test_a_product_of_a_tensor_and_its_function_is_one_table(quantised: bool) -> None:
    m = QdqModel(SEED)
    x = m.real(m.conv(m.start(*SHAPE), 3, 3, pads=[1, 1, 1, 1]), 0.07)
    gate = m.node("Sigmoid", x)
    gate = m.real(gate, 1 / 256, -128) if quantised else gate
    graph = check(m.model(m.real(m.node("Mul", x, gate), 0.05)), judged=2)
    assert [node.op for node in graph.nodes] == ["QConv", "QTable"]


def test_the_engine_computes_it() -> None:
    m = QdqModel(SEED)
    x = m.real(m.conv(m.start(*SHAPE), 3, 3, pads=[1, 1, 1, 1]), 0.07)
    y = m.real(m.node("Mul", x, m.real(m.node("Sigmoid", x), 1 / 256, -128)), 0.05)
    model = m.model(m.real(m.conv(y, 3, 4), 0.1))
    on_engine(model, TABLES)
    with pytest.raises((UnsupportedModel, QuantisationError), match="table"):
        lower(import_model(model), replace(TABLES, tables=0))


def test_a_value_that_is_no_number_takes_the_nearest() -> None:
    m = QdqModel(SEED)
    graph = import_model(m.model(m.real(m.node("Sqrt", m.start(*SHAPE, zero=0)), 0.05)))
    table = graph.constant(graph.nodes[0].attributes["table"])
    assert table[:129].tolist() == [0] * 129
    assert table[-1] == round(np.sqrt(127 * 0.05) / 0.05)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda m, x: m.node("Max", x, m.real(m.conv(x, 3, 3, pads=[1, 1, 1, 1]))),
            r"\(Max\): it combines two computed tensors; accepted: functions of one tensor, such as x \* sigmoid",
        ),
        (lambda m, x: m.node("Sigmoid", m.conv(x, 3, 3)), r"\(Sigmoid\): tensor 'conv\d_out' is not quantised"),
        (
            lambda m, x: m.node("Log", m.node("Sub", m.node("Tanh", x), m.constant(np.float32(2)))),
            r"\(Log\): its result is not a number anywhere",
        ),
    ],
)
def test_refusals(build: Callable[[QdqModel, str], str], message: str) -> None:
    m = QdqModel(SEED)
    with pytest.raises(UnsupportedModel, match=message):
        import_model(m.model(m.real(build(m, m.start(*SHAPE)))))
