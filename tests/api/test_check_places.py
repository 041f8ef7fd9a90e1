# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import onnx
import pytest
from onnx import helper

from systolith.api.check_places import PLACES, macs_of, owner, places
from systolith.compiler.frontend.onnx_file import infer_shapes
from systolith.compiler.ir import Graph, Node
from tests.support.float_models import ModelBuilder


def network(*nodes: Node) -> Graph:
    return Graph("net", (), (), nodes, {})


def node(op: str, name: str) -> onnx.NodeProto:
    return helper.make_node(op, ["x"], [f"{name}_out"], name=name)


NETWORK = network(
    Node("QConv", "conv", ("x",), ("y",), {"table": "t"}, ("Div", "Conv", "Sigmoid")),
    Node("QTable", "tanh", ("y",), ("z",), {"table": "u"}, ("Tanh",)),
    Node("View", "flat", ("z",), ("w",), {}, ("Reshape",)),
    Node("QConv", "split:part", ("w",), ("v",), {}, ("Conv",)),
)


@pytest.mark.parametrize(
    ("op", "name", "place"),
    [
        ("Conv", "conv", "engine"),
        ("Sigmoid", "sig", "table"),
        ("Tanh", "tanh", "table"),
        ("Flatten", "flat", "folded"),
        ("Conv", "split", "engine"),
        ("Relu", "relu", "folded"),
        ("Softmax", "soft", "host"),
        ("Conv", "bad", "refused"),
        ("Conv", "lost", "unexamined"),
    ],
)
def test_places(op: str, name: str, place: str) -> None:
    assert places([node(op, name)], NETWORK, {"bad"}, {"lost"}) == [place]
    assert place in PLACES


def test_without_a_network_nothing_is_known() -> None:
    assert places([node("Conv", "conv")], None, set(), set()) == ["unexamined"]


def test_a_part_belongs_to_the_node_of_the_longest_name() -> None:
    nodes = {"a", "a:0", "b"}
    assert [owner(name, nodes) for name in ("a", "a:1", "a:0", "a:0:phase 1", "c:0", "b:x:y")] == [
        *("a", "a", "a:0", "a:0", None, "b")
    ]


def test_places_of_nodes_with_colons_in_their_names() -> None:
    made = network(Node("QConv", "a:1", ("x",), ("y",), {}), Node("QTable", "a:2:part", ("y",), ("z",), {}))
    nodes = [node(op, name) for op, name in (("Relu", "a:0"), ("Conv", "a:1"), ("Tanh", "a:2"), ("Neg", "a:3"))]
    assert places(nodes, made, {"a:3:real0"}, set()) == ["folded", "engine", "table", "refused"]


def test_macs() -> None:
    net = ModelBuilder((1, 4, 8, 8))
    x = net.conv("input", 6, 2, 3, 3, group=2)
    x = net.add("Flatten", net.add("Relu", x, name="relu"))
    x = net.add("Gemm", x, net.weights(5, 216), transB=1, name="gemm")
    x = net.add("MatMul", x, net.weights(5, 7), name="matmul")
    counts = macs_of(infer_shapes(net.model(x)))
    assert counts == {"conv0": 36 * 6 * 2 * 9, "gemm": 216 * 5, "matmul": 35, "relu": 0, "flatten2": 0}


def test_macs_of_a_transposed_convolution_and_product() -> None:
    net = ModelBuilder((1, 4, 3, 3))
    x = net.add("ConvTranspose", "input", net.weights(4, 5, 2, 2), name="up", strides=[2, 2])
    y = net.add("Gemm", net.weights(6, 3), net.weights(6, 2), transA=1, name="gemm")
    counts = macs_of(infer_shapes(net.model(x, y)))
    assert counts == {"up": 36 * 5 * 4, "gemm": 3 * 2 * 6}
