# SPDX-License-Identifier: Apache-2.0
import numpy as np
import onnx
import pytest

from systolith.compiler.errors import ModelFileError, ShapeError, WeightError
from systolith.compiler.frontend.onnx_file import infer_shapes
from systolith.compiler.frontend.onnx_reader import read_graph
from systolith.compiler.interp import run_float
from tests.support.float_models import ModelBuilder, random_feeds, read, run_onnxruntime


def test_graph_describes_the_model() -> None:
    builder = ModelBuilder(("N", 3, 6, 6))
    graph = read(builder, builder.add("Relu", builder.conv("input", 4, 3, 3, 3)))
    assert (graph.name, graph.inputs, graph.outputs) == ("test", ("input",), ("relu1_out",))
    assert {name: tensor.shape for name, tensor in graph.tensors.items()} == {
        "input": (1, 3, 6, 6),
        "conv0_out": (1, 4, 4, 4),
        "relu1_out": (1, 4, 4, 4),
    }
    assert set(graph.constants) == {"c0", "c1"}


def test_dead_nodes_and_unused_inputs_go() -> None:
    builder = ModelBuilder((1, 3))
    builder.inputs.append(onnx.helper.make_tensor_value_info("spare", onnx.TensorProto.FLOAT, [1, 3]))
    builder.add("Gemm", "spare", builder.weights(3, 3))
    graph = read(builder, builder.add("Relu", "input"))
    assert [node.op for node in graph.nodes] == ["Relu"]
    assert graph.inputs == ("input",)


def test_initialisers_that_are_inputs_too() -> None:
    builder = ModelBuilder((1, 3))
    out = builder.add("MatMul", "input", builder.weights(3, 2))
    builder.inputs.append(onnx.helper.make_tensor_value_info("c0", onnx.TensorProto.FLOAT, [3, 2]))
    assert read(builder, out).inputs == ("input",)


def test_shared_weights() -> None:
    builder = ModelBuilder((1, 3, 5, 5))
    weight = builder.weights(3, 3, 1, 1)
    out = builder.add("Conv", builder.add("Conv", "input", weight), weight)
    graph = read(builder, out)
    feeds = random_feeds(graph, 2)
    expected = run_onnxruntime(builder.model(out), feeds)[0]
    np.testing.assert_allclose(run_float(graph, feeds)[out], expected, rtol=1e-4, atol=1e-5)


def test_node_names_become_unique() -> None:
    builder = ModelBuilder((1, 3))
    builder.add("Relu", "input", name="same")
    builder.add("Relu", "same_out", name="other")
    model = builder.model("other_out")
    model.graph.node[1].name = "same"
    assert [node.name for node in read_graph(infer_shapes(model), "g").nodes] == ["same", "same:other_out"]


def test_half_precision_is_widened() -> None:
    builder = ModelBuilder((1, 3))
    weight = builder.add("Cast", builder.constant(np.ones((3, 2)), np.float16), to=onnx.TensorProto.FLOAT)
    graph = read(builder, builder.add("MatMul", "input", weight))
    assert [value.dtype for value in graph.constants.values()] == [np.float32]


def test_integer_interfaces_are_noted() -> None:
    builder = ModelBuilder((1, 3))
    builder.inputs[0].type.tensor_type.elem_type = onnx.TensorProto.INT8
    out = builder.add("DequantizeLinear", "input", builder.constant(0.5))
    assert read(builder, out).integer_io == {"input"}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_refuses_weights_that_are_no_numbers(value: float) -> None:
    builder = ModelBuilder((1, 2))
    out = builder.add("MatMul", "input", builder.constant(np.array([[1.0, value], [0, 0]])), name="fc")
    expected = r"node 'fc' \(MatMul\): 1 of 4 elements of constant 'c0' are NaN or infinite"
    with pytest.raises(WeightError, match=expected):
        read(builder, out)


def test_refuses_shapes_that_depend_on_data() -> None:
    builder = ModelBuilder((1, 4))
    target = builder.add("Cast", builder.add("Squeeze", "input"), to=onnx.TensorProto.INT64)
    out = builder.add("Reshape", "input", target, name="r")
    with pytest.raises(ShapeError, match=r"the shape of tensor 'r_out' is dynamic; accepted: shapes that follow"):
        read_graph_without_normalising_first(builder, out)


def read_graph_without_normalising_first(builder: ModelBuilder, out: str) -> None:
    """The Reshape is met before the nodes that compute its shape, which would be refused for themselves."""
    model = infer_shapes(builder.model(out))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes[-1:])
    read_graph(model, "g")


def test_refuses_a_network_without_input() -> None:
    builder = ModelBuilder((1, 2))
    out = builder.add("Relu", builder.constant(np.ones((1, 1))))
    with pytest.raises(ModelFileError, match="is not computed by a node"):
        read(builder, out)


def test_refuses_an_output_that_is_the_input() -> None:
    builder = ModelBuilder((1, 2))
    builder.add("Relu", "input")
    with pytest.raises(ModelFileError, match="output 'input' is not computed by a node"):
        read(builder, "input")
