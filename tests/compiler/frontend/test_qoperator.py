# SPDX-License-Identifier: Apache-2.0
"""Networks of the QOperator dialect against their QDQ form, double precision and onnxruntime."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from systolith.compiler.borders import engine_inputs, network_outputs
from systolith.compiler.errors import UnsupportedModel
from systolith.compiler.frontend.load import load_model
from systolith.compiler.frontend.onnx_file import infer_shapes
from systolith.compiler.frontend.operators import DIALECTS, QONNX_DOMAINS
from systolith.compiler.frontend.qoperator import RULES, expand_qoperator
from systolith.compiler.interp_int import run_integer
from systolith.compiler.ir import Graph
from systolith.compiler.lower import lower
from systolith.spec.arch import load_arch
from systolith.testbench.isa_model import IsaModel
from systolith.testbench.verify import run_model
from tests.support.float_models import ModelBuilder, run_onnxruntime
from tests.support.qdq_models import import_model, judge

SEED = 61


class Samples(CalibrationDataReader):
    """A few random inputs."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        rng = np.random.default_rng(SEED)
        self._samples = iter([{"input": rng.normal(0, 1, shape).astype(np.float32)} for _ in range(8)])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self._samples, None)


def network() -> tuple[ModelBuilder, str]:
    """Every layer that onnxruntime turns into an integer operator of its own, but those that need tables."""
    builder = ModelBuilder((1, 4, 8, 8), seed=SEED)
    x = builder.add("Relu", builder.conv("input", 8, 4, 3, 3, pads=[1, 1, 1, 1]))
    y = builder.add("Relu", builder.conv(x, 8, 1, 3, 3, pads=[1, 1, 1, 1], group=8))
    z = builder.add("MaxPool", builder.add("Add", x, y), kernel_shape=[2, 2], strides=[2, 2])
    z = builder.add("AveragePool", z, kernel_shape=[2, 2])
    z = builder.add("Flatten", builder.add("GlobalAveragePool", z))
    z = builder.add("Gemm", z, builder.weights(6, 8), builder.weights(6), transB=1)
    return builder, builder.add("MatMul", z, builder.weights(6, 5))


def quantised(folder: Path, form: QuantFormat, unsigned: bool = False) -> Path:
    logging.getLogger().setLevel(logging.ERROR)
    builder, output = network()
    source, target = builder.save(folder / "float.onnx", output), folder / f"{form.name}.onnx"
    kind = QuantType.QUInt8 if unsigned else QuantType.QInt8
    quantize_static(
        str(source), str(target), Samples((1, 4, 8, 8)), quant_format=form, per_channel=True, activation_type=kind
    )
    return target


def feeds(seed: int = SEED) -> dict[str, NDArray[np.float32]]:
    return {"input": np.random.default_rng(seed).normal(0, 1, (1, 4, 8, 8)).astype(np.float32)}


@pytest.fixture(scope="module", params=[False, True], ids=["int8", "uint8"])
def qoperator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    folder = tmp_path_factory.mktemp("qoperator")
    yield quantised(folder, QuantFormat.QOperator, request.param), quantised(folder, QuantFormat.QDQ, request.param)


def codes(graph: Graph) -> NDArray[np.int64]:
    return np.asarray(run_integer(graph, engine_inputs(graph, feeds()))[graph.outputs[0]])


def test_the_file_is_of_the_dialect(qoperator: tuple[Path, Path]) -> None:
    used = {(node.domain, node.op_type) for node in onnx.load(qoperator[0]).graph.node}
    assert used >= {
        ("", "QLinearConv"),
        ("", "QLinearMatMul"),
        *(("com.microsoft", f"QLinear{op}") for op in ("Add", "AveragePool", "GlobalAveragePool")),
        ("com.microsoft", "QGemm"),
    }


def test_integers_are_those_of_the_qdq_form(qoperator: tuple[Path, Path]) -> None:
    ours, qdq = (load_model(path) for path in qoperator)
    assert [node.op for node in ours.nodes] == [node.op for node in qdq.nodes]
    assert np.array_equal(codes(ours), codes(qdq))


def test_every_layer_is_within_one_lsb_of_double_precision(qoperator: tuple[Path, Path]) -> None:
    model = infer_shapes(expand_qoperator(onnx.load(qoperator[0])))
    judgements = list(judge(model, import_model(model), feeds()))
    assert len(judgements) == 7
    for judgement in judgements:
        assert judgement.distance <= 1, judgement.tensor


def test_results_are_close_to_onnxruntime(qoperator: tuple[Path, Path]) -> None:
    graph = load_model(qoperator[0])
    ours = network_outputs(graph, run_integer(graph, engine_inputs(graph, feeds())))
    theirs = run_onnxruntime(onnx.load(qoperator[0]), feeds())
    params = graph.tensors[graph.outputs[0]].qparams
    assert params is not None
    assert np.abs(ours[graph.outputs[0]] - theirs[0]).max() <= 2 * params.scale * 1.001


def test_the_engine_computes_it(qoperator: tuple[Path, Path]) -> None:
    graph = load_model(qoperator[0])
    program = lower(graph, load_arch("4x4"))
    _, results = run_model(IsaModel(program), engine_inputs(graph, feeds()))
    assert np.array_equal(results[graph.outputs[0]], codes(graph))


# ---------------------------------------------------------------------- one operator at a time


Inputs = list[Any]


def single(op: str, inputs: Inputs, domain: str = "", **attributes: Any) -> onnx.ModelProto:
    """A model of one node; a string is a name (empty: left out), and "x" and "w" are inputs of int8."""
    names = [value if isinstance(value, str) else f"c{index}" for index, value in enumerate(inputs)]
    constants = [
        numpy_helper.from_array(np.asarray(value), f"c{index}")
        for index, value in enumerate(inputs)
        if not isinstance(value, str)
    ]
    values = [helper.make_tensor_value_info(n, TensorProto.INT8, (1, 2, 4, 4)) for n in ("x", "w") if n in names]
    node = helper.make_node(op, names, ["y"], name="layer", domain=domain, **attributes)
    output = helper.make_tensor_value_info("y", TensorProto.INT8, None)
    graph = helper.make_graph([node], "one", values, [output], constants)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


STEP, ZERO = np.float32(0.05), np.int8(3)
GRID: Inputs = [np.asarray(STEP), np.asarray(ZERO)]


def test_a_convolution_of_integer_input_with_a_bias() -> None:
    rng = np.random.default_rng(SEED)
    weight = rng.integers(-127, 128, (3, 2, 3, 3)).astype(np.int8)
    scale, zeros = np.array([0.01, 0.02, 0.03], np.float32), np.zeros(3, np.int8)
    bias = np.array([1000, -2000, 5], np.int32)
    model = single("QLinearConv", ["x", *GRID, weight, scale, zeros, np.float32(0.9), ZERO, bias], pads=[1, 1, 0, 0])
    graph = import_model(expand_qoperator(model))
    assert graph.constant(graph.nodes[0].attributes["bias"]).tolist() == [1000, -2000, 5]
    x = rng.integers(-128, 128, (1, 2, 4, 4)).astype(np.int8)
    (theirs,) = run_onnxruntime(model, {"x": x})
    ours = run_integer(graph, engine_inputs(graph, {"x": x}))["y"]
    assert np.abs(ours - theirs).max() <= 1


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "expected"),
    [
        ("QLinearSigmoid", ["x", *GRID, np.float32(1 / 256), np.int8(-128)], {}, "QTable"),
        ("QLinearLeakyRelu", ["x", *GRID, *GRID], {"alpha": 0.25}, "QTable"),
        ("QLinearConcat", [*GRID, "x", *GRID, "x", *GRID], {"axis": 1}, "QMove"),
        ("QLinearMul", ["x", *GRID, np.full((2, 1, 1), 9, np.int8), *GRID, *GRID], {}, "QConv"),
    ],
)
def test_operators_beside_the_layers(op: str, inputs: Inputs, attributes: dict[str, Any], expected: str) -> None:
    model = single(op, inputs, "com.microsoft", **attributes)
    graph = import_model(expand_qoperator(model))
    assert [node.op for node in graph.nodes] == [expected]
    x = np.random.default_rng(SEED).integers(-128, 128, (1, 2, 4, 4)).astype(np.int8)
    (theirs,) = run_onnxruntime(model, {"x": x})
    ours = run_integer(graph, engine_inputs(graph, {"x": x}))["y"]
    assert np.abs(ours - theirs).max() <= 1


PROBABILITY: Inputs = [np.float32(1 / 256), np.int8(-128)]


@pytest.mark.parametrize(
    ("attributes", "axis"),
    [({"opset": 13, "axis": 1}, 1), ({"opset": 13}, 3), ({"opset": 12}, 3), ({"axis": -1}, 3), ({"opset": 17}, 3)],
)
def test_a_final_softmax(attributes: dict[str, Any], axis: int) -> None:
    model = expand_qoperator(single("QLinearSoftmax", ["x", *GRID, *PROBABILITY], "com.microsoft", **attributes))
    assert import_model(model).host_tail["y"][0] == ("Softmax" if axis == 1 else f"Softmax(axis={axis})")


def test_a_gemm_without_output_scale_gives_real_numbers() -> None:
    model = single("QGemm", ["x", *GRID, np.ones((4, 4), np.int8), *GRID], "com.microsoft", transB=1)
    assert [node.op_type for node in expand_qoperator(model).graph.node][-1] == "Gemm"


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "message"),
    [
        ("QLinearAdd", ["x", *GRID, "x", *GRID, np.float32(1), ""], {}, "its output's zero point is left out"),
        ("QLinearConv", ["x", "w", ZERO, "x", *GRID, *GRID], {}, r"input 1 \('w'\) is computed by the network"),
        ("QLinearAdd", ["x", *GRID, "x", *GRID], {}, "input 6 is left out; accepted: a constant"),
        (
            "QLinearAveragePool",
            ["x", *GRID, *GRID],
            {"channels_last": 1, "kernel_shape": [2, 2]},
            "channels_last 1; accepted: tensors in the order N, C, H, W",
        ),
        (
            "QLinearSoftmax",
            ["x", *GRID, *PROBABILITY],
            {"opset": 12, "axis": 1},
            "axis 1 as in operator set 12, in a model of operator set 13; accepted: axis -1, or",
        ),
        ("QLinearSoftmax", ["x", *GRID, *PROBABILITY], {"axis": 1}, "axis 1 without its attribute opset, in a model"),
    ],
)
def test_refusals(op: str, inputs: Inputs, attributes: dict[str, Any], message: str) -> None:
    model = single(op, inputs, "com.microsoft", **attributes)
    with pytest.raises(UnsupportedModel, match=rf"node 'layer' \({op}\): {message}"):
        expand_qoperator(model)


@pytest.mark.parametrize("op", ["ConvInteger", "MatMulInteger"])
def test_refuses_dynamic_quantisation_with_its_reason(op: str, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    model = single(op, ["x", np.ones((4, 4) if op == "MatMulInteger" else (2, 2, 1, 1), np.int8)])
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT32
    onnx.save(infer_shapes(model), path)
    with pytest.raises(UnsupportedModel, match=rf"\({op}\): its scale is computed at run time .* statically"):
        load_model(path)


def test_a_model_of_another_dialect_stays() -> None:
    builder, output = network()
    model = builder.model(output)
    assert expand_qoperator(model) is model


def test_the_operator_check_accepts_what_has_a_rule_and_nothing_else() -> None:
    assert {*RULES} == {(domain, op) for domain, ops in DIALECTS.items() if domain not in QONNX_DOMAINS for op in ops}
