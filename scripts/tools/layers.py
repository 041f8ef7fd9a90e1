# SPDX-License-Identifier: Apache-2.0
"""The layers the bundled networks are made of: forward, backward and ONNX, in plain numpy.

A trainer this small needs no framework, and without one its result depends on numpy alone. Everything is
computed in float64, so that machines whose linear algebra sums in another order still arrive at the same
float32 weights: four kernels of OpenBLAS differed in the last bit of one weight (3e-8).

Images are NCHW. A layer keeps what its backward pass needs from its last forward pass, so passes alternate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import onnx
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = [
    "Adam",
    "BatchNorm",
    "Conv",
    "Dense",
    "Flatten",
    "GraphBuilder",
    "Layer",
    "MaxPool",
    "Parameter",
    "Relu",
    "Residual",
    "Sequential",
    "cross_entropy",
]

Array = NDArray[np.float64]


@dataclass
class Parameter:
    """One trained tensor and the gradient of the loss with respect to it."""

    value: Array
    grad: Array = field(init=False)

    def __post_init__(self) -> None:
        self.grad = np.zeros_like(self.value)


@dataclass
class GraphBuilder:
    """Collects ONNX nodes and float32 initialisers; names are unique and say what they belong to."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, name: str, value: Array) -> str:
        """Store ``value`` as a float32 initialiser and return its name."""
        self.initializers.append(onnx.numpy_helper.from_array(value.astype(np.float32), name))
        return name

    def node(self, op: str, name: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Append a node with one output and return the name of that output."""
        self.nodes.append(onnx.helper.make_node(op, inputs, [f"{name}_out"], name, **attributes))
        return f"{name}_out"


class Layer(Protocol):
    """What the trainer asks of a layer."""

    def parameters(self) -> list[Parameter]:
        """The trained tensors."""
        ...

    def forward(self, x: Array, *, training: bool) -> Array:
        """The layer's output for a batch; ``training`` selects batch statistics where there are any."""
        ...

    def backward(self, dy: Array) -> Array:
        """Set the gradients of the parameters from that of the output; return that of the input."""
        ...

    def export(self, graph: GraphBuilder, source: str, name: str) -> str:
        """Append the layer's inference form, fed by tensor ``source``; return its output tensor."""
        ...


def _he(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int) -> Parameter:
    """He et al. 2015: the variance that keeps activations of a Relu network at one scale."""
    return Parameter(rng.normal(0.0, np.sqrt(2.0 / fan_in), shape))


def _correlate(x: Array, weight: Array) -> tuple[Array, Array]:
    """Correlate NCHW ``x`` with ``weight`` (M, C, K, K), stride 1, zero-padded to the same size.

    Returns the result (N, M, H, W) and the window matrix (N*H*W, C*K*K) it came from.
    """
    batch, _, height, width = x.shape
    kernel = weight.shape[2]
    half = kernel // 2
    padded = np.pad(x, ((0, 0), (0, 0), (half, half), (half, half)))
    windows = sliding_window_view(padded, (kernel, kernel), axis=(2, 3)).transpose(0, 2, 3, 1, 4, 5)
    columns = windows.reshape(batch * height * width, -1)
    y = columns @ weight.reshape(len(weight), -1).T
    return y.reshape(batch, height, width, -1).transpose(0, 3, 1, 2), columns


class Conv:
    """Convolution with an odd square kernel, stride 1 and zero padding that keeps the size."""

    def __init__(self, rng: np.random.Generator, inputs: int, outputs: int, *, kernel: int = 3) -> None:
        self.weight = _he(rng, (outputs, inputs, kernel, kernel), inputs * kernel * kernel)
        self.bias = Parameter(np.zeros(outputs))

    def parameters(self) -> list[Parameter]:
        return [self.weight, self.bias]

    def forward(self, x: Array, *, training: bool) -> Array:
        y, self._columns = _correlate(x, self.weight.value)
        return y + self.bias.value[:, None, None]

    def backward(self, dy: Array) -> Array:
        rows = dy.transpose(0, 2, 3, 1).reshape(-1, dy.shape[1])
        self.weight.grad = (rows.T @ self._columns).reshape(self.weight.value.shape)
        self.bias.grad = rows.sum(axis=0)
        mirrored = self.weight.value.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]
        return _correlate(dy, mirrored)[0]

    def export(self, graph: GraphBuilder, source: str, name: str) -> str:
        tensors = [
            graph.constant(f"{name}_weight", self.weight.value),
            graph.constant(f"{name}_bias", self.bias.value),
        ]
        kernel = self.weight.value.shape[2]
        pads = [kernel // 2] * 4
        return graph.node("Conv", name, [source, *tensors], kernel_shape=[kernel, kernel], pads=pads)


class BatchNorm:
    """Batch normalisation over N, H and W (Ioffe and Szegedy 2015), running statistics for inference."""

    epsilon = 1e-5
    momentum = 0.9

    def __init__(self, channels: int) -> None:
        self.gamma = Parameter(np.ones(channels))
        self.beta = Parameter(np.zeros(channels))
        self.mean = np.zeros(channels)
        self.variance = np.ones(channels)

    def parameters(self) -> list[Parameter]:
        return [self.gamma, self.beta]

    def forward(self, x: Array, *, training: bool) -> Array:
        mean, variance = self._track(x) if training else (self.mean, self.variance)
        self._deviation: Array = np.sqrt(variance + self.epsilon)[:, None, None]
        self._normal: Array = (x - mean[:, None, None]) / self._deviation
        y: Array = self.gamma.value[:, None, None] * self._normal + self.beta.value[:, None, None]
        return y

    def _track(self, x: Array) -> tuple[Array, Array]:
        mean, variance = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))
        self.mean = self.momentum * self.mean + (1 - self.momentum) * mean
        self.variance = self.momentum * self.variance + (1 - self.momentum) * variance
        return mean, variance

    def backward(self, dy: Array) -> Array:
        self.gamma.grad = (dy * self._normal).sum(axis=(0, 2, 3))
        self.beta.grad = dy.sum(axis=(0, 2, 3))
        count = dy.size / dy.shape[1]
        shared = self.beta.grad[:, None, None] + self._normal * self.gamma.grad[:, None, None]
        dx: Array = self.gamma.value[:, None, None] / self._deviation * (dy - shared / count)
        return dx

    def export(self, graph: GraphBuilder, source: str, name: str) -> str:
        tensors = [
            graph.constant(f"{name}_gamma", self.gamma.value),
            graph.constant(f"{name}_beta", self.beta.value),
            graph.constant(f"{name}_mean", self.mean),
            graph.constant(f"{name}_variance", self.variance),
        ]
        return graph.node("BatchNormalization", name, [source, *tensors], epsilon=self.epsilon)


class Dense:
    """A fully connected layer on (N, inputs)."""

    def __init__(self, rng: np.random.Generator, inputs: int, outputs: int) -> None:
        self.weight = _he(rng, (outputs, inputs), inputs)
        self.bias = Parameter(np.zeros(outputs))

    def parameters(self) -> list[Parameter]:
        return [self.weight, self.bias]

    def forward(self, x: Array, *, training: bool) -> Array:
        self._x = x
        return x @ self.weight.value.T + self.bias.value

    def backward(self, dy: Array) -> Array:
        self.weight.grad = dy.T @ self._x
        self.bias.grad = dy.sum(axis=0)
        return dy @ self.weight.value

    def export(self, graph: GraphBuilder, source: str, name: str) -> str:
        tensors = [
            graph.constant(f"{name}_weight", self.weight.value),
            graph.constant(f"{name}_bias", self.bias.value),
        ]
        return graph.node("Gemm", name, [source, *tensors], transB=1)


class Relu:
    """max(x, 0)."""

    def parameters(self) -> list[Parameter]:
        return []

    def forward(self, x: Array, *, training: bool) -> Array:
        self._positive = x > 0
        return x * self._positive

    def backward(self, dy: Array) -> Array:
        return dy * self._positive

    def export(self, graph: GraphBuilder, source: str, name: str) -> str:
        return graph.node("Relu", name, [source])


class MaxPool:
    """The maximum of each 2x2 tile; height and width must be even. Equal maxima share the gradient."""

    def parameters(self) -> list[Parameter]:
        return []

    def forward(self, x: Array, *, training: bool) -> Array:
        batch, channels, height, width = x.shape
        tiles = x.reshape(batch, channels, height // 2, 2, width // 2, 2)
        y: Array = tiles.max(axis=(3, 5), keepdims=True)
        winners = tiles == y
        self._share: Array = winners / winners.sum(axis=(3, 5), keepdims=True)
        return y[:, :, :, 0, :, 0]

    def backward(self, dy: Array) -> Array:
        batch, channels, height, width = dy.shape
        return (dy[:, :, :, None, :, None] * self._share).reshape(batch, channels, 2 * height, 2 * width)

    def export(self, graph: GraphBuilder, source: str, name: str) -> str:
        return graph.node("MaxPool", name, [source], kernel_shape=[2, 2], strides=[2, 2])


class Flatten:
    """(N, C, H, W) to (N, C*H*W)."""

    def parameters(self) -> list[Parameter]:
        return []

    def forward(self, x: Array, *, training: bool) -> Array:
        self._shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, dy: Array) -> Array:
        return dy.reshape(self._shape)

    def export(self, graph: GraphBuilder, source: str, name: str) -> str:
        return graph.node("Flatten", name, [source])


class Residual:
    """x + layer(x)."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer

    def parameters(self) -> list[Parameter]:
        return self.layer.parameters()

    def forward(self, x: Array, *, training: bool) -> Array:
        return x + self.layer.forward(x, training=training)

    def backward(self, dy: Array) -> Array:
        return dy + self.layer.backward(dy)

    def export(self, graph: GraphBuilder, source: str, name: str) -> str:
        branch = self.layer.export(graph, source, f"{name}_branch")
        return graph.node("Add", name, [branch, source])


class Sequential:
    """Layers one after the other, under the names they get in the ONNX file."""

    def __init__(self, **layers: Layer) -> None:
        self.layers = layers

    def parameters(self) -> list[Parameter]:
        return [parameter for layer in self.layers.values() for parameter in layer.parameters()]

    def forward(self, x: Array, *, training: bool) -> Array:
        for layer in self.layers.values():
            x = layer.forward(x, training=training)
        return x

    def backward(self, dy: Array) -> Array:
        for layer in reversed(self.layers.values()):
            dy = layer.backward(dy)
        return dy

    def export(self, graph: GraphBuilder, source: str, name: str) -> str:
        for layer_name, layer in self.layers.items():
            source = layer.export(graph, source, name + layer_name)
        return source


def cross_entropy(logits: Array, targets: Array) -> tuple[float, Array]:
    """Mean cross-entropy of softmax(logits) (N, classes) against target distributions, and its gradient."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-(targets * log_p).sum(axis=1).mean()), (np.exp(log_p) - targets) / len(logits)


class Adam:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019); decay is for weights, not for biases."""

    beta1, beta2, epsilon = 0.9, 0.999, 1e-8

    def __init__(self, parameters: Sequence[Parameter], *, decay: float) -> None:
        self.parameters = parameters
        self.decay = decay
        self._steps = 0
        self._moments = [(np.zeros_like(p.value), np.zeros_like(p.value)) for p in parameters]

    def step(self, rate: float) -> None:
        """Move each parameter against its gradient at learning rate ``rate``."""
        self._steps += 1
        for parameter, (first, second) in self._paired():
            first += (1 - self.beta1) * (parameter.grad - first)
            second += (1 - self.beta2) * (parameter.grad**2 - second)
            mean = first / (1 - self.beta1**self._steps)
            scale = np.sqrt(second / (1 - self.beta2**self._steps)) + self.epsilon
            decay = self.decay if parameter.value.ndim > 1 else 0.0
            parameter.value -= rate * (mean / scale + decay * parameter.value)

    def _paired(self) -> Iterator[tuple[Parameter, tuple[Array, Array]]]:
        return zip(self.parameters, self._moments, strict=True)
