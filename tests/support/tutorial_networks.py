# SPDX-License-Identifier: Apache-2.0
"""What the code of other frameworks shown in docs/tutorials writes, for where these are not installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from .float_models import ModelBuilder
from .qdq_models import QdqModel

__all__ = ["STAND_INS", "StandIn"]


@dataclass(frozen=True)
class StandIn:
    """For the Python blocks of a page that import ``module``: ``write`` makes their files in a folder."""

    module: str
    write: Callable[[Path], None]


def _batch_norm(net: ModelBuilder, x: str, channels: int) -> str:
    mean, variance = net.weights(channels), net.constant(net.rng.uniform(0.5, 2, channels))
    return net.add("BatchNormalization", x, net.weights(channels), net.weights(channels), mean, variance)


def _named(model: onnx.ModelProto, names: Mapping[str, str]) -> onnx.ModelProto:
    """The model with other names of tensors."""
    model = onnx.shape_inference.infer_shapes(model)
    graph = model.graph
    for value in (*graph.input, *graph.output):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    onnx.checker.check_model(model, full_check=True)
    return model


def _pytorch(folder: Path) -> None:
    """As torch.onnx.export writes it: SiLU as Sigmoid and Mul, batch normalisation not folded, Gemm with transB."""
    net = ModelBuilder((1, 1, 8, 8), opset=18)
    stem = net.add("Relu", _batch_norm(net, net.add("Conv", "input", net.weights(8, 1, 3, 3), pads=[1] * 4), 8))
    inner = _batch_norm(net, net.add("Conv", stem, net.weights(8, 8, 3, 3), pads=[1] * 4), 8)
    block = net.add("Add", net.add("Mul", inner, net.add("Sigmoid", inner)), stem)
    pooled = net.add("Flatten", net.add("GlobalAveragePool", block), axis=1)
    scores = net.add("Gemm", pooled, net.weights(10, 8), net.weights(10), transB=1)
    onnx.save(_named(net.model(scores), {"input": "image", scores: "scores"}), folder / "mynet.onnx")


def _keras(folder: Path) -> None:
    """As tf2onnx writes them: the float network, and a TFLite file's integers as QDQ; both take NHWC."""
    onnx.save(_keras_float(), folder / "mynet.onnx")
    onnx.save(_tflite(), folder / "mynet_int8.onnx")


def _keras_float() -> onnx.ModelProto:
    """The input's transpose, of one channel, is a Reshape; the batch's size comes from a shape in the other order."""
    net = ModelBuilder(("unk__1", 8, 8, 1), opset=15)
    turned = net.add("Reshape", "input", net.constant([-1, 1, 8, 8], np.int64))
    x = net.add("Relu", net.add("Conv", turned, net.weights(8, 1, 3, 3), net.weights(8), pads=[1] * 4))
    pooled = net.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    last = net.add("Relu", net.add("Conv", pooled, net.weights(8, 8, 3, 3), net.weights(8)))
    sizes = net.add("Gather", net.add("Shape", last), net.constant([0, 2, 3, 1], np.int64))
    first, second = net.constant([0], np.int64), net.constant([1], np.int64)
    batch = net.add("Slice", net.add("Cast", sizes, to=onnx.TensorProto.INT32), first, second, first)
    shape = net.add("Concat", batch, net.constant([32], np.int32), axis=0)
    back = net.add("Transpose", last, perm=[0, 2, 3, 1])
    flat = net.add("Reshape", back, net.add("Cast", shape, to=onnx.TensorProto.INT64))
    scores = net.add("Softmax", net.add("Add", net.add("MatMul", flat, net.weights(32, 10)), net.weights(10)), axis=1)
    return _named(net.model(scores), {"input": "image", scores: "scores"})


def _tflite() -> onnx.ModelProto:
    """Integers are turned and flattened, not real numbers: the DequantizeLinear comes behind."""
    net = QdqModel(1)
    x = _moved(net, net.quantise(net.input(1, 8, 8, 1), 0.05, -128), ("Reshape", [-1, 1, 8, 8]))
    x = net.real(net.node("Relu", net.conv(x, 1, 8, pads=[1] * 4)), 0.1, -128)
    x = net.real(net.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), 0.1, -128)
    codes = net.quantise(net.node("Relu", net.conv(x, 8, 8)), 0.1, -128)
    x = _moved(net, codes, ("Transpose", [0, 2, 3, 1]), ("Reshape", [1, 32]))
    scores = net.real(net.node("Softmax", net.real(net.node("MatMul", x, net.weight((32, 10), axis=1)), 0.2, 5)))
    return _named(net.model(scores), {"x0": "image", scores: "scores"})


def _moved(net: QdqModel, codes: str, *steps: tuple[str, list[int]]) -> str:
    """Integers after some steps, dequantised."""
    for op, numbers in steps:
        if op == "Reshape":
            moved = net.node(op, codes, net.constant(np.array(numbers)))
        else:
            moved = net.node(op, codes, perm=numbers)
        net.params[moved], net.scales[moved] = net.params[codes], net.scales[codes]
        codes = moved
    return net.dequantise(codes)


STAND_INS = {"pytorch.md": StandIn("torch", _pytorch), "keras.md": StandIn("tensorflow", _keras)}
"""By page."""
