# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from systolith.compiler.ir import Graph
from systolith.compiler.passes.orient_products import orient_products
from systolith.compiler.passes.remove_transposes import remove_transposes
from systolith.compiler.verify import verify
from tests.support.float_models import ModelBuilder, agreeing, assert_same_result, only


def oriented(net: ModelBuilder, *outputs: str) -> Graph:
    before = agreeing(net, *outputs)
    after = orient_products(remove_transposes(before))
    verify(after)
    assert_same_result(before, after)
    return after


def turn(net: ModelBuilder, x: str) -> str:
    return net.add("Transpose", x, perm=[0, 2, 1])


def count(graph: Graph) -> dict[str, int]:
    return Counter(node.op for node in graph.nodes)


def maps(channels: int = 6, pixels: int = 5) -> tuple[ModelBuilder, str]:
    """A tensor that is no input, which could be given transposed."""
    net = ModelBuilder((1, channels, 1, pixels))
    image = net.add("Relu", net.conv("input", channels, channels, 1, 1))
    return net, net.add("Reshape", image, net.constant([1, channels, pixels], np.int64))


@pytest.mark.parametrize("turned", [False, True])
def test_a_transposed_first_operand_is_an_attribute(turned: bool) -> None:
    net, x = maps(5, 5)
    graph = oriented(net, net.add("MatMul", turn(net, x) if turned else x, x))
    assert only(graph, "MatMul").attributes == {"transA": turned}
    assert not count(graph).get("Transpose")


@pytest.mark.parametrize(("turned", "left"), [(False, 1), (True, 0)])
def test_two_transposed_operands_are_one_transposed_result(turned: bool, left: int) -> None:
    net, x = maps(5, 5)
    product = net.add("MatMul", turn(net, x), turn(net, net.add("Neg", x)))
    graph = oriented(net, turn(net, product) if turned else product)
    assert count(graph).get("Transpose", 0) == left


@pytest.mark.parametrize(("turned", "left"), [(False, 1), (True, 0)])
def test_scores_and_values_need_no_transpose_but_the_result_s(turned: bool, left: int) -> None:
    """``T(V' (K^T Q))``: the scores are computed transposed, since the values want them so."""
    net, x = maps()
    query, key, value = (turn(net, net.add("Relu", x)), net.add("Neg", x), turn(net, net.add("Abs", x)))
    scores = net.add("Relu", net.add("MatMul", query, key))
    result = net.add("Relu", net.add("MatMul", scores, value))
    graph = oriented(net, turn(net, result) if turned else result)
    assert [node.attributes["transA"] for node in graph.nodes if node.op == "MatMul"] == [True, False]
    assert count(graph).get("Transpose", 0) == left


def test_a_result_that_nobody_wants_transposed_stays_as_it_is() -> None:
    net, x = maps()
    graph = oriented(net, net.add("MatMul", turn(net, x), net.add("Neg", x)))
    assert not count(graph).get("Transpose")


def test_a_transpose_behind_a_product_goes_in_front_where_it_meets_another() -> None:
    net, x = maps()
    graph = oriented(net, turn(net, net.add("MatMul", turn(net, x), net.add("Neg", x))))
    assert not count(graph).get("Transpose")


def test_rows_made_of_channels_stay_channels() -> None:
    net, x = maps(4, 5)
    flat = net.add("Reshape", net.add("Relu", x), net.constant([1, 1, 4, 5], np.int64))
    graph = oriented(net, net.add("Transpose", flat, perm=[0, 3, 1, 2]))
    made = only(graph, "Transpose")
    assert graph.tensors[made.inputs[0]].shape == (1, 4, 1, 5)
    assert made.attributes["perm"] == (0, 3, 2, 1)
