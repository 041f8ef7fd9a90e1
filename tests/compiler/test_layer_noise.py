# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from systolith.compiler.choose_method import Chosen, quantise_measured
from systolith.compiler.interp import run_float
from systolith.compiler.ir import Graph
from systolith.compiler.layer_noise import LayerNoise, layer_noise, real_weights
from systolith.compiler.passes.prepare import prepare_float
from systolith.compiler.quantise_config import QuantiseConfig
from tests.support.float_models import ModelBuilder, random_feeds, read

Data = dict[str, np.ndarray]


def network() -> Graph:
    """Two branches that meet in an Add, a pool and a dense layer behind a Flatten."""
    builder = ModelBuilder((1, 3, 8, 8))
    x = builder.add("Relu", builder.conv("input", 6, 3, 3, 3, name="first"))
    y = builder.conv(x, 6, 1, 3, 3, pads=[1, 1, 1, 1], group=6, name="branch")
    x = builder.add("MaxPool", builder.add("Add", x, y, name="sum"), kernel_shape=[3, 3], strides=[3, 3], name="pool")
    x = builder.add("Gemm", builder.add("Flatten", x), builder.weights(24, 5), builder.weights(5), name="dense")
    return prepare_float(read(builder, x))


def looked(graph: Graph, config: QuantiseConfig) -> tuple[Chosen, Data, dict[str, LayerNoise]]:
    data = random_feeds(graph, 24)
    chosen = quantise_measured(graph, data, config)
    found = layer_noise(chosen.source, chosen.network, data, chosen.config)
    return chosen, data, {layer.name: layer for layer in found}


def test_real_weights_are_those_of_the_float_network_up_to_a_step() -> None:
    graph = network()
    chosen, _, _ = looked(graph, QuantiseConfig(method="mse", equalise="off"))
    for node in chosen.network.nodes:
        if node.op == "QConv":
            weight, _ = real_weights(chosen.network, node)
            given = graph.constant(next(other for other in graph.nodes if other.name == node.name).inputs[1])
            assert np.abs(weight.reshape(given.shape) - given).max() < 0.02 * np.abs(given).max()


@pytest.mark.parametrize("layer", ["first", "branch", "dense"])
def test_the_coarse_layer_is_found(layer: str) -> None:
    _, _, layers = looked(network(), QuantiseConfig(method="mse", layer_bits={layer: 3}, rounding="nearest"))
    ranked = sorted(layers.values(), key=lambda item: -item.alone.error)
    assert ranked[0].name == layer
    assert (layers[layer].weight_bits, layers["pool"].weight_bits) == (3, None)
    weights = layers[layer].weights_alone
    assert weights is not None
    assert weights.snr < layers[layer].result_alone.snr - 10


def test_every_input_and_node_is_looked_at() -> None:
    chosen, _, layers = looked(network(), QuantiseConfig(method="mse"))
    assert list(layers) == ["input", "first", "branch", "sum", "pool", "dense"]
    assert layers["sum"].weights_alone is None
    # What comes later has the noise of all before it.
    assert layers["dense"].snr == pytest.approx(chosen.snr, abs=0.01)
    assert layers["input"].snr > layers["first"].snr > layers["dense"].snr


def test_noise_of_a_layer_alone_is_that_of_the_network_with_it() -> None:
    """The dense layer is the last: its noise at the outputs can be computed by hand."""
    chosen, data, layers = looked(network(), QuantiseConfig(method="mse", layer_bits={"dense": 4}))
    graph = chosen.source
    node = next(other for other in graph.nodes if other.name == "dense")
    quantised = next(other for other in chosen.network.nodes if other.name == "dense")
    weight, bias = real_weights(chosen.network, quantised)
    x = run_float(graph, data, [node.inputs[0]])[node.inputs[0]]
    exact = run_float(graph, data)[graph.outputs[0]]
    got = x @ weight.reshape(5, -1).T + bias
    assert layers["dense"].weights_alone is not None
    expected = ((got - exact) ** 2).sum() / (exact**2).sum()
    assert layers["dense"].weights_alone.error == pytest.approx(expected, rel=1e-3)
    assert layers["dense"].alone.error == pytest.approx(expected + layers["dense"].result_alone.error, rel=0.1)
