# SPDX-License-Identifier: Apache-2.0
"""Networks exported with a batch of their own: what they give for each sample is what they gave for all of them."""

from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from systolith.compiler.borders import engine_inputs, network_outputs
from systolith.compiler.errors import UnsupportedModel
from systolith.compiler.frontend.batch_sizes import change_batch_sizes
from systolith.compiler.frontend.load import load_model
from systolith.compiler.interp import run_float
from systolith.compiler.interp_int import run_integer
from tests.support.float_models import ModelBuilder
from tests.support.qdq_models import QdqModel, feeds_of

BATCH = 4


def flattened(builder: ModelBuilder, *shape: int) -> str:
    """A convolution, a Reshape to constant sizes, a dense layer with as many outputs as there are samples."""
    x = builder.conv("input", 3, 2, 3, 3)
    return builder.add("Gemm", builder.add("Reshape", x, builder.constant(shape, np.int64)), builder.weights(36, BATCH))


def agrees(builder: ModelBuilder, out: str, folder: Path) -> None:
    """Batch 1, sample by sample, against onnx's own evaluator on the whole batch."""
    graph = load_model(builder.save(folder / "m.onnx", out))
    assert graph.tensors["input"].shape[0] == 1
    x = np.random.default_rng(3).normal(size=(BATCH, 2, 5, 6)).astype(np.float32)
    (expected,) = ReferenceEvaluator(builder.model(out)).run(None, {"input": x})
    got = np.concatenate([run_float(graph, {"input": x[i : i + 1]})[graph.outputs[0]] for i in range(BATCH)])
    np.testing.assert_allclose(got, np.asarray(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(BATCH, 36), (BATCH, -1), (-1, 36), (0, -1)])
def test_a_reshape_that_names_the_batch(shape: tuple[int, ...], tmp_path: Path) -> None:
    builder = ModelBuilder((BATCH, 2, 5, 6))
    agrees(builder, flattened(builder, *shape), tmp_path)


def test_sizes_in_a_constant_node(tmp_path: Path) -> None:
    builder = ModelBuilder((BATCH, 2, 5, 6))
    sizes = builder.add("Constant", value_ints=[BATCH, -1])
    x = builder.add("Reshape", builder.add("Relu", "input"), sizes)
    agrees(builder, builder.add("MatMul", x, builder.weights(60, 3)), tmp_path)


def test_a_resize_that_names_the_batch(tmp_path: Path) -> None:
    builder = ModelBuilder((BATCH, 2, 5, 6))
    sizes = builder.constant([BATCH, 2, 10, 6], np.int64)
    agrees(builder, builder.add("Resize", builder.add("Relu", "input"), "", "", sizes), tmp_path)


@pytest.mark.parametrize(("axes", "sizes"), [([2, 3], [BATCH, 6]), ([3, 0], [12, BATCH]), ([2], [BATCH])])
def test_a_resize_of_some_axes(axes: list[int], sizes: list[int], tmp_path: Path) -> None:
    """A height or width that is as large as the batch is none."""
    builder = ModelBuilder((BATCH, 2, 5, 6), opset=18)
    size = builder.constant(sizes, np.int64)
    agrees(builder, builder.add("Resize", builder.add("Relu", "input"), "", "", size, axes=axes), tmp_path)


def test_constants_have_no_batch() -> None:
    """A weight with as many rows as there are samples is reshaped as it was, by sizes that are shared."""
    builder = ModelBuilder((BATCH, 6))
    sizes = builder.constant([BATCH, -1], np.int64)
    weight = builder.add("Reshape", builder.weights(2, 6), sizes)
    out = builder.add("MatMul", builder.add("Reshape", "input", sizes), builder.add("Transpose", weight))
    model = builder.model(out)
    change_batch_sizes(model.graph, ["input"], {BATCH}, 1)
    known = {tensor.name: numpy_helper.to_array(tensor).tolist() for tensor in model.graph.initializer}
    reshapes = [node for node in model.graph.node if node.op_type == "Reshape"]
    assert [known[node.input[1]] for node in reshapes] == [[BATCH, -1], [1, -1]]


def test_a_shape_has_no_batch(tmp_path: Path) -> None:
    """Four sizes are not four samples."""
    builder = ModelBuilder((BATCH, 2, 5, 6))
    sizes = builder.add("Reshape", builder.add("Shape", "input"), builder.constant([4], np.int64))
    agrees(builder, builder.add("Reshape", builder.add("Relu", "input"), sizes), tmp_path)


def test_a_quantised_network(tmp_path: Path) -> None:
    m = QdqModel(3, opset=21)
    flat = m.node("Reshape", m.conv(m.start(BATCH, 2, 5, 6), 2, 3), m.constant(np.array([BATCH, 36])))
    model = m.model(m.real(m.node("MatMul", m.real(flat, 0.1), m.weight((36, 5), axis=1)), 0.3))
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    graph, feeds = load_model(tmp_path / "m.onnx"), feeds_of(model)
    (expected,) = ReferenceEvaluator(model).run(None, feeds)
    got = network_outputs(graph, run_integer(graph, engine_inputs(graph, feeds)))[graph.outputs[0]]
    assert np.abs(got - np.asarray(expected)).max() <= 0.3001


@pytest.mark.parametrize(("batch", "rows"), [(BATCH, BATCH * 2), (BATCH, 2), ("N", 2), ("N", BATCH)])
def test_what_mixes_samples_is_refused_in_words(batch: int | str, rows: int, tmp_path: Path) -> None:
    """A free batch is none of the numbers in the model."""
    builder = ModelBuilder((batch, 24))
    mixed = builder.add("Reshape", builder.add("Relu", "input"), builder.constant([rows, -1], np.int64), name="mix")
    message = rf"'mix' \(Reshape\): it turns \[1, 24\] into \[{rows}, \d+\]; accepted: reshapes that keep the batch"
    with pytest.raises(UnsupportedModel, match=message):
        load_model(builder.save(tmp_path / "m.onnx", mixed))


def test_constants_of_a_sample_each_are_refused_in_words(tmp_path: Path) -> None:
    builder = ModelBuilder((BATCH, 6))
    own = builder.add("Add", builder.add("Relu", "input"), builder.weights(BATCH, 6), name="own")
    with pytest.raises(UnsupportedModel, match=r"'own' \(Add\): it broadcasts .* of shape \[1, 6\] to \[4, 6\]"):
        load_model(builder.save(tmp_path / "m.onnx", own))
