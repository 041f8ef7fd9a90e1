# SPDX-License-Identifier: Apache-2.0
"""Small float ONNX models for tests, the graphs read from them, and onnxruntime's opinion of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from systolith.compiler.frontend.onnx_file import fix_batch, infer_shapes
from systolith.compiler.frontend.onnx_reader import read_graph
from systolith.compiler.interp import run_float
from systolith.compiler.ir import Graph, Node

__all__ = ["ModelBuilder", "agreeing", "assert_same_result", "only", "random_feeds", "read", "run_onnxruntime"]

Array = NDArray[Any]


class ModelBuilder:
    """Builds a model node by node; tensors are named after the operator and its position."""

    def __init__(self, shape: Sequence[int | str], *, opset: int = 17, seed: int = 1) -> None:
        self.opset = opset
        self.rng = np.random.default_rng(seed)
        self.inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, list(shape))]
        self._nodes: list[onnx.NodeProto] = []
        self._initialisers: list[onnx.TensorProto] = []

    def input(self, name: str, *shape: int) -> str:
        """One more input of the network."""
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))
        return name

    def constant(self, value: Array | Sequence[float] | float, dtype: Any = np.float32) -> str:
        name = f"c{len(self._initialisers)}"
        self._initialisers.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def weights(self, *shape: int) -> str:
        return self.constant(self.rng.normal(0, 0.5, shape))

    def add(self, op: str, *inputs: str, outputs: int = 1, name: str | None = None, **attributes: Any) -> str:
        label = name or f"{op.lower()}{len(self._nodes)}"
        results = [f"{label}_out", *(f"{label}_out{index}" for index in range(1, outputs))]
        self._nodes.append(helper.make_node(op, list(inputs), results, name=label, **attributes))
        return results[0]

    def conv(self, x: str, *shape: int, **attributes: Any) -> str:
        return self.add("Conv", x, self.weights(*shape), self.weights(shape[0]), **attributes)

    def model(self, *outputs: str) -> onnx.ModelProto:
        integers = {name for node in self._nodes if node.op_type == "ArgMax" for name in node.output}
        types = {name: TensorProto.INT64 if name in integers else TensorProto.FLOAT for name in outputs}
        results = [helper.make_tensor_value_info(name, types[name], None) for name in outputs]
        graph = helper.make_graph(self._nodes, "test", self.inputs, results, self._initialisers)
        # IR 8 is what onnxruntime of the oldest accepted version reads.
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)

    def save(self, path: Path, *outputs: str) -> Path:
        onnx.save(infer_shapes(self.model(*outputs)), str(path))
        return path


def read(builder: ModelBuilder, *outputs: str, batch: int | None = 1) -> Graph:
    """The float-level graph of a model."""
    model = infer_shapes(fix_batch(builder.model(*outputs), batch))
    return read_graph(model, "test", batched=batch is not None)


def agreeing(builder: ModelBuilder, *outputs: str) -> Graph:
    """The graph of a model, after a comparison of its results and shapes with onnxruntime's on two samples."""
    graph = read(builder, *outputs)
    feeds = random_feeds(graph, 2)
    got = run_float(graph, feeds)
    for name, expected in zip(outputs, run_onnxruntime(builder.model(*outputs), feeds), strict=True):
        assert graph.tensors[name].shape == (1, *expected.shape[1:])
        np.testing.assert_allclose(got[name], expected, rtol=1e-4, atol=1e-5)
    return graph


def only(graph: Graph, op: str) -> Node:
    """The single node of an operator."""
    (node,) = (node for node in graph.nodes if node.op == op)
    return node


def random_feeds(graph: Graph, batch: int, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Normally distributed samples for every input."""
    rng = np.random.default_rng(seed)
    shapes = {name: graph.tensors[name].shape[1:] for name in graph.inputs}
    return {name: rng.normal(0, 1, (batch, *shape)).astype(np.float32) for name, shape in shapes.items()}


def run_onnxruntime(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> list[Array]:
    """The outputs of onnxruntime without its graph optimisations, sample by sample."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    count = len(next(iter(feeds.values())))
    rows = [session.run(None, {name: x[i : i + 1] for name, x in feeds.items()}) for i in range(count)]
    return [np.concatenate([row[index] for row in rows]) for index in range(len(rows[0]))]


def assert_same_result(before: Graph, after: Graph, seed: int = 0) -> None:
    """Two float-level graphs compute the same, in float64 to 1e-5 (folded constants are float32)."""
    feeds = random_feeds(before, 3, seed)
    expected = run_float(before, feeds, dtype=np.float64)
    got = run_float(after, feeds, dtype=np.float64)
    for old, new in zip(before.outputs, after.outputs, strict=True):
        np.testing.assert_allclose(got[new], expected[old], rtol=1e-5, atol=1e-5)
