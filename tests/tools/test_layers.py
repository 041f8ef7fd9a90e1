# SPDX-License-Identifier: Apache-2.0
"""Each layer's backward pass against finite differences, and its ONNX form against its forward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from tools.layers import (
    Adam,
    Array,
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    GraphBuilder,
    Layer,
    MaxPool,
    Parameter,
    Relu,
    Residual,
    Sequential,
    cross_entropy,
)

Build = Callable[[np.random.Generator], Layer]

CASES: dict[str, tuple[Build, tuple[int, ...]]] = {
    "conv3": (lambda rng: Conv(rng, 3, 4), (2, 3, 4, 6)),
    "conv5": (lambda rng: Conv(rng, 2, 3, kernel=5), (2, 2, 5, 4)),
    "batch_norm": (lambda rng: BatchNorm(3), (4, 3, 2, 2)),
    "dense": (lambda rng: Dense(rng, 5, 3), (4, 5)),
    "relu": (lambda rng: Relu(), (3, 2, 4, 4)),
    "max_pool": (lambda rng: MaxPool(), (2, 3, 4, 6)),
    "flatten": (lambda rng: Flatten(), (2, 3, 2, 2)),
    "residual": (lambda rng: Residual(Conv(rng, 3, 3)), (2, 3, 4, 4)),
    "sequential": (lambda rng: Sequential(a=Conv(rng, 1, 2), b=Relu(), c=Flatten(), d=Dense(rng, 32, 3)), (2, 1, 4, 4)),
}


def _numeric_gradient(loss: Callable[[], float], tensor: Array) -> Array:
    step = 1e-6
    gradient = np.zeros_like(tensor)
    for index in np.ndindex(tensor.shape):
        kept = tensor[index]
        tensor[index] = kept + step
        above = loss()
        tensor[index] = kept - step
        gradient[index] = (above - loss()) / (2 * step)
        tensor[index] = kept
    return gradient


@pytest.mark.parametrize("name", CASES)
def test_backward_is_the_gradient(name: str) -> None:
    rng = np.random.default_rng(7)
    build, shape = CASES[name]
    layer = build(rng)
    x = rng.normal(size=shape)
    weighting = rng.normal(size=layer.forward(x, training=True).shape)

    def loss() -> float:
        return float((layer.forward(x, training=True) * weighting).sum())

    loss()
    dx = layer.backward(weighting)
    gradients = [parameter.grad.copy() for parameter in layer.parameters()]
    np.testing.assert_allclose(dx, _numeric_gradient(loss, x), atol=1e-7)
    for parameter, gradient in zip(layer.parameters(), gradients, strict=True):
        np.testing.assert_allclose(gradient, _numeric_gradient(loss, parameter.value), atol=1e-7)


@pytest.mark.parametrize("name", CASES)
def test_export_computes_the_inference_pass(name: str) -> None:
    rng = np.random.default_rng(8)
    build, shape = CASES[name]
    layer = build(rng)
    for parameter in layer.parameters():
        parameter.value += rng.normal(size=parameter.value.shape) / 4
    layer.forward(rng.normal(1.0, 2.0, shape), training=True)
    x = rng.normal(size=shape)
    want = layer.forward(x, training=False)
    outputs: Any = ReferenceEvaluator(_model(layer, shape, want.shape)).run(None, {"x": x.astype(np.float32)})
    np.testing.assert_allclose(outputs[0], want, rtol=1e-5, atol=1e-5)


def _model(layer: Layer, shape: tuple[int, ...], result: tuple[int, ...]) -> onnx.ModelProto:
    graph = GraphBuilder()
    output = layer.export(graph, "x", "n")
    float32 = onnx.TensorProto.FLOAT
    body = onnx.helper.make_graph(
        graph.nodes,
        "layer",
        [onnx.helper.make_tensor_value_info("x", float32, shape)],
        [onnx.helper.make_tensor_value_info(output, float32, result)],
        graph.initializers,
    )
    model = onnx.helper.make_model(body, opset_imports=[onnx.helper.make_opsetid("", 15)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def test_cross_entropy_of_known_logits() -> None:
    loss, gradient = cross_entropy(np.array([[0.0, np.log(3.0)]]), np.array([[0.0, 1.0]]))
    assert loss == pytest.approx(np.log(4 / 3))
    np.testing.assert_allclose(gradient, [[0.25, -0.25]])


def test_adam_moves_by_the_rate_and_decays_weights_alone() -> None:
    weight, bias = Parameter(np.full((1, 2), 3.0)), Parameter(np.full(2, 3.0))
    optimiser = Adam([weight, bias], decay=0.1)
    weight.grad[:] = bias.grad[:] = [5.0, -0.01]
    optimiser.step(0.01)
    # The first step of Adam is the sign of the gradient; the decay takes rate * 0.1 * 3 from weights.
    np.testing.assert_allclose(bias.value, [2.99, 3.01], atol=1e-6)
    np.testing.assert_allclose(weight.value, [[2.987, 3.007]], atol=1e-6)
