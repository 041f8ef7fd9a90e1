# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from systolith.compiler.borders import dequantise
from systolith.compiler.borders import quantise as quantise_array
from systolith.compiler.calibrate import calibrate
from systolith.compiler.errors import UnsupportedModel
from systolith.compiler.interp import run_float
from systolith.compiler.interp_int import run_integer
from systolith.compiler.passes.prepare import prepare_float
from systolith.compiler.pipeline import quantise_network
from systolith.compiler.quantise import quantise
from systolith.compiler.quantise_config import QuantiseConfig
from tests.support.float_models import ModelBuilder, random_feeds, read
from tests.support.lsb import compiled, params_of

CASES: list[tuple[dict[str, Any], int]] = [
    ({}, 1),
    ({"strides": [2, 2]}, 4),
    ({"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}, 4),
    ({"strides": [2, 3], "pads": [1, 0, 0, 2], "dilations": [2, 1]}, 6),
    ({"strides": [2, 2], "dilations": [2, 2], "pads": [0, 3, 2, 0]}, 4),
    ({"strides": [2, 2], "group": 2}, 4),
    ({"strides": [1, 4], "pads": [2, 2, 2, 2]}, 4),
    ({"strides": [2, 1], "pads": [2, 2, 0, 2]}, 2),
]


@pytest.mark.parametrize(("attributes", "phases"), CASES)
def test_each_phase_is_a_convolution(attributes: dict[str, Any], phases: int) -> None:
    b = ModelBuilder((1, 4, 6, 5))
    weights = b.weights(4, 6 // attributes.get("group", 1), 3, 3)
    out = b.add("ConvTranspose", "input", weights, b.weights(6), **attributes)
    graph = compiled(b, b.add("Relu", out), lsb=2)
    moved = ["QMove"] * (phases > 1)
    assert [node.op for node in graph.nodes] == ["QConv"] * phases + moved
    # the activation is the convolutions' own bound
    assert {node.attributes["lo"] for node in graph.nodes if node.op == "QConv"} == {0}
    assert len({graph.tensors[node.outputs[0]].qparams for node in graph.nodes}) == 1


def test_a_stride_beyond_the_kernel_leaves_the_bias() -> None:
    b = ModelBuilder((1, 2, 3, 3))
    out = b.add("ConvTranspose", "input", b.weights(2, 3, 1, 1), b.weights(3), strides=[2, 2])
    graph = compiled(b, out, lsb=1.1)
    empty = graph.nodes[1]
    assert not graph.constant(empty.attributes["weight"]).any()


def test_an_empty_phase_costs_the_others_nothing() -> None:
    """The result's scale follows the weights that there are, however small."""
    b = ModelBuilder((1, 2, 3, 3))
    out = b.add("ConvTranspose", "input", b.constant(b.rng.normal(0, 1e-3, (2, 3, 1, 1))), strides=[2, 2])
    assert error_of(b, out) < 2


def error_of(b: ModelBuilder, out: str) -> float:
    """The largest difference from float, in steps of the range that calibration saw."""
    source = prepare_float(read(b, out))
    data = random_feeds(source, 8)
    network = quantise_network(source, data, QuantiseConfig(method="min-max"))
    seen = run_float(source, data)[out]
    step = (max(seen.max(), 0) - min(seen.min(), 0)) / 255
    params = params_of(network, out)
    codes = {name: quantise_array(value, params_of(network, name)) for name, value in data.items()}
    return float(np.abs(dequantise(run_integer(network, codes)[out], params) - seen).max() / step)


def test_a_stride_beyond_the_result_leaves_one_phase() -> None:
    b = ModelBuilder((1, 2, 1, 1))
    out = b.add("ConvTranspose", "input", b.weights(2, 3, 1, 1), b.weights(3), strides=[2, 2])
    assert [node.op for node in compiled(b, out, lsb=1.1).nodes] == ["QConv"]


def test_weights_of_fewer_bits_say_so() -> None:
    b = ModelBuilder((1, 2, 3, 3))
    out = b.add("ConvTranspose", "input", b.weights(2, 3, 2, 2), strides=[2, 2], name="up")
    graph = compiled(b, out, lsb=40, config=QuantiseConfig(layer_bits={"up": 4}))
    layers = [node for node in graph.nodes if node.op == "QConv"]
    assert [node.attributes["weight_bits"] for node in layers] == [4] * 4
    assert max(np.abs(graph.constant(node.attributes["weight"])).max() for node in layers) == 7


def test_bias_and_normalisation_behind_it_are_folded() -> None:
    b = ModelBuilder((1, 4, 4, 4))
    x = b.add("ConvTranspose", "input", b.weights(4, 3, 2, 2), strides=[2, 2], group=2)
    x = b.add("Add", x, b.weights(6, 1, 1))
    spread = b.constant(np.abs(b.rng.normal(1, 0.1, 6)))
    x = b.add("BatchNormalization", x, b.weights(6), b.weights(6), b.weights(6), spread)
    graph = compiled(b, b.add("Relu", x), lsb=2)
    assert graph.nodes[0].origin == ("ConvTranspose", "Add", "BatchNormalization", "Relu")


def test_computed_weights_are_refused() -> None:
    b = ModelBuilder((1, 1, 4, 4))
    out = b.add("ConvTranspose", "input", b.add("Relu", "input"), name="n")
    graph = read(b, out)
    calibration = calibrate(graph, random_feeds(graph, 1), QuantiseConfig())
    with pytest.raises(UnsupportedModel, match=r"'n' \(ConvTranspose\): its weights or bias are computed by the net"):
        quantise(graph, calibration, QuantiseConfig())
