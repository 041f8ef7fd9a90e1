# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from systolith.compiler.interp_int import run_integer
from systolith.compiler.ir import Graph
from systolith.compiler.passes.fuse_add import fuse_add
from systolith.compiler.verify import verify
from tests.support.graph_builder import GraphBuilder, Limits
from tests.support.random_graphs import random_feeds, random_network

LIMITS = Limits(size=6, channels=4, kernel=3)


def builder(seed: int = 0) -> GraphBuilder:
    return GraphBuilder(rng=np.random.default_rng(seed), limits=LIMITS)


def same(before: Graph, after: Graph, seed: int = 0) -> None:
    """Both graphs give the same integers wherever both have a tensor."""
    verify(after)
    feeds = random_feeds(before, seed, batch=2)
    old, new = run_integer(before, feeds), run_integer(after, feeds)
    for name in new:
        assert np.array_equal(old[name], new[name]), f"seed {seed}, {name}"


def branch(b: GraphBuilder, x: str) -> str:
    """A convolution that keeps the shape, without residual."""
    return b.conv(x, b.map_size(x)[0], same=True)


@pytest.mark.parametrize("first", [True, False])
def test_a_convolution_takes_the_add(first: bool) -> None:
    b = builder()
    x = b.input(3, 5, 5)
    y = branch(b, x)
    graph = b.graph("g", b.add(y, x) if first else b.add(x, y))
    fused = fuse_add(graph)
    (node,) = fused.nodes
    assert node.op == "QConv"
    assert node.inputs == (x, x)
    assert node.origin == ("Conv", "Add")
    assert y not in fused.tensors
    same(graph, fused)


def test_the_later_of_two_convolutions_takes_the_add() -> None:
    b = builder(1)
    x = b.input(3, 5, 5)
    early, late = branch(b, x), branch(b, x)
    graph = b.graph("g", b.add(early, late))
    fused = fuse_add(graph)
    assert [node.op for node in fused.nodes] == ["QConv", "QConv"]
    assert fused.nodes[1].inputs == (x, early)
    same(graph, fused)


def test_the_convolution_moves_behind_the_other_operand() -> None:
    b = builder(2)
    x = b.input(3, 5, 5)
    y = branch(b, x)
    z = b.requant(x)
    graph = b.graph("g", b.add(y, z))
    fused = fuse_add(graph)
    assert [node.op for node in fused.nodes] == ["QRequant", "QConv"]
    same(graph, fused)


def test_a_chain_of_adds() -> None:
    b = builder(3)
    x = b.input(3, 5, 5)
    y = b.add(x, branch(b, x))
    graph = b.graph("g", b.add(branch(b, y), y))
    fused = fuse_add(graph)
    assert [node.op for node in fused.nodes] == ["QConv", "QConv"]
    same(graph, fused)


def test_an_add_of_a_fused_convolution_stays() -> None:
    b = builder(4)
    x = b.input(3, 5, 5)
    graph = b.graph("g", b.add(b.add(x, branch(b, x)), x))
    fused = fuse_add(graph)
    assert [node.op for node in fused.nodes] == ["QConv", "QAdd"]
    same(graph, fused)


@pytest.mark.parametrize("why", ["output", "reader", "twice", "no convolution"])
def test_where_it_does_not_apply(why: str) -> None:
    b = builder(5)
    x = b.input(3, 5, 5)
    y = b.requant(x) if why == "no convolution" else branch(b, x)
    total = b.add(y, y if why == "twice" else x)
    outputs = {"output": (total, y), "reader": (total, b.requant(y))}.get(why, (total,))
    graph = b.graph("g", *outputs)
    assert fuse_add(graph) == graph


@pytest.mark.parametrize("seed", range(20))
def test_random_networks_compute_the_same(seed: int) -> None:
    graph = random_network(seed, LIMITS, depth=5)
    same(graph, fuse_add(graph), seed)
