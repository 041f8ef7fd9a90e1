# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from systolith.compiler.calibrate import calibrate
from systolith.compiler.errors import UnsupportedModel
from systolith.compiler.quantise import quantise
from systolith.compiler.quantise_config import QuantiseConfig
from tests.support.float_models import ModelBuilder, random_feeds, read
from tests.support.lsb import compiled

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
