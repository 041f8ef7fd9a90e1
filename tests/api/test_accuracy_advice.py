# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from systolith.api.accuracy_advice import Advice, advise, worst_layers
from systolith.compiler.choose_method import quantise_measured
from systolith.compiler.ir import Graph
from systolith.compiler.layer_noise import layer_noise
from systolith.compiler.passes.prepare import prepare_float
from systolith.compiler.quality import Judge
from systolith.compiler.quantise_config import QuantiseConfig
from tests.support.float_models import ModelBuilder, random_feeds, read


def network() -> Graph:
    builder = ModelBuilder((1, 6))
    hidden = builder.add("Relu", builder.add("MatMul", "input", builder.weights(6, 12), name="first"))
    hidden = builder.add("Relu", builder.add("MatMul", hidden, builder.weights(12, 12), name="second"))
    return prepare_float(read(builder, builder.add("MatMul", hidden, builder.weights(12, 4), name="third")))


def advice(config: QuantiseConfig) -> tuple[list[Advice], float]:
    """What is advised, and the ratio that it starts from."""
    graph = network()
    data = random_feeds(graph, 40)
    chosen = quantise_measured(graph, data, config)
    snr = Judge(graph, data).quality(chosen.network, chosen.config).snr
    worst = worst_layers(layer_noise(chosen.source, chosen.network, data, chosen.config))
    return advise(graph, data, data, chosen.config, snr, worst, lambda step, done, total: None), snr


def test_a_narrow_layer_is_to_get_its_bits_back() -> None:
    found, snr = advice(QuantiseConfig(method="mse", equalise="off", layer_bits={"second": 2}))
    assert found[0].how == "--layer-weights second=8"
    graph = network()
    data = random_feeds(graph, 40)
    better = quantise_measured(graph, data, QuantiseConfig(method="mse", equalise="off"))
    gain = Judge(graph, data).quality(better.network, better.config).snr - snr
    assert abs(found[0].gain - gain) < 0.5


def test_rounding_to_nearest_is_named() -> None:
    found, _ = advice(QuantiseConfig(method="mse", default_bits=4, rounding="nearest"))
    assert "--rounding reconstruct" in [item.how for item in found]


def test_symmetric_activations_are_named() -> None:
    found, _ = advice(QuantiseConfig(method="mse", symmetric=True))
    assert "without --symmetric" in [item.how for item in found]


def test_wider_activations_help_where_weights_are_fine() -> None:
    found, _ = advice(QuantiseConfig(method="mse", weight_bits=12, act_bits=6))
    assert found[0].how == "an arch with act_bits=12, acc_bits=36, tables=0, dynamic_weights=false"


def test_a_network_that_needs_tables_keeps_its_activations() -> None:
    builder = ModelBuilder((1, 6))
    hidden = builder.add("Tanh", builder.add("MatMul", "input", builder.weights(6, 12)))
    graph = prepare_float(read(builder, builder.add("MatMul", hidden, builder.weights(12, 4))))
    data, config = random_feeds(graph, 40), QuantiseConfig(method="mse", act_bits=6, tables=8)
    found = advise(graph, data, data, config, 0.0, [], lambda step, done, total: None)
    assert found
    assert not any("act_bits" in item.how for item in found)


def test_gains_are_sorted_and_worth_it() -> None:
    found, _ = advice(QuantiseConfig(method="mse", default_bits=4, rounding="nearest"))
    gains = [item.gain for item in found]
    assert gains == sorted(gains, reverse=True)
    assert min(gains) >= 0.5
