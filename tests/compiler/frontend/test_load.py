# SPDX-License-Identifier: Apache-2.0
import os
from pathlib import Path

import numpy as np
import onnx
import pytest

from systolith.compiler.errors import CompileError, UnsupportedModel
from systolith.compiler.frontend import load_model
from systolith.compiler.interp import run_float
from systolith.compiler.verify import is_integer_level
from tests.support.float_models import ModelBuilder, random_feeds, run_onnxruntime

ZOO = os.environ.get("SYSTOLITH_ZOO", "")
FLOATS = ["ad_autoencoder", "ds_cnn", "mobilenet_v1_025", "resnet8", "str_ww"]


def test_float_model_is_named_after_its_file(tmp_path: Path) -> None:
    builder = ModelBuilder(("batch", 3))
    graph = load_model(builder.save(tmp_path / "net.onnx", builder.add("Relu", "input")))
    assert graph.name == "net"
    assert not is_integer_level(graph)


def test_quantised_model_comes_back_in_integers(tmp_path: Path) -> None:
    builder = ModelBuilder((1, 3, 4, 4))
    scale, zero = builder.constant(0.5), builder.constant(3, np.int8)
    codes = builder.add("QuantizeLinear", "input", scale, zero)
    pooled = builder.add("MaxPool", builder.add("DequantizeLinear", codes, scale, zero), kernel_shape=[2, 2])
    out = builder.add("DequantizeLinear", builder.add("QuantizeLinear", pooled, scale, zero), scale, zero)
    assert is_integer_level(load_model(builder.save(tmp_path / "net.onnx", out)))


def test_any_shapes(tmp_path: Path) -> None:
    """Without a batch, axis 0 is an axis like any other, and quantisers stay what they are."""
    builder = ModelBuilder((6,))
    codes = builder.add("QuantizeLinear", "input", builder.constant(0.5), builder.constant(3, np.uint8))
    real = builder.add("DequantizeLinear", codes, builder.constant(0.5), builder.constant(3, np.uint8))
    out = builder.add("Transpose", builder.add("Reshape", real, builder.constant([3, 2], np.int64)))
    graph = load_model(builder.save(tmp_path / "net.onnx", out), batch=None)
    assert graph.tensors[out].shape == (2, 3)
    x = np.array([0.1, 0.4, -9, 9, 1, 1.1], np.float32)
    np.testing.assert_array_equal(run_float(graph, {"input": x})[out], [[0, -1.5, 1], [0.5, 9, 1]])


def test_another_batch(tmp_path: Path) -> None:
    builder = ModelBuilder(("batch", 3))
    graph = load_model(builder.save(tmp_path / "net.onnx", builder.add("Relu", "input")), batch=4)
    assert graph.tensors["relu0_out"].shape == (4, 3)


def test_external_weights(tmp_path: Path) -> None:
    builder = ModelBuilder((1, 30))
    out = builder.add("MatMul", "input", builder.weights(30, 40))
    model = onnx.shape_inference.infer_shapes(builder.model(out))
    path = tmp_path / "net.onnx"
    onnx.save(model, str(path), save_as_external_data=True, location="net.data", size_threshold=0)
    graph = load_model(path)
    feeds = random_feeds(graph, 2)
    np.testing.assert_allclose(run_float(graph, feeds)[out], run_onnxruntime(builder.model(out), feeds)[0], rtol=1e-4)
    (tmp_path / "net.data").unlink()
    with pytest.raises(CompileError, match=r"net\.onnx: "):
        load_model(path)


def test_refusals_are_one_line(tmp_path: Path) -> None:
    builder = ModelBuilder((1, 3))
    out = builder.add("Expand", "input", builder.constant([1, 3], np.int64), name="wide")
    with pytest.raises(UnsupportedModel, match="wide") as caught:
        load_model(builder.save(tmp_path / "net.onnx", out))
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_end_in_a_refusal_or_a_graph(tmp_path: Path, seed: int) -> None:
    """Random bytes change; whatever becomes of the model, no other exception than a refusal comes out."""
    builder = ModelBuilder((1, 2, 5, 5))
    norm = [builder.constant(np.ones(3)) for _ in range(4)]
    x = builder.add("BatchNormalization", builder.conv("input", 3, 2, 2, 2), *norm)
    out = builder.add("MatMul", builder.add("Flatten", builder.add("Relu", x)), builder.weights(48, 2))
    path = builder.save(tmp_path / "net.onnx", out)
    whole, rng, refused = path.read_bytes(), np.random.default_rng(seed), 0
    for _ in range(100):
        damaged = np.frombuffer(whole, np.uint8).copy()
        damaged[rng.integers(0, len(damaged), 2)] = rng.integers(0, 256, 2)
        path.write_bytes(damaged.tobytes())
        try:
            load_model(path)
        except CompileError:
            refused += 1
    assert 10 < refused < 100


@pytest.mark.zoo
@pytest.mark.skipif(not ZOO, reason="SYSTOLITH_ZOO is not set")
@pytest.mark.parametrize("name", FLOATS)
def test_zoo_agrees_with_onnxruntime(name: str) -> None:
    path = Path(ZOO) / "float" / f"{name}.onnx"
    graph = load_model(path)
    feeds = random_feeds(graph, 2)
    expected = run_onnxruntime(onnx.load(str(path)), feeds)[0]
    got = run_float(graph, feeds)["output"]
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4 * float(np.abs(expected).max()))
