# SPDX-License-Identifier: Apache-2.0
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from systolith.compiler.elementwise import BINARY, UNARY
from systolith.compiler.errors import UnsupportedModel
from systolith.compiler.frontend.normalise_elementwise import ELEMENTWISE_RULES
from systolith.compiler.interp import run_float
from tests.support.float_models import ModelBuilder, read, run_onnxruntime

NEWEST = min(onnx.defs.onnx_opset_version(), 21)


def since(op: str) -> int:
    """The first operator set that has the operator."""
    return min(schema.since_version for schema in onnx.defs.get_all_schemas_with_history() if schema.name == op)


def test_every_elementwise_operator_has_a_rule() -> None:
    assert {*ELEMENTWISE_RULES} >= {*UNARY, *BINARY}


@pytest.mark.parametrize("op", UNARY)
def test_attributes_become_explicit(op: str) -> None:
    builder = ModelBuilder((1, 3), opset=max(since(op), 9))
    (node,) = read(builder, builder.add(op, "input")).nodes
    assert (node.op, node.attributes, node.origin) == (op, UNARY[op].defaults, (op,))


@pytest.mark.parametrize("op", ["LeakyRelu", "PRelu", "Div", "Sub", "Sigmoid", "Max"])
@pytest.mark.parametrize("opset", [9, 13, NEWEST])
def test_every_operator_set(op: str, opset: int) -> None:
    builder = ModelBuilder((1, 3, 2, 2), opset=opset)
    second = (builder.constant(builder.rng.uniform(0.5, 2, (3, 1, 1))),) if op in BINARY else ()
    out = builder.add(op, "input", *second)
    x = builder.rng.normal(0, 2, (2, 3, 2, 2)).astype(np.float32)
    got = run_float(read(builder, out), {"input": x})[out]
    np.testing.assert_allclose(got, run_onnxruntime(builder.model(out), {"input": x})[0], rtol=1e-6)


@pytest.mark.parametrize("op", ["Max", "Mean", "Min", "Sum"])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_any_number_of_operands(op: str, count: int) -> None:
    builder = ModelBuilder((1, 3, 2, 2))
    shapes = [(3, 1, 1), (1, 3, 2, 2), (2,)]
    out = builder.add(op, "input", *(builder.weights(*shape) for shape in shapes[: count - 1]), name="n")
    x = builder.rng.normal(0, 1, (2, 3, 2, 2)).astype(np.float32)
    graph = read(builder, out)
    assert (graph.nodes[-1].name, graph.nodes[-1].outputs) == ("n", (out,))
    got = run_float(graph, {"input": x})[out]
    np.testing.assert_allclose(got, run_onnxruntime(builder.model(out), {"input": x})[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 3), (2, 1)])
def test_a_constant_that_adds_samples_is_refused(shape: tuple[int, ...]) -> None:
    builder = ModelBuilder((1, 3))
    out = builder.add("Mul", "input", builder.weights(*shape), name="wide")
    with pytest.raises(
        UnsupportedModel, match=r"node 'wide' \(Mul\): it broadcasts 'input' of shape \[1, 3\] to \[2, 3\]"
    ):
        read(builder, out)


def test_gelu_s_text_is_text() -> None:
    builder = ModelBuilder((1, 3), opset=20)
    (node,) = read(builder, builder.add("Gelu", "input", approximate="tanh")).nodes
    assert node.attributes == {"approximate": "tanh"}


@pytest.mark.parametrize("op", ["Div", "Abs"])
def test_integers_are_refused(op: str) -> None:
    builder = ModelBuilder((1, 3))
    builder.inputs = [helper.make_tensor_value_info("input", TensorProto.INT32, [1, 3])]
    second = (builder.constant(2, np.int32),) if op in BINARY else ()
    out = builder.add("Cast", builder.add(op, "input", *second, name="whole"), to=TensorProto.FLOAT)
    expected = rf"node 'whole' \({op}\): it computes with int32 tensors; accepted: float tensors; cast to float"
    with pytest.raises(UnsupportedModel, match=expected):
        read(builder, out)
