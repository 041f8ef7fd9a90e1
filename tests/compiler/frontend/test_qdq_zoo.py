# SPDX-License-Identifier: Apache-2.0
"""Real QDQ networks: every layer within one LSB of double precision, accuracy as onnxruntime's."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from systolith.compiler.borders import engine_inputs, network_outputs
from systolith.compiler.frontend.onnx_file import read_model
from systolith.compiler.frontend.onnx_reader import read_graph
from systolith.compiler.frontend.qdq import import_qdq
from systolith.compiler.interp_int import run_integer
from systolith.compiler.ir import Graph
from systolith.compiler.passes.drop_requant import drop_requant
from systolith.compiler.passes.fuse_add import fuse_add
from systolith.compiler.verify import verify
from tests.support.qdq_models import judge

ZOO = Path(os.environ.get("SYSTOLITH_ZOO", "."))
pytestmark = [
    pytest.mark.zoo,
    pytest.mark.skipif("SYSTOLITH_ZOO" not in os.environ, reason="SYSTOLITH_ZOO names no folder of networks"),
]

Array = NDArray[Any]

RANGES = {
    "ad_autoencoder": (-67.0, 2.0),
    "ds_cnn": (-123.0, 26.0),
    "mobilenet_v1_025": (0.0, 1.0),
    "resnet8": (0.0, 255.0),
    "resnet8_sym": (0.0, 255.0),
    "str_ww": (0.0, 1.0),
}
"""What each float network is fed with."""

NETWORKS = [f"int8_qdq/{name}" for name in RANGES] + [f"int8_tflite/{name}" for name in RANGES if "_sym" not in name]
SEED = 51


def load(name: str) -> Graph:
    path = ZOO / f"{name}.onnx"
    return import_qdq(read_graph(read_model(path), path.stem))


def uniform(graph: Graph, name: str) -> dict[str, Array]:
    """One random input of the network's own type."""
    rng = np.random.default_rng(SEED)
    (tensor,) = graph.inputs
    shape = graph.tensors[tensor].shape
    if tensor in graph.integer_io:
        return {tensor: rng.integers(-128, 128, shape, dtype=np.int8)}
    return {tensor: rng.uniform(*RANGES[name.split("/")[1]], shape).astype(np.float32)}


def ours(name: str, images: Array, precision: int = 0) -> Array:
    """Classes by the integer reference; a fused graph, as it is compiled."""
    graph = fuse_add(load(name))
    feeds = engine_inputs(graph, {graph.inputs[0]: images})
    results = run_integer(graph, feeds, precision=precision, keep=graph.outputs)
    return np.asarray(network_outputs(graph, results)[graph.outputs[0]].argmax(axis=1))


def theirs(name: str, images: Array) -> Array:
    """Classes by onnxruntime without its graph optimisations, which would merge roundings."""
    model = onnx.load(ZOO / f"{name}.onnx")
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    batches = np.array_split(images, 10)
    return np.concatenate([session.run(None, {"input": batch})[0].argmax(axis=1) for batch in batches])


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_is_within_one_lsb_of_double_precision(name: str) -> None:
    graph = load(name)
    verify(graph)
    judgements = list(judge(onnx.load(ZOO / f"{name}.onnx"), graph, uniform(graph, name)))
    assert len(judgements) >= len(graph.nodes) - 1
    for judgement in judgements:
        assert judgement.distance <= 1, judgement.tensor


@pytest.mark.parametrize("name", NETWORKS)
def test_passes_change_no_integer(name: str) -> None:
    graph = load(name)
    fused = drop_requant(fuse_add(graph))
    verify(fused)
    feeds = engine_inputs(graph, uniform(graph, name))
    before, after = run_integer(graph, feeds), run_integer(fused, feeds)
    for tensor, values in after.items():
        assert np.array_equal(values, before[tensor]), tensor


@pytest.mark.parametrize(("name", "adds"), [("resnet8", 3), ("resnet8_sym", 3)])
def test_residual_adds_are_fused(name: str, adds: int) -> None:
    before = load(f"int8_qdq/{name}")
    after = fuse_add(before)
    assert [node.op for node in before.nodes].count("QAdd") == adds
    assert sum("add" in node.attributes for node in after.nodes) == adds


@pytest.mark.parametrize("name", ["int8_qdq/resnet8", "int8_qdq/resnet8_sym", "int8_tflite/resnet8"])
def test_accuracy_is_that_of_onnxruntime(name: str) -> None:
    """Single images may change class: one LSB early in the network has grown to many elements at its end."""
    data = np.load(ZOO / "data" / "cifar10_eval_lossless.npz")
    images = data["x"].transpose(0, 3, 1, 2)
    feed = (images.astype(np.int64) - 128).astype(np.int8) if "tflite" in name else images.astype(np.float32)
    accuracy = [float((classes(name, feed) == data["y"]).mean()) for classes in (ours, theirs)]
    assert abs(accuracy[0] - accuracy[1]) <= 0.005, accuracy


def _images(name: str) -> Array:
    """Real inputs of an int8_qdq network, (B, ...) float32."""
    if name == "ds_cnn":
        codes = np.load(ZOO / "data" / "kws.npz")["x_int8"].astype(np.float32)
        return np.asarray((codes[:, None] - 83) * np.float32(0.5847029))
    file = "cifar10_eval_lossless" if name == "resnet8" else "vww_samples"
    images = np.load(ZOO / "data" / f"{file}.npz")["x"].transpose(0, 3, 1, 2).astype(np.float32)
    return np.asarray(images if name == "resnet8" else images / 255)


@pytest.mark.parametrize(("name", "precision"), [("resnet8", 2), ("ds_cnn", 0), ("mobilenet_v1_025", 0)])
def test_classes_are_those_of_onnxruntime(name: str, precision: int) -> None:
    """At least 99 % of them; where many logits nearly tie it takes two more bits in the lanes."""
    images = _images(name)
    agreed = [classes(f"int8_qdq/{name}", images) for classes in (partial(ours, precision=precision), theirs)]
    assert float((agreed[0] == agreed[1]).mean()) >= 0.99
