# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from systolith.compiler.errors import QuantisationError
from systolith.compiler.ir import Graph
from systolith.compiler.passes.prepare import prepare_float
from systolith.compiler.quantise_config import QuantiseConfig
from systolith.compiler.quantise_float import quantise_float
from systolith.compiler.weight_search import Allowance
from tests.support.float_models import ModelBuilder, random_feeds, read


def network() -> Graph:
    builder = ModelBuilder((1, 6))
    hidden = builder.add("Relu", builder.add("MatMul", "input", builder.weights(6, 8)))
    return prepare_float(read(builder, builder.add("Softmax", builder.add("MatMul", hidden, builder.weights(8, 4)))))


def test_decisions_without_a_search() -> None:
    graph = network()
    made = quantise_float(graph, random_feeds(graph, 20), QuantiseConfig(layer_bits={"matmul0": 4}))
    assert made.decisions["weight_bits"] == {"matmul0": 4, "matmul2": 8}
    assert made.decisions["weight_bytes"] == 24 + 32
    assert made.decisions["method"] == made.config.method != "auto"
    assert made.decisions["equalised"] is (made.config.equalise == "on")
    assert set(made.decisions["tried"]) >= {"mse", "min-max", "percentile", "entropy"}
    assert "search" not in made.decisions
    assert json.loads(json.dumps(made.decisions)) == made.decisions


def test_decisions_of_a_search() -> None:
    graph = network()
    made = quantise_float(graph, random_feeds(graph, 20), QuantiseConfig(), Allowance(bits=(4, 8), max_drop=100.0))
    assert made.decisions["weight_bits"] == {"matmul0": 4, "matmul2": 4}
    assert made.decisions["weight_bytes"] == 24 + 16
    assert made.decisions["search"] == {
        "widths": [4, 8],
        "max_drop": 100.0,
        "measure": "agreement",
        "drop": made.decisions["search"]["drop"],
        "bytes_before": 80,
    }


def test_refuses_a_layer_that_is_not_there() -> None:
    with pytest.raises(QuantisationError, match="no layer 'conv9' has weights; accepted: matmul0, matmul2"):
        quantise_float(network(), {}, QuantiseConfig(layer_bits={"conv9": 4}))


def test_refuses_weights_wider_than_the_engine_s() -> None:
    with pytest.raises(QuantisationError, match=r"8-bit weights for all layers; accepted: 2\.\.4"):
        quantise_float(network(), {}, QuantiseConfig(weight_bits=4), Allowance(bits=(4, 8)))


def test_a_search_decides_the_rest_with_narrow_weights() -> None:
    graph = network()
    data = random_feeds(graph, 20)
    narrow = quantise_float(graph, data, QuantiseConfig(default_bits=4)).decisions
    found = quantise_float(graph, data, QuantiseConfig(), Allowance(bits=(2, 4, 8), max_drop=1.0)).decisions
    assert found["tried"] == narrow["tried"]
    assert found["method"] == narrow["method"]
    assert found["equalised"] == narrow["equalised"]
    assert quantise_float(graph, data, QuantiseConfig()).decisions["tried"] != narrow["tried"]
