# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from systolith.compiler.errors import UnsupportedModel
from systolith.compiler.ir import Graph
from systolith.compiler.passes.spell_products import spell_products
from systolith.compiler.verify import verify
from tests.support.float_models import ModelBuilder, agreeing, assert_same_result, only, read


def spelled(net: ModelBuilder, *outputs: str) -> Graph:
    before = agreeing(net, *outputs)
    after = spell_products(before)
    verify(after)
    assert_same_result(before, after)
    return after


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


@pytest.mark.parametrize("shape", [(1, 7, 5), (1, 1, 7, 5)])
@pytest.mark.parametrize("bias", [(9,), (1,), (1, 1, 9), ()])
def test_a_dense_layer_becomes_a_convolution_with_its_bias(shape: tuple[int, ...], bias: tuple[int, ...]) -> None:
    net = ModelBuilder(shape)
    graph = spelled(net, net.add("Add", net.add("MatMul", "input", net.weights(5, 9)), net.weights(*bias)))
    assert ops(graph)[len(shape) - 3 :][:5] == ["Transpose", "Reshape", "Conv", "Reshape", "Transpose"]
    conv = only(graph, "Conv")
    assert graph.constant(conv.inputs[1]).shape == (9, 5, 1, 1)
    assert graph.constant(conv.inputs[2]).shape == (9,)
    assert conv.origin == ("MatMul", "Add")


@pytest.mark.parametrize("rows", [7, 9, 1])
@pytest.mark.parametrize("why", ["another reader", "a number a row", "no constant"])
def test_an_add_that_is_no_bias_stays(rows: int, why: str) -> None:
    """Also of as many rows as columns, or of a single row, which the numbers enlarge."""
    net = ModelBuilder((1, rows, 5))
    product = net.add("MatMul", "input", net.weights(5, 9))
    other = (
        net.add("Relu", product)
        if why == "no constant"
        else net.weights(*((max(rows, 2), 1) if why == "a number a row" else (9,)))
    )
    result = net.add("Add", product, other)
    outputs = [result, product] if why == "another reader" else [result]
    assert "Add" in ops(spelled(net, *outputs))


def test_a_constant_on_the_left_needs_no_transpose() -> None:
    net = ModelBuilder((1, 7, 5))
    assert ops(spelled(net, net.add("MatMul", net.weights(4, 7), "input"))) == ["Reshape", "Conv", "Reshape"]


@pytest.mark.parametrize("rank", [3, 4])
def test_products_of_two_tensors_are_of_rank_three(rank: int) -> None:
    ones = (1,) * (rank - 2)
    net = ModelBuilder((*ones, 7, 5))
    graph = spelled(net, net.add("MatMul", "input", net.input("other", *ones, 5, 3)))
    product = only(graph, "MatMul")
    assert [graph.tensors[name].shape for name in product.inputs] == [(1, 7, 5), (1, 5, 3)]
    assert graph.tensors[graph.outputs[0]].shape == (*ones, 7, 3)


def test_vectors_are_left_to_the_gemm() -> None:
    net = ModelBuilder((1, 5))
    assert ops(spelled(net, net.add("MatMul", "input", net.weights(5, 9)))) == ["MatMul"]


@pytest.mark.parametrize("left", [(1, 2, 7, 5), (1, 7, 5)])
def test_more_than_one_pair_of_matrices_is_refused(left: tuple[int, ...]) -> None:
    net = ModelBuilder(left)
    graph = read(net, net.add("MatMul", "input", net.constant(np.ones((2, 5, 4)))))
    with pytest.raises(
        UnsupportedModel, match=r"\(MatMul\): it multiplies .* times \[2, 5, 4\]; accepted: .*single matr"
    ):
        spell_products(graph)
