# SPDX-License-Identifier: Apache-2.0
import logging
from pathlib import Path

import onnx
import pytest

from systolith.compiler.errors import ModelFileError, ShapeError, UnsupportedModel
from systolith.compiler.frontend.onnx_file import (
    OLDEST_OPSET,
    fix_batch,
    infer_shapes,
    read_model,
    real_inputs,
)
from tests.support.float_models import ModelBuilder


def relu(shape: tuple[int | str, ...] = (1, 3, 4, 4), opset: int = 17) -> ModelBuilder:
    builder = ModelBuilder(shape, opset=opset)
    builder.add("Relu", "input", name="relu")
    return builder


def test_reads_a_valid_file(tmp_path: Path) -> None:
    model = read_model(relu().save(tmp_path / "m.onnx", "relu_out"))
    assert [node.op_type for node in model.graph.node] == ["Relu"]


def test_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"m\.onnx: no such file; expected a complete binary"):
        read_model(tmp_path / "m.onnx")


@pytest.mark.parametrize("content", [b"", b"hello world\n" * 100, b"\x00" * 64, b"{}", b"PK\x03\x04 not a zip"])
def test_refuses_what_is_no_model(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="not an ONNX model, or cut short"):
        read_model(path)


@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_refuses_a_truncated_file(tmp_path: Path, share: float) -> None:
    path = relu().save(tmp_path / "m.onnx", "relu_out")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelFileError, match=r"m\.onnx: "):
        read_model(path)


@pytest.mark.parametrize("opset", [OLDEST_OPSET - 1, onnx.defs.onnx_opset_version() + 1])
def test_refuses_other_opsets(tmp_path: Path, opset: int) -> None:
    path = tmp_path / "m.onnx"
    model = relu().model("relu_out")
    model.opset_import[0].version = opset
    onnx.save(model, str(path))
    with pytest.raises(ModelFileError, match=f"operator set {opset}; accepted: {OLDEST_OPSET}"):
        read_model(path)


def test_refuses_an_unknown_operator_by_its_node(tmp_path: Path) -> None:
    builder = ModelBuilder((1, 3))
    builder.add("LSTM", "input", name="lstm_1")
    path = tmp_path / "m.onnx"
    onnx.save(builder.model("lstm_1_out"), str(path))
    with pytest.raises(
        UnsupportedModel, match=r"node 'lstm_1' \(LSTM\): operator LSTM is not supported; accepted: Abs,"
    ):
        read_model(path)


def test_refuses_what_the_checker_refuses(tmp_path: Path) -> None:
    builder = relu()
    builder.add("Relu", "nowhere", name="lost")
    path = tmp_path / "m.onnx"
    onnx.save(builder.model("lost_out"), str(path))
    with pytest.raises(ModelFileError, match="the ONNX checker refuses it: "):
        read_model(path)


def test_fixes_a_free_batch_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        model = fix_batch(relu(("N", 3, 4, 4)).model("relu_out"))
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1
    assert "input 'input': batch N fixed to 1" in caplog.text


def test_keeps_any_shape_when_told() -> None:
    model = relu((5, 3, 4, 4)).model("relu_out")
    assert fix_batch(model, None) == model
    assert fix_batch(model, 7).graph.input[0].type.tensor_type.shape.dim[0].dim_value == 7


@pytest.mark.parametrize("shape", [(1, 3, "H", 4), ("N", "C"), ("N",)])
def test_refuses_other_dynamic_dimensions(shape: tuple[int | str, ...]) -> None:
    with pytest.raises(ShapeError, match=r"input 'input': shape \[.*\] is dynamic; accepted: fixed sizes"):
        fix_batch(relu(shape).model("relu_out"))


def test_the_refusal_of_a_dynamic_shape_says_how_to_give_it(tmp_path: Path) -> None:
    path = relu(("N", 3, "height", 4)).save(tmp_path / "m.onnx", "relu_out")
    with pytest.raises(ShapeError, match=r"give them \(--fix-shape input=1x3xHx4 with numbers for the letters\)"):
        read_model(path)
    shape = read_model(path, shapes={"input": (1, 3, 8, 4)}).graph.output[0].type.tensor_type.shape
    assert [dim.dim_value for dim in shape.dim] == [1, 3, 8, 4]


def with_external_data(folder: Path) -> Path:
    builder = ModelBuilder((1, 3))
    product = builder.add("MatMul", "input", builder.weights(3, 500), name="fc")
    path = folder / "m.onnx"
    onnx.save(infer_shapes(builder.model(product)), path, save_as_external_data=True, location="weights.bin")
    return path


def test_reads_weights_stored_beside_the_model(tmp_path: Path) -> None:
    model = read_model(with_external_data(tmp_path))
    assert (tmp_path / "weights.bin").stat().st_size == 4 * 3 * 500
    assert onnx.numpy_helper.to_array(model.graph.initializer[0]).shape == (3, 500)


@pytest.mark.parametrize("size", [None, 100])
def test_refuses_missing_and_short_weights_beside_the_model(size: int | None, tmp_path: Path) -> None:
    path = with_external_data(tmp_path)
    data = tmp_path / "weights.bin"
    if size is None:
        data.unlink()
    else:
        data.write_bytes(data.read_bytes()[:size])
    with pytest.raises(
        ModelFileError, match=r"m\.onnx: the weights stored beside the model in weights.bin cannot be read"
    ):
        read_model(path)


@pytest.mark.parametrize("opset", range(OLDEST_OPSET, onnx.defs.onnx_opset_version() + 1))
def test_reads_every_operator_set(opset: int, tmp_path: Path) -> None:
    builder = ModelBuilder((1, 3, 6, 6), opset=opset)
    x = builder.add("Relu", builder.conv("input", 4, 3, 3, 3))
    x = builder.add("Flatten", builder.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]))
    x = builder.add("Softmax", builder.add("Gemm", x, builder.weights(16, 5), builder.weights(5)))
    read_model(builder.save(tmp_path / "m.onnx", x))


def test_refuses_contradicting_shapes() -> None:
    builder = ModelBuilder((1, 3))
    product = builder.add("MatMul", "input", builder.weights(4, 2), name="fc")
    with pytest.raises(ShapeError, match="graph 'test': shapes or types do not fit: .*fc"):
        infer_shapes(builder.model(product))


def test_initialisers_are_no_real_inputs() -> None:
    builder = ModelBuilder((1, 3, 4, 4))
    builder.conv("input", 2, 3, 3, 3)
    graph = builder.model("conv0_out").graph
    graph.input.add().name = "c0"
    assert [value.name for value in real_inputs(graph)] == ["input"]
