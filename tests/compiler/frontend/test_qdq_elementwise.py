# SPDX-License-Identifier: Apache-2.0
import numpy as np

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
