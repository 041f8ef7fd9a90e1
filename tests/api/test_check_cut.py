# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
import pytest

from systolith.api.check_cut import cut, find
from systolith.compiler.frontend.onnx_file import infer_shapes
from tests.support.faulty_models import faulty_qdq
from tests.support.float_models import ModelBuilder


def chain() -> onnx.ModelProto:
    net = ModelBuilder((1, 3))
    a = net.add("Relu", "input", name="a")
    b = net.add("Mystery", a, name="b")
    c = net.add("Relu", b, name="c")
    return onnx.shape_inference.infer_shapes(net.model(net.add("Add", c, a, name="d"), c))


def names(values: Iterable[Any]) -> list[str]:
    return [value.name for value in values]


def test_a_node_becomes_an_input_and_an_output() -> None:
    model = infer_shapes(chain_of_known())
    rest, lost = cut(model, {1})
    assert lost == []
    assert names(rest.graph.node) == ["a", "c"]
    assert names(rest.graph.input) == ["input", "b_out"]
    assert names(rest.graph.output) == ["c_out", "a_out"]
    assert names(model.graph.node) == ["a", "b", "c"], "the model given stays"


def chain_of_known() -> onnx.ModelProto:
    net = ModelBuilder((1, 3))
    x = net.add("Relu", net.add("Relu", net.add("Relu", "input", name="a"), name="b"), name="c")
    return net.model(x)


def test_what_follows_a_tensor_of_unknown_shape_is_lost() -> None:
    rest, lost = cut(chain(), {1})
    assert lost == ["c", "d"]
    assert names(rest.graph.node) == ["a"]
    assert names(rest.graph.output) == ["a_out"]


def test_a_shape_becomes_no_output() -> None:
    """What a cut Reshape read is a tensor and a shape; only the tensor is a result of the network."""
    net = ModelBuilder((1, 3, 4))
    x = net.add("Relu", "input", name="a")
    sizes = net.add("Concat", net.add("Shape", x, name="s"), net.constant([1], np.int64), axis=0, name="c")
    y = net.add("Relu", net.add("Reshape", x, sizes, name="r"), name="e")
    rest, _ = cut(infer_shapes(net.model(y)), {3})
    assert names(rest.graph.output) == ["e_out", "a_out"]


def test_a_quantised_layer_goes_with_its_surroundings() -> None:
    model = faulty_qdq()
    rest, lost = cut(model, {8})
    assert lost == ["relu9"], "up to the next QuantizeLinear"
    assert "relu_out" not in names(rest.graph.output)
    assert "relu9_out" in names(rest.graph.input)


def test_names_with_colons() -> None:
    model = chain_of_known()
    for node, name in zip(model.graph.node, ("n:0", "n:1", "n"), strict=True):
        node.name = name
    assert [find(model, name) for name in ("n:1", "n:1:b_out", "n:0:x:y", "n:2", "m")] == [1, 1, 0, 2, None]


@pytest.mark.parametrize(("name", "index"), [("b", 1), ("b:b_out", 1), ("b:limited", 1), ("c_out", 2), ("z", None)])
def test_a_node_is_found_under_every_name_a_refusal_gives_it(name: str, index: int | None) -> None:
    assert find(chain(), name) == index
