# SPDX-License-Identifier: Apache-2.0
from typing import Any

import numpy as np
import pytest

from systolith.compiler.errors import UnsupportedModel
from systolith.compiler.ir import Graph
from systolith.compiler.passes.normalise_gemm import normalise_gemm
from tests.support.float_models import ModelBuilder, assert_same_result, read


def changed(builder: ModelBuilder, out: str) -> Graph:
    before = read(builder, out)
    after = normalise_gemm(before)
    assert_same_result(before, after)
    (node,) = after.nodes
    assert node.op == "Gemm"
    assert node.attributes == {"alpha": 1.0, "beta": 1.0, "transA": False, "transB": True}
    assert [after.constant(name).shape for name in node.inputs[1:]] == [(5, 3), (5,)]
    return after


def test_matmul() -> None:
    builder = ModelBuilder((1, 3))
    after = changed(builder, builder.add("MatMul", "input", builder.weights(3, 5)))
    assert after.nodes[0].origin == ("MatMul",)


@pytest.mark.parametrize("attributes", [{}, {"alpha": 0.5, "beta": 2.0}, {"beta": 0.0}])
@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm(attributes: dict[str, Any], transposed: int) -> None:
    builder = ModelBuilder((1, 3))
    weight = builder.weights(5, 3) if transposed else builder.weights(3, 5)
    changed(builder, builder.add("Gemm", "input", weight, builder.weights(5), transB=transposed, **attributes))


@pytest.mark.parametrize("shape", [(1,), (5,), (1, 5), (1, 1), ()])
def test_bias_of_any_shape_that_broadcasts(shape: tuple[int, ...]) -> None:
    builder = ModelBuilder((1, 3))
    changed(builder, builder.add("Gemm", "input", builder.weights(3, 5), builder.weights(*shape)))


def test_gemm_without_bias() -> None:
    builder = ModelBuilder((1, 3))
    changed(builder, builder.add("Gemm", "input", builder.weights(3, 5)))


def test_shared_weights_serve_both_layers() -> None:
    builder = ModelBuilder((1, 3))
    weight = builder.weights(3, 3)
    before = read(builder, builder.add("MatMul", builder.add("Gemm", "input", weight, transB=1), weight))
    assert_same_result(before, normalise_gemm(before))


def test_other_nodes_stay() -> None:
    builder = ModelBuilder((1, 3))
    before = read(builder, builder.add("Relu", "input"))
    assert normalise_gemm(before) == before


def test_refuses_a_product_of_activations() -> None:
    builder = ModelBuilder((1, 3))
    out = builder.add("MatMul", "input", builder.add("Relu", builder.weights(3, 3)), name="ok")
    normalise_gemm(read(builder, out))
    builder = ModelBuilder((1, 1))
    out = builder.add("Gemm", "input", "input", name="mm")
    with pytest.raises(UnsupportedModel, match=r"node 'mm' \(Gemm\): its second operand is computed"):
        normalise_gemm(read(builder, out))


def test_refuses_higher_ranks() -> None:
    builder = ModelBuilder((1, 2, 3))
    out = builder.add("MatMul", "input", builder.weights(3, 5), name="mm")
    with pytest.raises(UnsupportedModel, match=r"it multiplies \[1, 2, 3\] times \[3, 5\]; accepted: a \(batch, K\)"):
        normalise_gemm(read(builder, out))


def test_refuses_trans_a() -> None:
    builder = ModelBuilder((1, 3))
    out = builder.add("Gemm", "input", builder.weights(1, 5), transA=1, name="g")
    with pytest.raises(UnsupportedModel, match=r"node 'g' \(Gemm\): transA 1 transposes the activations"):
        normalise_gemm(read(builder, out))


def test_refuses_a_computed_bias() -> None:
    builder = ModelBuilder((1, 3))
    out = builder.add("Gemm", "input", builder.weights(3, 3), "input", name="g")
    with pytest.raises(UnsupportedModel, match=r"C \('input'\) is computed by the network; accepted: a constant bias"):
        normalise_gemm(read(builder, out))


def test_argument_is_left_alone() -> None:
    builder = ModelBuilder((1, 3))
    before = read(builder, builder.add("Gemm", "input", builder.weights(3, 5), alpha=2.0))
    weight = before.constant("c0").copy()
    normalise_gemm(before)
    np.testing.assert_array_equal(before.constant("c0"), weight)
