# SPDX-License-Identifier: Apache-2.0
"""What each layer gives is tested through whole networks in test_qdq.py; here sequences, and that all is there."""

from typing import Any

import numpy as np
import pytest

from systolith.compiler.borders import HOST_OPERATORS
from systolith.compiler.frontend.operators import COMPUTED
from systolith.compiler.frontend.qdq_layers import LAYERS
from tests.support.qdq_models import QdqModel, check, on_engine

SEED = 73

# normalised away on the way in
_OTHER_SPELLINGS = {
    "Dropout",
    "Flatten",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Mean",
    "Split",
    "Squeeze",
    "Sum",
    "Unsqueeze",
    "Upsample",
}


def test_every_accepted_operator_is_a_layer_or_refused_on_purpose() -> None:
    assert set(COMPUTED) - _OTHER_SPELLINGS - set(LAYERS) == {*HOST_OPERATORS}


def sequence(m: QdqModel, x: str, outputs: int, weight: str, **attributes: Any) -> str:
    """A convolution of (N, C, L) with a bias."""
    return m.node("Conv", x, weight, m.bias(outputs, x, weight), **attributes)


@pytest.mark.parametrize("axis", [None, 0])
@pytest.mark.parametrize(
    ("attributes", "group"), [({}, 1), ({"strides": [2], "pads": [2, 1]}, 1), ({"dilations": [3], "pads": [3, 3]}, 4)]
)
def test_a_convolution_of_a_sequence(attributes: dict[str, Any], group: int, axis: int | None) -> None:
    m = QdqModel(SEED)
    y = sequence(m, m.start(1, 4, 17), 8, m.weight((8, 4 // group, 3), axis), group=group, **attributes)
    model = m.model(m.real(m.node("Relu", y), 0.1))
    graph = check(model, judged=1)
    assert [node.op for node in graph.nodes] == ["QConv"]
    assert len(graph.tensors[graph.outputs[0]].shape) == 3
    on_engine(model)


def test_a_network_of_sequences() -> None:
    m = QdqModel(SEED)
    x = m.real(sequence(m, m.start(1, 3, 16), 4, m.weight((4, 3, 5)), pads=[2, 2]), 0.09, 5)
    y = m.real(sequence(m, x, 4, m.weight((4, 1, 3)), pads=[1, 1], group=4), 0.1)
    z = m.node("MaxPool", m.real(m.node("Add", x, y), 0.12, -7), kernel_shape=[2], strides=[2])
    z = m.node(
        "Mul", sequence(m, z, 6, m.weight((6, 4, 1))), m.constant(np.linspace(0.5, 1, 6, dtype=np.float32)[:, None])
    )
    z = m.real(m.node("Relu", m.node("Add", z, m.constant(np.ones((6, 1), np.float32)))), 0.11)
    z = m.real(m.node("AveragePool", z, kernel_shape=[2], strides=[2]), 0.1)
    flat = m.node("Flatten", z)
    model = m.model(
        m.real(m.node("Gemm", flat, m.weight((24, 5), axis=1)), 0.3), m.real(m.node("GlobalAveragePool", z), 0.1)
    )
    graph = check(model)
    assert [node.op for node in graph.nodes] == ["QConv", "QConv", "QAdd", "QPool", "QConv", "QPool", "QConv", "QPool"]
    on_engine(model)


def test_a_flattened_sequence_and_a_transposed_convolution() -> None:
    m = QdqModel(SEED)
    x = m.start(1, 4, 6)
    y = m.node("ConvTranspose", x, m.weight((4, 3, 3), 1), strides=[2])
    model = m.model(m.real(m.node("Gemm", m.node("Flatten", x), m.weight((24, 5), axis=1)), 0.2), m.real(y, 0.1))
    assert [node.op for node in check(model, judged=2).nodes] == ["QConv", "QConv", "QConv", "QMove"]
    on_engine(model)


def test_reshaped_weights_keep_their_scales() -> None:
    m = QdqModel(SEED)
    codes = m.quantise(m.constant(m.rng.normal(0, 0.3, (1, 48)).astype(np.float32)), 0.01, 0)
    shape = m.constant(np.array([4, 3, 2, 2]))
    kernel = m.node("Reshape", codes, shape)
    m.params[kernel] = m.params[codes]
    y = m.node("Conv", m.start(1, 3, 5, 5), m.dequantise(kernel))
    assert [node.op for node in check(m.model(m.real(y, 0.1)), judged=1).nodes] == ["QConv"]
