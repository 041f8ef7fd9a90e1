# SPDX-License-Identifier: Apache-2.0
import numpy as np

from systolith.compiler.ir import Graph, Node, Tensor
from systolith.compiler.passes.rewrite import fusable_producer, is_constant, prune, rebuild, renamed


def chain() -> Graph:
    nodes = (
        Node("Conv", "a", ("x", "w"), ("p",)),
        Node("Relu", "b", ("p",), ("q",)),
        Node("Relu", "dead", ("p",), ("r",)),
    )
    tensors = {name: Tensor(name, (1, 2)) for name in "xpqr"}
    return Graph("g", ("x",), ("q",), nodes, tensors, {"w": np.zeros(1), "spare": np.zeros(1)})


def test_is_constant() -> None:
    assert is_constant(chain(), "w")
    assert not is_constant(chain(), "x")


def test_prune_removes_what_no_output_needs() -> None:
    graph = prune(chain())
    assert [node.name for node in graph.nodes] == ["a", "b"]
    assert set(graph.tensors) == {"x", "p", "q"}
    assert set(graph.constants) == {"w"}


def test_prune_keeps_constants_that_attributes_name() -> None:
    graph = chain()
    named = graph.with_(nodes=(*graph.nodes[:1], Node("Relu", "b", ("p",), ("q",), {"weight": "spare"})))
    assert "spare" in prune(named).constants


def test_fusable_producer_has_one_reader() -> None:
    assert fusable_producer(chain(), "p", ("Conv",)) is None
    alone = prune(chain())
    assert fusable_producer(alone, "p", ("Conv",)) == alone.nodes[0]
    assert fusable_producer(alone, "p", ("Add",)) is None
    assert fusable_producer(alone.with_(outputs=("p", "q")), "p", ("Conv",)) is None
    assert fusable_producer(alone, "x", ("Conv",)) is None


def test_rebuild_adds_constants_and_leaves_the_argument_alone() -> None:
    graph = chain()
    nodes = [Node("Conv", "a", ("x", "new"), ("q",))]
    assert set(rebuild(graph, nodes, {"new": np.ones(1)}).constants) == {"new"}
    assert set(graph.constants) == {"w", "spare"}


def test_renamed_changes_a_chain_s_steps_too() -> None:
    """A chain's steps are nodes over the names of its operands."""
    step = Node("Add", "step", ("a", "b"), ("s",))
    chained = renamed(Node("Elementwise", "n", ("a", "b"), ("y",), {"steps": (step,)}), {"a": "c"})
    assert chained.attributes["steps"][0].inputs == chained.inputs == ("c", "b")


def test_renamed_changes_inputs_only() -> None:
    assert renamed(Node("Add", "n", ("a", "b"), ("a2",)), {"a": "c"}).inputs == ("c", "b")
