# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import onnx
import pytest
from onnx import helper

from systolith.api.check_places import PLACES, macs_of, place_of
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
    assert place_of(node(op, name), NETWORK, {"bad"}, {"lost"}) == place
    assert place in PLACES


def test_without_a_network_nothing_is_known() -> None:
    assert place_of(node("Conv", "conv"), None, set(), set()) == "unexamined"


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
