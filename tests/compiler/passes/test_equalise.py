# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from systolith.compiler.calibrate import calibrate
from systolith.compiler.ir import Graph
from systolith.compiler.observe import observe
from systolith.compiler.passes.equalise import equalise
from systolith.compiler.passes.prepare import prepare_float
from systolith.compiler.quality import Judge
from systolith.compiler.quantise import quantise
from systolith.compiler.quantise_config import QuantiseConfig
from tests.support.float_models import ModelBuilder, assert_same_result, random_feeds, read


def uneven(builder: ModelBuilder, *shape: int) -> str:
    """Weights whose output channels differ by a factor of 30."""
    spread = np.geomspace(0.1, 3, shape[0]).reshape(-1, *(1,) * (len(shape) - 1))
    return builder.constant(builder.rng.normal(0, 0.5, shape) * spread)


def depthwise(activation: str = "Relu") -> Graph:
    builder = ModelBuilder((1, 3, 8, 8))
    bounds = [builder.constant(0.0), builder.constant(6.0)] if activation == "Clip" else []
    x = builder.add(activation, builder.add("Conv", "input", uneven(builder, 8, 3, 3, 3), builder.weights(8)), *bounds)
    x = builder.add("Relu", builder.add("Conv", x, uneven(builder, 8, 1, 3, 3), group=8))
    x = builder.add("GlobalAveragePool", builder.add("MaxPool", x, kernel_shape=[2, 2]))
    # What is small in front weighs much here, so that every channel matters.
    dense = builder.constant(builder.rng.normal(0, 1, (8, 4)) / np.geomspace(0.1, 3, 8).reshape(-1, 1) ** 2)
    return prepare_float(read(builder, builder.add("MatMul", builder.add("Flatten", x), dense)))


def changed(graph: Graph) -> Graph:
    return equalise(graph, observe(graph, random_feeds(graph, 16)).peaks)


def test_the_network_computes_the_same() -> None:
    graph = depthwise()
    assert_same_result(graph, changed(graph))


def test_a_flattened_map_is_equalised_too() -> None:
    builder = ModelBuilder((1, 3, 4, 4))
    x = builder.add("Relu", builder.add("Conv", "input", uneven(builder, 6, 3, 3, 3), builder.weights(6)))
    graph = prepare_float(read(builder, builder.add("MatMul", builder.add("Flatten", x), builder.weights(24, 4))))
    result = changed(graph)
    assert result.nodes[0].inputs[1] != graph.nodes[0].inputs[1]
    assert_same_result(graph, result)


def test_channels_in_front_of_a_depthwise_layer_get_one_peak() -> None:
    graph = depthwise()
    first = graph.nodes[0].outputs[0]
    feeds = random_feeds(graph, 16)
    before = observe(graph, feeds).peaks[first]
    after = observe(equalise(graph, observe(graph, feeds).peaks), feeds).peaks[first]
    assert before.max() > 10 * before.min()
    np.testing.assert_allclose(after, before.max(), rtol=1e-4)


def test_integers_get_closer_to_the_network() -> None:
    graph = depthwise()
    feeds, config = random_feeds(graph, 32), QuantiseConfig(method="mse")
    judge = Judge(graph, feeds)
    plain, equal = (
        judge.quality(quantise(g, calibrate(g, feeds, config), config), config) for g in (graph, changed(graph))
    )
    assert equal.snr > plain.snr + 3


def test_a_dead_channel_stays_dead() -> None:
    graph = depthwise()
    weight, bias = (graph.constant(name).copy() for name in graph.nodes[0].inputs[1:])
    weight[2], bias[2] = 0, -1
    dead = graph.with_(constants={**graph.constants, graph.nodes[0].inputs[1]: weight, graph.nodes[0].inputs[2]: bias})
    result = changed(dead)
    assert all(np.isfinite(value).all() for value in result.constants.values())
    assert_same_result(dead, result)


def test_a_clip_is_left_alone() -> None:
    graph = depthwise("Clip")
    result = changed(graph)
    assert result.constant(result.nodes[0].inputs[1]).tolist() == graph.constant(graph.nodes[0].inputs[1]).tolist()
    assert_same_result(graph, result)


def test_channels_dealt_out_anew_are_left_alone() -> None:
    builder = ModelBuilder((1, 2, 4, 4))
    x = builder.add("Relu", builder.add("Conv", "input", uneven(builder, 8, 2, 1, 1)))
    dealt = builder.add("Reshape", x, builder.constant([1, 2, 8, 8], np.int64))
    graph = prepare_float(read(builder, builder.conv(dealt, 3, 2, 1, 1)))
    assert changed(graph) is graph


@pytest.mark.parametrize("other", ["reader", "output"])
def test_a_result_with_another_reader_is_left_alone(other: str) -> None:
    builder = ModelBuilder((1, 2, 6, 6))
    x = builder.add("Relu", builder.conv("input", 4, 2, 1, 1))
    y = builder.conv(x, 4, 4, 1, 1)
    outputs = [builder.add("Add", x, y)] if other == "reader" else [x, y]
    graph = prepare_float(read(builder, *outputs))
    assert changed(graph) is graph
