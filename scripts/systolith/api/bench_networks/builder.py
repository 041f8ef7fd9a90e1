# SPDX-License-Identifier: Apache-2.0
"""Builds a float ONNX network of given shape with seeded weights.

Samples of the input run through the layers as they are added, and each layer's weights and bias are scaled so that on
them every channel has mean 0 and variance 1 before its Relu, as folded batch normalisation does. So activations neither
die nor saturate, at any depth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from systolith.compiler import float_ops

__all__ = ["SAMPLES", "BenchModel", "NetworkBuilder"]

SAMPLES = 16
"""Samples that the weights are scaled on, and that calibrate the network."""

_OPSET = 13
_IR = 8
"""What the oldest onnxruntime accepted by the project reads."""
_SPREAD = 0.25
"""Standard deviation of the channels' means, so that they are not all alike."""
_LEAST = 1e-6
"""Standard deviation below which a channel is constant and is left as it is."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class BenchModel:
    """A float network and samples of its only input, (:data:`SAMPLES`, ...) float32."""

    model: onnx.ModelProto
    samples: Floats


class NetworkBuilder:
    """Adds a layer at a time; tensors are named after the operator and its number, and methods return these names."""

    def __init__(self, name: str, shape: tuple[int, ...], *, low: float, high: float, seed: int = 0) -> None:
        """Begin with the input, uniform in ``low..high``; ``shape`` is without the batch."""
        self._name = name
        self._rng = np.random.default_rng(seed)
        self._samples = self._rng.uniform(low, high, (SAMPLES, *shape)).astype(np.float32)
        self._values: dict[str, NDArray[Any]] = {"input": self._samples}
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def conv(
        self,
        x: str,
        outputs: int,
        kernel: tuple[int, int] = (3, 3),
        *,
        stride: int = 1,
        pads: tuple[int, int, int, int] = (0, 0, 0, 0),
        group: int = 1,
        relu: bool = True,
    ) -> str:
        """A convolution; pads are top, left, bottom, right."""
        geometry: dict[str, Any] = {"strides": (stride, stride), "pads": pads, "dilations": (1, 1), "group": group}
        weight = self._weights(outputs, self._values[x].shape[1] // group, *kernel)
        raw = float_ops.conv(self._values[x], weight, None, **geometry)
        return self._layer("Conv", x, weight, raw, relu, kernel_shape=kernel, **geometry)

    def depthwise(self, x: str, kernel: tuple[int, int] = (3, 3), **options: Any) -> str:
        """A depthwise convolution; ``options`` as of :meth:`conv`."""
        channels = self._values[x].shape[1]
        return self.conv(x, channels, kernel, group=channels, **options)

    def gemm(self, x: str, outputs: int, *, relu: bool = False) -> str:
        """A dense layer."""
        weight = self._weights(outputs, self._values[x].shape[1])
        return self._layer("Gemm", x, weight, self._values[x] @ weight.T, relu, transB=1)

    def add(self, x: str, y: str, *, relu: bool = True) -> str:
        """The sum of two branches."""
        total = self._node("Add", (x, y), self._values[x] + self._values[y])
        return self.relu(total) if relu else total

    def relu(self, x: str) -> str:
        """Negative values to 0."""
        return self._node("Relu", (x,), np.maximum(self._values[x], 0))

    def flat_average(self, x: str) -> str:
        """The mean of each channel, flattened."""
        size = self._values[x].shape[2:]
        mean = self._values[x].mean(axis=(2, 3), keepdims=True)
        return self.flatten(self._node("AveragePool", (x,), mean, kernel_shape=size, strides=size))

    def flatten(self, x: str) -> str:
        """All but the batch in one axis."""
        return self._node("Flatten", (x,), self._values[x].reshape(SAMPLES, -1), axis=1)

    def softmax(self, x: str) -> str:
        """Shares that sum to 1."""
        return self._node("Softmax", (x,), float_ops.softmax(self._values[x], 1), axis=1)

    def model(self, output: str) -> BenchModel:
        """The network that ends with ``output``."""
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, *self._values[name].shape[1:]])
            for name in ("input", output)
        ]
        graph = helper.make_graph(self._nodes, self._name, ends[:1], ends[1:], self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
        onnx.checker.check_model(model, full_check=True)
        return BenchModel(model, self._samples)

    # ------------------------------------------------------------------ parts

    def _weights(self, *shape: int) -> Floats:
        return self._rng.normal(0, 1, shape).astype(np.float32)

    def _layer(self, op: str, x: str, weight: Floats, raw: Floats, relu: bool, **attributes: Any) -> str:
        """A layer whose results on the samples without a bias are ``raw``, scaled."""
        axes = (0, *range(2, raw.ndim))
        mean, deviation = raw.mean(axis=axes), raw.std(axis=axes)
        scale = np.where(deviation > _LEAST, 1 / np.maximum(deviation, _LEAST), 1).astype(np.float32)
        bias = (self._rng.normal(0, _SPREAD, len(mean)) - mean * scale).astype(np.float32)
        label = self._label(op)
        weight = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
        names = [self._constant(f"{label}.weight", weight), self._constant(f"{label}.bias", bias)]
        along = (-1, *[1] * (raw.ndim - 2))
        value = raw * scale.reshape(along) + bias.reshape(along)
        result = self._node(op, (x, *names), value, **attributes)
        return self.relu(result) if relu else result

    def _label(self, op: str) -> str:
        return f"{op.lower()}{sum(node.op_type == op for node in self._nodes) + 1}"

    def _constant(self, name: str, value: Floats) -> str:
        self._constants.append(numpy_helper.from_array(value, name))
        return name

    def _node(self, op: str, inputs: tuple[str, ...], value: NDArray[Any], **attributes: Any) -> str:
        label = self._label(op)
        output = f"{label}_out"
        self._nodes.append(helper.make_node(op, inputs, [output], name=label, **attributes))
        self._values[output] = value.astype(np.float32)
        return output
