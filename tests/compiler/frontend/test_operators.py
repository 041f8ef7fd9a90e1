# SPDX-License-Identifier: Apache-2.0
import onnx
import pytest

from systolith.compiler.errors import UnsupportedModel
from systolith.compiler.frontend.operators import COMPUTED, FOLDED, QUANTISERS, check_operators, name_nodes, node_name


def model(node: onnx.NodeProto) -> onnx.ModelProto:
    return onnx.helper.make_model(onnx.helper.make_graph([node], "g", [], []))


def test_tables_are_disjoint_and_known_to_onnx() -> None:
    names = (*COMPUTED, *FOLDED, *QUANTISERS)
    assert len(set(names)) == len(names)
    assert all(onnx.defs.has(name) for name in names)


def test_name_falls_back_on_the_output() -> None:
    assert node_name(onnx.helper.make_node("Relu", ["x"], ["y"], name="n")) == "n"
    assert node_name(onnx.helper.make_node("Relu", ["x"], ["y"])) == "y"


def test_nodes_of_one_name_are_told_apart() -> None:
    given = [("n", "a"), ("n", "b"), ("", "c"), ("c", "d"), ("n:b", "e")]
    nodes = [onnx.helper.make_node("Relu", ["x"], [output], name=name) for name, output in given]
    graph = onnx.helper.make_graph(nodes, "g", [], [])
    name_nodes(graph)
    assert [node_name(node) for node in graph.node] == ["n", "n:b", "c", "c:d", "n:b:e"]


def test_refuses_an_operator() -> None:
    with pytest.raises(UnsupportedModel, match=r"node 'y' \(GRU\): operator GRU is not supported; accepted: .*Conv"):
        check_operators(model(onnx.helper.make_node("GRU", ["x"], ["y"])))


def test_refuses_a_foreign_domain() -> None:
    with pytest.raises(UnsupportedModel, match="operator Conv of domain 'com.example' is not supported"):
        check_operators(model(onnx.helper.make_node("Conv", ["x"], ["y"], domain="com.example")))


def test_accepts_the_tables() -> None:
    for name in (*COMPUTED, *FOLDED, *QUANTISERS):
        check_operators(model(onnx.helper.make_node(name, ["x"], ["y"])))
