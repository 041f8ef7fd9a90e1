# SPDX-License-Identifier: Apache-2.0
import numpy as np
import onnx
import pytest
from onnx import helper

from systolith.compiler.errors import UnsupportedModel
from systolith.compiler.frontend.dialect import Rewriter, rewrite_dialect
from tests.support.float_models import ModelBuilder


def builder() -> ModelBuilder:
    result = ModelBuilder((1, 3), opset=13)
    half = result.add("Constant", value_float=0.5)
    result.add("Twice", "input", result.constant(2.0), half, name="two", mode="x")
    result.add("Relu", "two_out", name="relu")
    return result


def twice(rewriter: Rewriter) -> None:
    assert rewriter.attributes() == {"mode": b"x"}
    assert rewriter.attributes("mode") == {}
    assert rewriter.given(7) == ""
    assert rewriter.opset == 13
    both = rewriter.store("both", rewriter.constant(1) + rewriter.constant(2))
    rewriter.add("", "Neg", [rewriter.add("result", "Mul", [rewriter.given(0), both])])


def test_a_node_is_replaced_in_its_place() -> None:
    before = builder().model("relu_out")
    after = rewrite_dialect(before, {("", "Twice"): twice})
    assert [(node.op_type, node.name) for node in after.graph.node] == [
        ("Constant", "constant0"),
        ("Mul", "two"),
        ("Neg", "two"),
        ("Relu", "relu"),
    ]
    assert [list(node.output) for node in after.graph.node[1:3]] == [["two_out:result"], ["two_out"]]
    (made,) = (onnx.numpy_helper.to_array(t) for t in after.graph.initializer if t.name == "two_out:both")
    assert made == np.float32(2.5)
    assert [node.op_type for node in before.graph.node] == ["Constant", "Twice", "Relu"], "the model given stays"


def test_a_model_without_such_nodes_is_returned_as_it_is() -> None:
    model = builder().model("relu_out")
    assert rewrite_dialect(model, {("other", "Twice"): twice}) is model


@pytest.mark.parametrize(("index", "message"), [(0, r"input 0 \('input'\) is computed"), (9, "input 9 is left out")])
def test_refusals_name_the_node(index: int, message: str) -> None:
    node = helper.make_node("Twice", ["input"], ["y"], name="two")
    with pytest.raises(UnsupportedModel, match=rf"node 'two' \(Twice\): {message}.*; accepted: a constant"):
        Rewriter(node, {}, 13).constant(index)
