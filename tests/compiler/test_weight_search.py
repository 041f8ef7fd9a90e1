# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from systolith.compiler.choose_method import Chosen, quantise_measured
from systolith.compiler.errors import QuantisationError
from systolith.compiler.ir import Graph
from systolith.compiler.passes.prepare import prepare_float
from systolith.compiler.quality import Judge, float_outputs
from systolith.compiler.quantise_config import QuantiseConfig
from systolith.compiler.weight_search import Allowance, narrow_weights, weight_bytes
from tests.support.float_models import ModelBuilder, random_feeds, read

Data = dict[str, np.ndarray]


def network(*, classifies: bool = True) -> Graph:
    """A layer of 40 weights that decides, and one of 2,560 that hardly does anything."""
    builder = ModelBuilder((1, 8))
    hidden = builder.add("Relu", builder.add("MatMul", "input", builder.weights(8, 40)))
    small = builder.constant(builder.rng.normal(0, 0.02, (40, 64)))
    logits = builder.add("MatMul", builder.add("Relu", builder.add("MatMul", hidden, small)), builder.weights(64, 5))
    out = builder.add("Add", logits, builder.add("MatMul", "input", builder.weights(8, 5)))
    return prepare_float(read(builder, builder.add("Softmax", out) if classifies else out))


def started(graph: Graph, count: int = 60) -> tuple[Chosen, Data]:
    data = random_feeds(graph, count)
    return quantise_measured(graph, data, QuantiseConfig(method="mse", equalise="off")), data


def test_bytes_follow_from_the_bits() -> None:
    start, _ = started(network(), 4)
    weights = 8 * 40 + 40 * 64 + 64 * 5 + 8 * 5
    assert weight_bytes(start.network, 8) == weights
    config = QuantiseConfig(method="mse", equalise="off", default_bits=4)
    narrow = quantise_measured(network(), random_feeds(network(), 4), config)
    assert weight_bytes(narrow.network, 8) == weights / 2
    assert {node.attributes.get("weight_bits") for node in narrow.network.nodes if node.op == "QConv"} == {4}


def test_narrows_what_does_not_matter() -> None:
    start, data = started(network())
    found = narrow_weights(start, data, Allowance(max_drop=0.5))
    bits = found.chosen.config.layer_bits
    assert bits["matmul2"] == 4
    assert found.bytes <= 0.6 * found.bytes_before
    assert found.bytes == weight_bytes(found.chosen.network, 8)
    assert found.drop <= 0.5
    assert found.measure == "agreement"


def test_the_network_found_is_the_one_that_was_measured() -> None:
    start, data = started(network())
    found = narrow_weights(start, data, Allowance(bits=(2, 4, 8), max_drop=1.0))
    judge, plain = Judge(start.source, data), start.config
    lost = [judge.quality(net, plain).lost for net in (found.chosen.network, start.network)]
    assert found.drop == pytest.approx(100 * (lost[0] - lost[1]))
    assert found.chosen.snr == pytest.approx(judge.quality(found.chosen.network, plain).snr)
    for node in found.chosen.network.nodes:
        if node.op == "QConv":
            bits = node.attributes.get("weight_bits", 8)
            assert bits == found.chosen.config.bits_of(node.name)
            assert np.abs(found.chosen.network.constant(node.attributes["weight"])).max() < 2 ** (bits - 1)


def test_more_loss_allowed_means_fewer_bytes() -> None:
    start, data = started(network())
    sizes = [narrow_weights(start, data, Allowance(bits=(2, 4, 8), max_drop=drop)).bytes for drop in (0.0, 2.0, 100.0)]
    assert sizes[0] > sizes[1] > sizes[2]


def test_a_layer_whose_few_bytes_are_dear_keeps_them() -> None:
    """40 of 3,240 weights that make most of the error of all."""
    start, data = started(network())
    told: list[str] = []
    found = narrow_weights(start, data, Allowance(max_drop=100.0), None, lambda step, done, total: told.append(step))
    assert found.chosen.config.layer_bits == {"matmul0": 4, "matmul2": 4, "matmul4": 4, "matmul5": 8}
    assert "narrow all layers" in told
    assert "narrow the layers" not in told


def test_labels_make_top_1_the_measure() -> None:
    start, data = started(network())
    labels = float_outputs(start.source, data)[start.source.outputs[0]].argmax(axis=1)
    found = narrow_weights(start, data, Allowance(max_drop=1.0), labels)
    assert found.measure == "top-1"
    assert found.drop <= 1.0


def test_a_network_that_does_not_classify_is_measured_by_its_error() -> None:
    start, data = started(network(classifies=False))
    found = narrow_weights(start, data, Allowance(max_drop=0.1))
    judge = Judge(start.source, data)
    errors = [judge.quality(net, start.config).error for net in (found.chosen.network, start.network)]
    assert found.measure == "output error"
    assert found.drop == pytest.approx(100 * (errors[0] - errors[1]))
    assert found.bytes < found.bytes_before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": (3, 8)}, r"widths of weights \[3, 8\]; accepted: some of 2, 4 and 8"),
        ({"bits": ()}, r"widths of weights \[\]"),
        ({"max_drop": -1.0}, r"max-drop -1.0; accepted: 0\.\.100 points"),
        ({"max_drop": float("nan")}, "max-drop nan"),
    ],
)
def test_refusals(options: dict[str, Any], message: str) -> None:
    with pytest.raises(QuantisationError, match=message):
        Allowance(**options)
