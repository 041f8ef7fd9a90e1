# SPDX-License-Identifier: Apache-2.0
from typing import Any

import numpy as np
import pytest

from systolith.compiler.errors import VerifyError
from systolith.compiler.ir import Graph, Node, QParams, Tensor
from systolith.compiler.verify import is_integer_level, verify
from tests.support.float_models import ModelBuilder, read
from tests.support.random_graphs import random_network


def graph(*nodes: Node, **changes: Any) -> Graph:
    tensors = {name: Tensor(name, (1, 2)) for name in "xyz"}
    return Graph("g", ("x",), ("y",), nodes, tensors).with_(**changes)


RELU = Node("Relu", "relu", ("x",), ("y",))


def test_accepts_imported_and_integer_graphs() -> None:
    builder = ModelBuilder((1, 3, 6, 6))
    verify(read(builder, builder.add("Relu", builder.conv("input", 4, 3, 3, 3))))
    for seed in range(5):
        verify(random_network(seed))


def test_accepts_dequantised_weights_without_batch() -> None:
    builder = ModelBuilder((1, 3))
    weight = builder.add("DequantizeLinear", builder.constant(np.ones((3, 2)), np.int8), builder.constant(0.5))
    verify(read(builder, builder.add("MatMul", "input", builder.add("Identity", weight))))


def test_level_follows_from_the_inputs() -> None:
    assert not is_integer_level(graph(RELU))
    tensors = {name: Tensor(name, (1, 2), QParams(1.0)) for name in "xy"}
    assert is_integer_level(graph(RELU, tensors=tensors))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (graph(), "input or output 'y' is not a tensor"),
        (graph(Node("Relu", "n", ("z",), ("y",))), r"node 'n' \(Relu\) reads 'z' before it is computed"),
        (graph(RELU, RELU), "two nodes are named 'relu'"),
        (graph(RELU, Node("Relu", "n", ("x",), ("y",))), r"node 'n' \(Relu\): output 'y' exists twice"),
        (graph(Node("Relu", "n", ("x",), ("q",)), RELU), "output 'q' exists twice or has no shape"),
        (graph(Node("Relu", "n", ("x",), ("y", "z"))), "has 2 outputs, expected 1"),
        (graph(Node("Det", "n", ("x",), ("y",))), "node 'n': Det is not of the float level"),
        (graph(Node("Relu", "n", ("x",), ("y",), {"axis": 1})), r"attributes \['axis'\], expected \[\]"),
        (graph(Node("Softmax", "n", ("x",), ("y",))), r"attributes \[\], expected \['axis'\]"),
        (graph(RELU, inputs=("w",)), "before it is computed"),
        (
            graph(RELU, tensors={"x": Tensor("x", (2, 2)), "y": Tensor("y", (1, 2))}),
            r"shape \(2, 2\), expected batch 1",
        ),
    ],
)
def test_refusals(broken: Graph, message: str) -> None:
    with pytest.raises(VerifyError, match=message):
        verify(broken)


def test_batch_is_what_is_asked_for() -> None:
    pair = graph(RELU, tensors={name: Tensor(name, (2, 2)) for name in "xy"})
    verify(pair, batch=2)
    verify(pair, batch=None)
    verify(graph(RELU, tensors={name: Tensor(name, ()) for name in "xy"}), batch=None)
    with pytest.raises(VerifyError, match=r"shape \(2, 2\), expected batch 3"):
        verify(pair, batch=3)


def test_refusal_names_the_stage_and_the_graph() -> None:
    with pytest.raises(VerifyError, match="pass fuse_add, graph 'g': "):
        verify(graph(), "pass fuse_add")


def test_activations_may_be_fused_on_any_operator() -> None:
    verify(graph(Node("Add", "n", ("x", "x"), ("y",), {"lower": 0.0, "upper": 1.0})))
