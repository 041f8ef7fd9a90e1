# SPDX-License-Identifier: Apache-2.0
from systolith.compiler.ir import Graph, Node, Tensor
from systolith.compiler.passes.remove_dead_code import remove_dead_code
from tests.support.float_models import assert_same_result


def graph(*nodes: Node) -> Graph:
    return Graph("g", ("x",), ("y",), nodes, {name: Tensor(name, (1, 2)) for name in "xyz"})


LIVE, DEAD = Node("Relu", "live", ("x",), ("y",)), Node("Relu", "dead", ("x",), ("z",))


def test_removes_a_dead_node() -> None:
    before = graph(LIVE, DEAD)
    after = remove_dead_code(before)
    assert after.nodes == (LIVE,)
    assert set(after.tensors) == {"x", "y"}
    assert_same_result(before, after)


def test_live_graph_stays() -> None:
    once = remove_dead_code(graph(LIVE))
    assert remove_dead_code(once) == once
