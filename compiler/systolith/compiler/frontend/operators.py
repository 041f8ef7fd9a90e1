# SPDX-License-Identifier: Apache-2.0
"""Which ONNX operators the front ends accept at all; what they accept of each is said where it is normalised."""

from __future__ import annotations

import onnx

from ..errors import UnsupportedModel

__all__ = ["COMPUTED", "FOLDED", "QUANTISERS", "check_operators", "node_name"]

COMPUTED = (
    "Add",
    "ArgMax",
    "AveragePool",
    "BatchNormalization",
    "Clip",
    "Concat",
    "Conv",
    "ConvTranspose",
    "Dropout",
    "Flatten",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Identity",
    "MatMul",
    "MaxPool",
    "Pad",
    "ReduceMean",
    "Relu",
    "Reshape",
    "Resize",
    "Slice",
    "Softmax",
    "Split",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
    "Upsample",
)
"""Operators on activations."""

QUANTISERS = ("DequantizeLinear", "QuantizeLinear")
"""The operators that make a network of the QDQ dialect."""

FOLDED = (
    "Cast",
    "Constant",
    "ConstantOfShape",
    "Div",
    "Expand",
    "Gather",
    "Mul",
    "Neg",
    "Range",
    "Shape",
    "Sqrt",
    "Sub",
)
"""Operators that are only computed here, on constants; like :data:`COMPUTED` where all operands are constant."""


def node_name(node: onnx.NodeProto) -> str:
    """The node's name, or its first output's where the exporter gave it none."""
    return node.name or next((name for name in node.output if name), node.op_type)


def check_operators(model: onnx.ModelProto) -> None:
    """Raise UnsupportedModel for the first node whose operator no front end knows."""
    known = {*COMPUTED, *QUANTISERS, *FOLDED}
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx") or node.op_type not in known:
            raise _unsupported(node)


def _unsupported(node: onnx.NodeProto) -> UnsupportedModel:
    domain = f" of domain {node.domain!r}" if node.domain else ""
    return UnsupportedModel(
        node=node_name(node),
        op=node.op_type,
        problem=f"operator {node.op_type}{domain} is not supported",
        accepted=", ".join((*COMPUTED, *QUANTISERS)) + f" (and on constants {', '.join(FOLDED)})",
        advice="replace the layer before exporting",
    )
