# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from systolith.compiler.choose_method import quantise_measured, spread
from systolith.compiler.ir import Graph
from systolith.compiler.passes.prepare import prepare_float
from systolith.compiler.quality import Judge
from systolith.compiler.quantise_config import MEASURED_METHODS, QuantiseConfig
from tests.support.float_models import ModelBuilder, random_feeds, read


def network(channels: int = 6) -> Graph:
    builder = ModelBuilder((1, 3, 8, 8))
    x = builder.add("Relu", builder.conv("input", channels, 3, 3, 3))
    x = builder.add("Relu", builder.conv(x, channels, 1, 3, 3, group=channels))
    x = builder.add("Flatten", builder.add("GlobalAveragePool", x))
    return prepare_float(read(builder, builder.add("MatMul", x, builder.weights(channels, 4))))


def uneven() -> Graph:
    """Channels that differ by a factor of 30, the small ones as important as the others."""
    graph, factors = network(), np.geomspace(0.1, 3, 6)
    first, second = graph.nodes[:2]
    constants = dict(graph.constants)
    constants[first.inputs[1]] = graph.constant(first.inputs[1]) * factors.reshape(-1, 1, 1, 1)
    constants[first.inputs[2]] = graph.constant(first.inputs[2]) * factors
    constants[second.inputs[1]] = graph.constant(second.inputs[1]) / factors.reshape(-1, 1, 1, 1)
    return graph.with_(constants=constants)


def test_samples_are_spread() -> None:
    data = {"x": np.arange(10)}
    assert spread(data, 20)["x"].tolist() == list(range(10))
    assert spread(data, 4)["x"].tolist() == [0, 3, 6, 9]


@pytest.mark.parametrize("bits", [4, 8])
def test_the_best_method_is_taken(bits: int) -> None:
    graph = network()
    feeds = random_feeds(graph, 20)
    config = QuantiseConfig(act_bits=bits, equalise="off")
    chosen = quantise_measured(graph, feeds, config)
    alone = {method: quantise_measured(graph, feeds, config.with_(method=method)).snr for method in MEASURED_METHODS}
    assert dict(chosen.tried) == alone
    assert chosen.snr == max(alone.values())
    assert chosen.config.method == max(alone, key=lambda method: alone[method])
    assert chosen.snr == pytest.approx(Judge(graph, feeds).quality(chosen.network, chosen.config).snr)


def test_equalisation_is_taken_where_it_helps() -> None:
    graph = uneven()
    feeds = random_feeds(graph, 20)
    chosen = quantise_measured(graph, feeds, QuantiseConfig(method="mse"))
    plain = quantise_measured(graph, feeds, QuantiseConfig(method="mse", equalise="off"))
    assert (chosen.config.equalise, plain.config.equalise) == ("on", "off")
    assert chosen.snr > plain.snr + 3
    assert chosen.snr == pytest.approx(Judge(graph, feeds).quality(chosen.network, chosen.config).snr, abs=0.05)
    forced = quantise_measured(graph, feeds, QuantiseConfig(method="mse", equalise="on"))
    assert forced.snr == pytest.approx(chosen.snr, abs=0.05)


def test_equalisation_is_left_where_there_is_nothing_to_equalise() -> None:
    builder = ModelBuilder((1, 6))
    graph = prepare_float(read(builder, builder.add("MatMul", "input", builder.weights(6, 4))))
    chosen = quantise_measured(graph, random_feeds(graph, 20), QuantiseConfig(method="mse"))
    assert chosen.config.equalise == "off"
    assert chosen.source is graph


def test_symmetric_activations_have_no_zero_point() -> None:
    graph = network()
    chosen = quantise_measured(graph, random_feeds(graph, 20), QuantiseConfig(symmetric=True))
    assert {tensor.qparams.zero_point for tensor in chosen.network.tensors.values() if tensor.qparams} == {0}
    assert chosen.snr > 20


def test_progress_names_each_candidate() -> None:
    told = []
    graph = network()
    quantise_measured(
        graph, random_feeds(graph, 4), QuantiseConfig(), lambda step, done, total: told.append((step, done, total))
    )
    assert [(f"calibrate by {method}", index, 4) for index, method in enumerate(MEASURED_METHODS)] == told[1:5]
