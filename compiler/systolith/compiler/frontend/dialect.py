# SPDX-License-Identifier: Apache-2.0
"""Rewrite the nodes of a dialect into standard operators, so that one importer serves all quantised networks.

Before: a checked ONNX model, shapes not yet inferred. After: each node of the dialect is DequantizeLinear, the float
operator, and QuantizeLinear. Tensors keep their names; those in between are named after the node's output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from ..errors import UnsupportedModel
from .operators import node_name
from .opset import opset_version

__all__ = ["Rewriter", "Rule", "Rules", "rewrite_dialect"]

Array = NDArray[Any]


@dataclass
class Rewriter:
    """One node of a dialect and what takes its place."""

    node: onnx.NodeProto
    constants: Mapping[str, Array]
    """Initialisers and Constant nodes of the model."""
    opset: int
    """Version of the standard operator set."""
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initialisers: list[onnx.TensorProto] = field(default_factory=list)

    def refuse(self, problem: str, accepted: str, advice: str = "") -> UnsupportedModel:
        """The refusal of this node."""
        name, op = node_name(self.node), self.node.op_type
        return UnsupportedModel(node=name, op=op, problem=problem, accepted=accepted, advice=advice)

    def given(self, index: int) -> str:
        """The name of an input, empty if it is left out."""
        return self.node.input[index] if index < len(self.node.input) else ""

    def constant(self, index: int) -> Array:
        """The value of a constant input; raises UnsupportedModel if it is computed or left out."""
        name = self.given(index)
        if name not in self.constants:
            problem = f"input {index} ({name!r}) is computed by the network" if name else f"input {index} is left out"
            raise self.refuse(problem, "a constant", "quantise statically, with calibration data")
        return self.constants[name]

    def attributes(self, *without: str) -> dict[str, Any]:
        """The node's attributes but those named."""
        return {
            entry.name: helper.get_attribute_value(entry) for entry in self.node.attribute if entry.name not in without
        }

    def store(self, role: str, value: Array) -> str:
        """A new constant; its name."""
        name = f"{self.node.output[0]}:{role}"
        self.initialisers.append(numpy_helper.from_array(value, name))
        return name

    def add(self, role: str, op: str, inputs: list[str], **attributes: Any) -> str:
        """A new node; the name of its output.

        ``role`` "" makes the result of the node that is rewritten, "result" computes it; both have the node's name.
        """
        output = f"{self.node.output[0]}:{role}" if role else self.node.output[0]
        name = node_name(self.node) if role in ("", "result") else f"{node_name(self.node)}:{role}"
        self.nodes.append(helper.make_node(op, inputs, [output], name=name, **attributes))
        return output


Rule = Callable[[Rewriter], None]
Rules = Mapping[tuple[str, str], Rule]
"""By domain and operator."""


def rewrite_dialect(
    model: onnx.ModelProto, rules: Rules, refused: list[UnsupportedModel] | None = None
) -> onnx.ModelProto:
    """A copy in which every node that has a rule is rewritten; the model itself if there is none.

    Raises:
        UnsupportedModel: a node that cannot be written in standard operators exactly. With a list ``refused`` it is
            appended there instead, and the node stays.
    """
    if not any((node.domain, node.op_type) in rules for node in model.graph.node):
        return model
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:]
    known = _constants(model.graph)
    for node in model.graph.node:
        rewriter = _rewritten(Rewriter(node, known, opset_version(model)), rules, refused)
        result.graph.node.extend(rewriter.nodes)
        result.graph.initializer.extend(rewriter.initialisers)
    return result


def _rewritten(rewriter: Rewriter, rules: Rules, refused: list[UnsupportedModel] | None) -> Rewriter:
    node = rewriter.node
    rule = rules.get((node.domain, node.op_type))
    if rule is None:
        return replace(rewriter, nodes=[node])
    try:
        rule(rewriter)
    except UnsupportedModel as error:
        if refused is None:
            raise
        refused.append(error)
        return Rewriter(node, rewriter.constants, rewriter.opset, [node])
    return rewriter


def _constants(graph: onnx.GraphProto) -> dict[str, Array]:
    known = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute:
            known[node.output[0]] = _value(node.attribute[0])
    return known


def _value(attribute: onnx.AttributeProto) -> Array:
    """The value of a Constant node, whichever attribute holds it."""
    value = helper.get_attribute_value(attribute)
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype.kind == "f" else array
