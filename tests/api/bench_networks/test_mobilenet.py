# SPDX-License-Identifier: Apache-2.0
from systolith.api.bench_networks.mobilenet import inverted_residual, mobilenet_v1_025
from tests.support.onnx_layers import layers_of, macs_of


def test_mobilenet() -> None:
    assert macs_of(mobilenet_v1_025().model) == 7_489_664


def test_a_block_that_adds_its_input() -> None:
    layers = layers_of(inverted_residual(1).model)
    assert [layer.op for layer in layers] == ["Conv", "Relu", "Conv", "Relu", "Conv", "Add"]
    assert [layer.output[1:] for layer in layers if layer.op == "Conv"] == [(144, 14, 14), (144, 14, 14), (24, 14, 14)]
    assert layers[2].window["group"] == 144


def test_a_block_that_halves_the_map() -> None:
    layers = layers_of(inverted_residual(2).model)
    assert [layer.op for layer in layers] == ["Conv", "Relu", "Conv", "Relu", "Conv"]
    assert layers[-1].output == (1, 32, 7, 7)
    assert layers[2].window["strides"] == [2, 2]
