# SPDX-License-Identifier: Apache-2.0
"""Which ONNX operators the front ends accept at all; what they accept of each is said where it is normalised."""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from ..elementwise import BINARY, UNARY
from ..errors import UnsupportedModel

__all__ = [
    "COMPUTED",
    "DIALECTS",
    "ELEMENTWISE",
    "FOLDED",
    "QONNX_DOMAINS",
    "QUANTISERS",
    "check_operators",
    "name_nodes",
    "node_name",
    "unsupported_operators",
]

ELEMENTWISE = tuple(sorted({*UNARY, *BINARY, "Mean", "Sum"}))
"""Functions of each element of a tensor, or of the elements of several at one place."""

_LAYERS = (
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
    "LogSoftmax",
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

COMPUTED = tuple(sorted((*ELEMENTWISE, *_LAYERS)))
"""Operators on activations."""

QUANTISERS = ("DequantizeLinear", "QuantizeLinear")
"""The operators that make a network of the QDQ dialect."""

FOLDED = (
    "Cast",
    "Constant",
    "ConstantOfShape",
    "Expand",
    "Gather",
    "Range",
    "Shape",
)
"""Operators that are only computed here, on constants; like :data:`COMPUTED` where all operands are constant."""


QONNX_DOMAINS = ("qonnx.custom_op.general", "onnx.brevitas")
"""Domains of the QONNX dialect."""

DIALECTS: Mapping[str, tuple[str, ...]] = {
    "": ("QLinearConv", "QLinearMatMul"),
    "com.microsoft": (
        "DequantizeLinear",
        "QGemm",
        "QLinearAdd",
        "QLinearAveragePool",
        "QLinearConcat",
        "QLinearConv",
        "QLinearGlobalAveragePool",
        "QLinearLeakyRelu",
        "QLinearMul",
        "QLinearSigmoid",
        "QLinearSoftmax",
        "QuantizeLinear",
    ),
    **dict.fromkeys(QONNX_DOMAINS, ("BipolarQuant", "IntQuant", "Quant", "Trunc")),
}
"""Operators of the dialects QOperator and QONNX by domain, which are rewritten into the others."""

_DYNAMIC = ("ConvInteger", "DynamicQuantizeLinear", "DynamicQuantizeMatMul", "MatMulInteger", "MatMulIntegerToFloat")
"""Operators of dynamic quantisation, which is refused with that reason."""


def node_name(node: onnx.NodeProto) -> str:
    """The node's name, or its first output's where the exporter gave it none."""
    return node.name or next((name for name in node.output if name), node.op_type)


def name_nodes(graph: onnx.GraphProto) -> None:
    """Tell nodes of one name, which ONNX allows, apart by their outputs, as refusals and reports have to; in place."""
    seen: set[str] = set()
    for node in graph.node:
        while node_name(node) in seen:
            node.name = f"{node_name(node)}:{next((name for name in node.output if name), node.op_type)}"
        seen.add(node_name(node))


def check_operators(model: onnx.ModelProto) -> None:
    """Raise UnsupportedModel for the first node whose operator no front end knows."""
    for refusal in unsupported_operators(model):
        raise refusal


def unsupported_operators(model: onnx.ModelProto) -> list[UnsupportedModel]:
    """The refusals of all nodes whose operator no front end knows, in order."""
    return [_unsupported(node) for node in model.graph.node if not _is_known(node)]


def _is_known(node: onnx.NodeProto) -> bool:
    if node.op_type in DIALECTS.get(node.domain, ()):
        return True
    return node.domain in ("", "ai.onnx") and node.op_type in {*COMPUTED, *QUANTISERS, *FOLDED}


def _unsupported(node: onnx.NodeProto) -> UnsupportedModel:
    domain = f" of domain {node.domain!r}" if node.domain else ""
    dynamic = node.op_type in _DYNAMIC
    problem = f"operator {node.op_type}{domain} is not supported"
    if dynamic:
        problem = "its scale is computed at run time (dynamic quantisation)"
    accepted = ", ".join((*COMPUTED, *QUANTISERS)) + f" (and on constants {', '.join(FOLDED)})"
    return UnsupportedModel(
        node=node_name(node),
        op=node.op_type,
        problem=problem,
        accepted="scales fixed at export" if dynamic else accepted,
        advice="quantise statically, with calibration data" if dynamic else "replace the layer before exporting",
    )
