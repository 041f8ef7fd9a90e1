# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from systolith.compiler.errors import UnsupportedModel
from systolith.compiler.frontend.qdq_values import Activation, FloatInput, Pending
from systolith.compiler.frontend.qdq_walk import Walk
from systolith.compiler.ir import Graph, Node, QParams, Tensor

PARAMS = QParams(0.5, 1)
NODE = Node("Conv", "c", ("a", "w"), ("y",))


def walk() -> Walk:
    """A walk that has seen integer tensor ``t`` of shape (1, 2, 3, 3), real under the name ``a``."""
    source = Graph("g", (), (), (), {"y": Tensor("y", (1, 4))}, {"w": np.ones(3, np.float32)})
    result = Walk(source, 8)
    result.tensors["t"] = Tensor("t", (1, 2, 3, 3), PARAMS)
    result.values["a"] = Activation("t", (1, 2, 3, 3), PARAMS, real=True)
    return result


def pending(grid: QParams | None) -> Pending:
    return Pending("QRequant", "r", ("t",), np.array(0.5), (1, 2, 3, 3), (1, 18), ("Relu",), low=0.0, grid=grid)


def test_a_result_is_rounded_once_for_each_quantisation() -> None:
    w = walk()
    first = w.rounded(pending(None), PARAMS, "p", "q1")
    again = w.rounded(pending(None), PARAMS, "p", "q2")
    other = w.rounded(pending(None), QParams(0.25), "p", "q3")
    assert (first.tensor, again.tensor, other.tensor) == ("q1", "q1", "q3")
    assert first.shape == (1, 18)
    assert w.tensors["q1"].shape == (1, 2, 3, 3)
    assert [node.name for node in w.nodes] == ["r", "r:q3"]


def test_an_exact_result_is_rounded_where_it_is_needed() -> None:
    w = walk()
    w.values["p"] = pending(PARAMS)
    assert w.activation(NODE, "p") == Activation("p", (1, 18), PARAMS, real=True)
    assert w.nodes[0].outputs == ("p",)


@pytest.mark.parametrize(
    ("value", "what"),
    [(pending(None), "not quantised"), (FloatInput("p", (1, 2)), "a float input"), (None, "constant")],
)
def test_what_is_no_activation_is_refused(value: Pending | FloatInput | None, what: str) -> None:
    w = walk()
    if value is not None:
        w.values["p"] = value
    with pytest.raises(
        UnsupportedModel, match=rf"node 'c' \(Conv\): tensor 'p' is {what}; accepted: tensors that come"
    ):
        w.activation(NODE, "p")


def test_a_view_in_another_shape_is_refused_where_axes_matter() -> None:
    w = walk()
    flat = Activation("t", (1, 18), PARAMS, real=True)
    with pytest.raises(
        UnsupportedModel, match=r"a tensor of shape \[1, 2, 3, 3\] is seen as \[1, 18\]; accepted: axes"
    ):
        w.in_shape(NODE, flat)
    same = w.activation(NODE, "a")
    assert w.in_shape(NODE, same) is same


def test_layers_take_shape_and_name_from_their_node() -> None:
    w = walk()
    layer = w.layer("QConv", NODE, (w.real(NODE),), np.ones(4), {"group": 1})
    assert (layer.name, layer.inputs, layer.natural, layer.shape, layer.origin) == (
        "c",
        ("t",),
        (1, 4),
        (1, 4),
        ("Conv",),
    )
