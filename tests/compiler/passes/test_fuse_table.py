# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable

import numpy as np
import pytest

from systolith.compiler.interp_int import run_integer
from systolith.compiler.ir import Graph
from systolith.compiler.passes.fuse_add import fuse_add
from systolith.compiler.passes.fuse_table import fuse_table
from systolith.compiler.verify import verify
from tests.support.graph_builder import GraphBuilder, Limits
from tests.support.random_graphs import random_feeds, random_network

LIMITS = Limits(size=6, channels=4, kernel=3, tables=True)


def builder(seed: int = 0) -> GraphBuilder:
    return GraphBuilder(rng=np.random.default_rng(seed), limits=LIMITS)


def same(before: Graph, after: Graph, seed: int = 0) -> None:
    """Both graphs give the same integers wherever both have a tensor."""
    verify(after)
    feeds = random_feeds(before, seed, batch=2)
    old, new = run_integer(before, feeds), run_integer(after, feeds)
    for name in new:
        assert np.array_equal(old[name], new[name]), f"seed {seed}, {name}"


@pytest.mark.parametrize(
    ("op", "make"),
    [
        ("QConv", lambda b, x: b.conv(x)),
        ("QConv", lambda b, x: b.conv(x, residual=x)),
        ("QPool", lambda b, x: b.pool(x)),
        ("QAdd", lambda b, x: b.add(x, x)),
        ("QRequant", lambda b, x: b.requant(x)),
    ],
)
def test_a_table_joins_the_node_before(op: str, make: Callable[[GraphBuilder, str], str]) -> None:
    b = builder(7)
    y = make(b, b.input(3, 5, 5))
    graph = b.graph("g", b.table(y))
    fused = fuse_table(graph)
    (node,) = fused.nodes
    assert node.op == op
    assert node.attributes["inner"] == graph.tensors[y].qparams
    assert node.outputs == graph.outputs
    assert node.origin == (op[1:], "Table")
    assert y not in fused.tensors
    same(graph, fused)


@pytest.mark.parametrize("behind", ["input", "node"])
def test_tables_in_a_row_become_one(behind: str) -> None:
    b = builder(1)
    x = b.input(3, 5, 5)
    y = b.conv(x) if behind == "node" else x
    graph = b.graph("g", b.table(b.table(b.table(y))))
    fused = fuse_table(graph)
    assert [node.op for node in fused.nodes] == ["QConv" if behind == "node" else "QTable"]
    if behind == "node":
        assert fused.nodes[0].attributes["inner"] == graph.tensors[y].qparams
    same(graph, fused)


@pytest.mark.parametrize("why", ["output", "reader", "input"])
def test_where_it_does_not_apply(why: str) -> None:
    b = builder(2)
    x = b.input(3, 5, 5)
    y = x if why == "input" else b.conv(x)
    result = b.table(y)
    outputs = {"output": (result, y), "reader": (result, b.pool(y))}.get(why, (result,))
    graph = b.graph("g", *outputs)
    assert fuse_table(graph) == graph


def test_an_add_does_not_move_in_front_of_a_table() -> None:
    b = builder(3)
    x = b.input(3, 5, 5)
    graph = b.graph("g", b.add(b.table(b.conv(x, 3, same=True)), x))
    fused = fuse_add(fuse_table(graph))
    assert [node.op for node in fused.nodes] == ["QConv", "QAdd"]
    same(graph, fused)


@pytest.mark.parametrize("seed", range(20))
def test_random_networks_compute_the_same(seed: int) -> None:
    graph = random_network(seed, LIMITS, depth=5)
    fused = fuse_table(fuse_add(graph))
    assert len(fused.nodes) < len(graph.nodes) or not any(node.op == "QTable" for node in graph.nodes[1:])
    same(graph, fused, seed)
