# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

from systolith.compiler.interp_int import run_integer
from systolith.compiler.ir import Graph, Node, Tensor
from systolith.compiler.passes.drop_requant import drop_requant
from systolith.compiler.verify import verify
from tests.support.graph_builder import GraphBuilder, Limits
from tests.support.random_graphs import random_feeds, random_network

LIMITS = Limits(size=6, channels=4, kernel=3)


def builder(seed: int = 0) -> tuple[GraphBuilder, str]:
    b = GraphBuilder(rng=np.random.default_rng(seed), limits=LIMITS)
    return b, b.input(3, 5, 5)


def limit(b: GraphBuilder, x: str, low: int | None = None, high: int | None = None) -> str:
    """A requantisation that keeps scale and zero point; without bounds it does nothing."""
    output = f"t{len(b.tensors)}"
    tensor = b.tensors[x]
    assert tensor.qparams is not None
    lowest, highest = tensor.qparams.low - tensor.qparams.zero_point, tensor.qparams.high - tensor.qparams.zero_point
    b.tensors[output] = Tensor(output, tensor.shape, tensor.qparams)
    bounds = {"lo": lowest if low is None else max(low, lowest), "hi": highest if high is None else min(high, highest)}
    b.nodes.append(Node("QRequant", f"limit{output}", (x,), (output,), {"factor": 1.0, **bounds}, ("Relu",)))
    return output


def same(before: Graph, after: Graph, seed: int = 0) -> None:
    verify(after)
    feeds = random_feeds(before, seed, batch=2)
    old, new = run_integer(before, feeds), run_integer(after, feeds)
    for name in after.outputs:
        assert np.array_equal(old[name], new[name]), f"seed {seed}, {name}"


@pytest.mark.parametrize("op", ["conv", "fused", "pool", "add", "requant", "move"])
def test_the_node_before_takes_the_bounds(op: str) -> None:
    b, x = builder()
    makers = {
        "conv": lambda: b.conv(x, 3),
        "fused": lambda: b.conv(x, residual=x),
        "pool": lambda: b.pool(x, "average"),
        "add": lambda: b.add(x, x),
        "requant": lambda: b.requant(x),
        "move": lambda: b.move(x, x),
    }
    graph = b.graph("g", limit(b, makers[op](), 0, 40))
    after = drop_requant(graph)
    (node,) = after.nodes
    assert node.outputs == graph.outputs
    assert node.origin[-1] == "Relu"
    same(graph, after)


def test_a_move_keeps_its_zero_point_in_bounds() -> None:
    b, x = builder(1)
    graph = b.graph("g", limit(b, b.move(x), 5, 40))
    assert drop_requant(graph) == graph


def test_the_first_of_a_chain_may_have_been_replaced() -> None:
    """Of three in a row the last two go into the first, which an earlier step has already renamed."""
    b, x = builder(3)
    graph = b.graph("g", limit(b, limit(b, limit(b, x, 0, 40)), -5, 30))
    after = drop_requant(graph)
    assert [node.op for node in after.nodes] == ["QRequant"]
    same(graph, after)


def test_a_move_s_fill_is_limited_too() -> None:
    b, x = builder(1)
    y = b.move(x)
    b.nodes[-1] = replace(b.nodes[-1], attributes={**b.nodes[-1].attributes, "fill": -9})
    after = drop_requant(b.graph("g", limit(b, y, 0, 40)))
    assert (after.nodes[0].op, after.nodes[0].attributes["fill"]) == ("QMove", 0)


def test_two_limits_in_a_row() -> None:
    b, x = builder(1)
    graph = b.graph("g", limit(b, limit(b, b.conv(x, 4), 0), None, 30))
    after = drop_requant(graph)
    assert [node.op for node in after.nodes] == ["QConv"]
    same(graph, after)


def test_one_that_does_nothing_goes_even_if_its_input_has_other_readers() -> None:
    b, x = builder(2)
    y = b.conv(x, 3)
    graph = b.graph("g", b.add(limit(b, y), y))
    after = drop_requant(graph)
    assert [node.op for node in after.nodes] == ["QConv", "QAdd"]
    same(graph, after)


def test_an_output_keeps_its_name() -> None:
    b, x = builder(4)
    y = b.conv(x, 3)
    graph = b.graph("g", limit(b, y), b.requant(y))
    assert drop_requant(graph) == graph


@pytest.mark.parametrize("why", ["input", "reader", "output", "scale", "factor"])
def test_where_it_does_not_apply(why: str) -> None:
    b, x = builder(3)
    y = x if why == "input" else b.conv(x, 3)
    z = limit(b, y, 0, 20)
    if why == "scale":
        qparams = b.tensors[z].qparams
        assert qparams is not None
        b.tensors[z] = replace(b.tensors[z], qparams=replace(qparams, scale=0.5))
    if why == "factor":
        b.nodes[-1] = replace(b.nodes[-1], attributes={**b.nodes[-1].attributes, "factor": 0.5})
    outputs = {"reader": (b.add(z, y),), "output": (z, y)}.get(why, (z,))
    graph = b.graph("g", *outputs)
    assert drop_requant(graph) == graph


@pytest.mark.parametrize("seed", range(10))
def test_random_networks_compute_the_same(seed: int) -> None:
    graph = random_network(seed, LIMITS, depth=5)
    same(graph, drop_requant(graph), seed)
