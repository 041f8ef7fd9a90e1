# SPDX-License-Identifier: Apache-2.0
from typing import Any

import numpy as np
import pytest

from systolith.compiler.calibrate import calibrate
from systolith.compiler.errors import QuantisationError, UnsupportedModel
from systolith.compiler.ir import Graph, QParams
from systolith.compiler.passes.prepare import prepare_float
from systolith.compiler.quantise import quantise
from systolith.compiler.quantise_config import QuantiseConfig
from tests.support.float_models import ModelBuilder, random_feeds, read
from tests.support.lsb import lsb_error

PLAIN = QuantiseConfig()


def quantised(builder: ModelBuilder, *outputs: str, config: QuantiseConfig = PLAIN) -> Graph:
    graph = prepare_float(read(builder, *outputs))
    return quantise(graph, calibrate(graph, random_feeds(graph, 8), config), config)


def params(graph: Graph, name: str) -> QParams:
    found = graph.tensors[name].qparams
    assert found is not None
    return found


def test_max_pool_keeps_the_scale() -> None:
    builder = ModelBuilder((1, 3, 6, 6))
    out = builder.add("Relu", builder.add("MaxPool", "input", kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 0, 1]))
    graph = quantised(builder, out)
    (node,) = graph.nodes
    assert params(graph, out) == params(graph, "input")
    assert (node.attributes["mode"], node.attributes["factor"], node.attributes["lo"]) == ("max", 1.0, 0)
    assert node.attributes["pads"] == (1, 0, 0, 1)


@pytest.mark.parametrize("counted", [0, 1])
def test_average_pool_has_its_own_scale(counted: int) -> None:
    builder = ModelBuilder((1, 3, 6, 6))
    window: dict[str, Any] = {"kernel_shape": [2, 2], "pads": [1, 1, 0, 0], "count_include_pad": counted}
    out = builder.add("AveragePool", "input", **window)
    graph = quantised(builder, out)
    (node,) = graph.nodes
    ratio = params(graph, "input").scale / params(graph, out).scale
    assert node.attributes["factor"] == pytest.approx(ratio)
    assert ratio > 1
    assert node.attributes["count_include_pad"] is bool(counted)


def test_average_of_almost_nothing_widens() -> None:
    builder = ModelBuilder((1, 1, 8, 8))
    graph = prepare_float(read(builder, builder.add("GlobalAveragePool", "input")))
    checker = np.indices((8, 8)).sum(axis=0) % 2 * 2.0 - 1
    result = quantise(graph, calibrate(graph, {"input": checker[None, None]}, PLAIN), PLAIN)
    assert 3.9 < result.nodes[0].attributes["factor"] < 4


@pytest.mark.parametrize(("op", "bounds"), [("Relu", (0, 255)), ("Clip", None)])
def test_lone_activation_is_a_requantisation(op: str, bounds: tuple[int, int] | None) -> None:
    builder = ModelBuilder((1, 3, 4, 4))
    operands = () if op == "Relu" else (builder.constant(-0.5), builder.constant(0.5))
    out = builder.add(op, "input", *operands)
    graph = quantised(builder, out)
    (node,) = graph.nodes
    assert node.op == "QRequant"
    assert node.attributes["factor"] == pytest.approx(params(graph, "input").scale / params(graph, out).scale)
    assert bounds is None or (node.attributes["lo"], node.attributes["hi"]) == bounds


def test_reshape_of_one_pixel_is_a_view() -> None:
    builder = ModelBuilder((1, 3, 1, 1))
    flat = builder.add("Flatten", builder.add("Relu", "input"))
    back = builder.add("Unsqueeze", builder.add("Relu", flat), builder.constant([2, 3], np.int64))
    graph = quantised(builder, flat, back)
    assert {node.op for node in graph.nodes} == {"QRequant", "View"}
    assert params(graph, flat) == params(graph, graph.nodes[0].outputs[0])


def test_reshapes_in_front_of_a_gemm_vanish() -> None:
    builder = ModelBuilder((1, 3, 2, 2))
    middle = builder.add("Reshape", "input", builder.constant([1, 6, 2], np.int64))
    flat = builder.add("Flatten", middle)
    graph = quantised(builder, builder.add("MatMul", flat, builder.weights(12, 4)))
    assert [(node.op, node.inputs) for node in graph.nodes] == [("QConv", ("input",))]


def test_flattened_map_may_feed_several_gemms() -> None:
    builder = ModelBuilder((1, 3, 2, 2))
    flat = builder.add("Flatten", "input")
    outs = [builder.add("MatMul", flat, builder.weights(12, size)) for size in (4, 5)]
    assert [node.op for node in quantised(builder, *outs).nodes] == ["QConv", "QConv"]


def test_refuses_a_flattened_map_as_output() -> None:
    builder = ModelBuilder((1, 3, 2, 2))
    out = builder.add("Flatten", builder.add("Relu", "input"), name="flat")
    expected = r"node 'flat' \(Flatten\): it turns \[1, 3, 2, 2\] into \[1, 12\], which is a network output; accepted"
    with pytest.raises(UnsupportedModel, match=expected):
        quantised(builder, out)


def test_refuses_a_flattened_map_elsewhere() -> None:
    builder = ModelBuilder((1, 3, 2, 2))
    flat = builder.add("Flatten", "input", name="flat")
    with pytest.raises(UnsupportedModel, match=r"which is read by 'twice' \(Add\); accepted: reshapes between"):
        quantised(builder, builder.add("Add", flat, flat, name="twice"))


@pytest.mark.parametrize(("op", "lsb"), [("MaxPool", 0.51), ("AveragePool", 1.01)])
def test_dilated_pools(op: str, lsb: float) -> None:
    builder = ModelBuilder((1, 3, 6, 6), opset=19)
    out = builder.add(op, "input", kernel_shape=[2, 2], dilations=[2, 1])
    source = prepare_float(read(builder, out))
    graph = quantised(builder, out)
    assert graph.nodes[0].attributes["dilations"] == (2, 1)
    assert lsb_error(source, graph, random_feeds(source, 4)) < lsb


def test_refuses_averages_that_overflow() -> None:
    builder = ModelBuilder((1, 1, 20, 20))
    out = builder.add("GlobalAveragePool", "input", name="p")
    expected = r"node 'p' \(GlobalAveragePool\): sums of 20 x 20 elements need 18 accumulator bits; accepted: 16"
    with pytest.raises(QuantisationError, match=expected):
        quantised(builder, out, config=QuantiseConfig(acc_bits=16))
