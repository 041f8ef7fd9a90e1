# SPDX-License-Identifier: Apache-2.0
from typing import Any

import numpy as np
import pytest

from systolith.compiler.borders import engine_inputs, network_outputs
from systolith.compiler.errors import UnsupportedModel
from systolith.compiler.interp_int import run_integer
from tests.support.float_models import run_onnxruntime
from tests.support.qdq_models import QdqModel, check, feeds_of, import_model, on_engine

SEED = 67


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"strides": [2, 2]},
        {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]},
        {"strides": [3, 2], "pads": [0, 1, 2, 0]},
        {"strides": [2, 1], "dilations": [1, 2]},
    ],
    ids=str,
)
@pytest.mark.parametrize("axis", [None, 1])
def test_a_transposed_convolution(attributes: dict[str, Any], axis: int | None) -> None:
    m = QdqModel(SEED)
    weight = m.weight((4, 6, 3, 3), axis)
    bias = m.constant(m.rng.normal(0, 1, 6).astype(np.float32))
    y = m.node("Relu", m.node("ConvTranspose", m.start(1, 4, 4, 5), weight, bias, **attributes))
    model = m.model(m.real(y, 0.1, -3))
    graph = check(model, judged=1)
    strides = attributes.get("strides", [1, 1])
    phases = strides[0] * strides[1]
    assert [node.op for node in graph.nodes] == ["QConv"] * phases + ["QMove"] * (phases > 1)
    on_engine(model)


@pytest.mark.parametrize("axis", [None, 1])
def test_groups(axis: int | None) -> None:
    """Against onnxruntime, as the onnx package's reference has no groups here."""
    m = QdqModel(SEED)
    y = m.node("ConvTranspose", m.start(1, 4, 4, 5), m.weight((4, 3, 3, 3), axis), strides=[2, 2], group=2)
    model = m.model(m.real(y, 0.1, -3))
    graph = import_model(model)
    feeds = feeds_of(model)
    (expected,) = run_onnxruntime(model, feeds)
    got = network_outputs(graph, run_integer(graph, engine_inputs(graph, feeds)))[graph.outputs[0]]
    assert np.abs(got - expected).max() <= 0.1001
    assert (np.abs(got - expected) > 0.01).mean() < 0.01


def test_refuses_scales_by_input_channel() -> None:
    m = QdqModel(SEED)
    y = m.node("ConvTranspose", m.start(1, 4, 4, 5), m.weight((4, 6, 3, 3), axis=0))
    with pytest.raises(UnsupportedModel, match=r"\(ConvTranspose\): weight scales on axis 0; accepted: on axis 1"):
        import_model(m.model(m.real(y)))


def test_phases_do_not_take_the_names_of_other_tensors() -> None:
    """TensorFlow's tensors are called ``name:0``."""
    m = QdqModel(SEED)
    x = m.start(1, 4, 4, 5)
    first = m.real(m.conv(x, 4, 6, 3), 0.05)
    whole = m.real(m.node("ConvTranspose", x, m.weight((4, 6, 3, 3), None), strides=[2, 2]), 0.1)
    model = m.model(whole, m.real(m.conv(first, 6, 2, 1), 0.3))
    quantised = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    for node, name in zip(quantised[1:3], ("up:1", "up"), strict=True):
        for reader in model.graph.node:
            reader.input[:] = [name if read == node.output[0] else read for read in reader.input]
        node.output[0] = name
    check(model, judged=3)
    on_engine(model)
