# SPDX-License-Identifier: Apache-2.0
"""Evaluate what is constant in an ONNX model: Constant nodes, shape arithmetic of exporters, computed weights.

Before: ``Constant``, ``Shape`` of a static tensor, or any accepted operator whose operands are all constant.
After: an initialiser with the value. DequantizeLinear of a constant stays: it says how the weight is quantised.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from ..errors import UnsupportedModel
from .onnx_file import infer_shapes
from .operators import COMPUTED, FOLDED, node_name
from .opset import opset_version

__all__ = ["fold_constants", "static_shapes", "static_types"]

Arrays = dict[str, NDArray[Any]]


def static_types(model: onnx.ModelProto) -> dict[str, int]:
    """Element types of all tensors that have one, as ``onnx.TensorProto`` numbers them."""
    graph = model.graph
    values = (*graph.input, *graph.value_info, *graph.output)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return types | {tensor.name: tensor.data_type for tensor in graph.initializer}


def static_shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Shapes of all tensors that have a static one: inputs, inferred values, outputs, initialisers."""
    graph = model.graph
    shapes: dict[str, tuple[int, ...]] = {}
    for value in (*graph.input, *graph.value_info, *graph.output):
        tensor = value.type.tensor_type
        if tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in tensor.shape.dim):
            shapes[value.name] = tuple(dim.dim_value for dim in tensor.shape.dim)
    shapes.update({tensor.name: tuple(tensor.dims) for tensor in graph.initializer})
    return shapes


def fold_constants(model: onnx.ModelProto) -> tuple[onnx.ModelProto, Arrays]:
    """The model without constant nodes, shapes inferred again, and its constants by name (folded ones included).

    Raises:
        UnsupportedModel: a constant expression that cannot be evaluated.
    """
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    while True:
        rest, folded = _sweep(model, constants)
        if not folded:
            return model, constants
        constants |= folded
        model = infer_shapes(_replace(model, rest, folded))


def _sweep(model: onnx.ModelProto, known: Arrays) -> tuple[list[onnx.NodeProto], Arrays]:
    """One walk through the nodes: those that stay, and the values of those that do not."""
    shapes = static_shapes(model)
    rest: list[onnx.NodeProto] = []
    folded: Arrays = {}
    for node in model.graph.node:
        feeds = _operands(node, {**known, **folded}, shapes)
        if feeds is None:
            rest.append(node)
        else:
            folded |= _evaluate(node, feeds, opset_version(model))
    return rest, folded


def _operands(node: onnx.NodeProto, known: Arrays, shapes: Mapping[str, tuple[int, ...]]) -> Arrays | None:
    """The constant operands of a node, None if it is not constant."""
    if node.op_type == "Shape" and node.input[0] in shapes:
        return {node.input[0]: np.zeros(shapes[node.input[0]], np.float32)}
    names = [name for name in node.input if name]
    foldable = node.op_type in (*COMPUTED, *FOLDED)
    if not foldable or not all(name in known for name in names):
        return None
    return {name: known[name] for name in names}


def _evaluate(node: onnx.NodeProto, feeds: Arrays, opset: int) -> Arrays:
    outputs = [name for name in node.output if name]
    # before 14 the reference normalises by the operand's own statistics instead of those given
    opset = max(opset, 15) if node.op_type == "BatchNormalization" else opset
    try:
        results = ReferenceEvaluator(_single(node, feeds, outputs, opset)).run(None, feeds)
    except (ArithmeticError, LookupError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        raise UnsupportedModel(
            node=node_name(node),
            op=node.op_type,
            problem=f"its operands are constant but it cannot be evaluated ({error})",
            accepted="constant expressions that the onnx package's reference evaluator computes",
            advice="simplify the model before exporting",
        ) from error
    return {name: np.asarray(value) for name, value in zip(outputs, results, strict=True)}


def _single(node: onnx.NodeProto, feeds: Arrays, outputs: list[str], opset: int) -> onnx.ModelProto:
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in feeds.items()
    ]
    results = [onnx.helper.make_empty_tensor_value_info(name) for name in outputs]
    graph = onnx.helper.make_graph([node], "constant", values, results)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])


def _replace(model: onnx.ModelProto, rest: list[onnx.NodeProto], folded: Arrays) -> onnx.ModelProto:
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:]
    result.graph.node.extend(rest)
    result.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in folded.items())
    return result
