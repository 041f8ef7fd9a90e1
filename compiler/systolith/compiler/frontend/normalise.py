# SPDX-License-Identifier: Apache-2.0
"""One spelling for each operator, whatever the operator set it was exported with.

============================================  ==================================================================
ONNX                                          normalised
============================================  ==================================================================
Conv                                          Conv, all attributes explicit (see :mod:`.windows`)
MaxPool, GlobalMaxPool                        MaxPool, explicit geometry; ceil_mode became pads
AveragePool, GlobalAveragePool                AveragePool, the same, and ``count_include_pad``
Gemm                                          Gemm with ``alpha``, ``beta``, ``transA``, ``transB``
MatMul, Add, Relu                             themselves, without attributes
BatchNormalization                            the same with ``epsilon``, inference only
Clip (attributes or inputs)                   Clip with ``min``, ``max`` (infinite where left out)
Flatten, Reshape, Squeeze, Unsqueeze          Reshape with ``shape``, the static result, batch included
Identity, Dropout                             Identity
Softmax                                       Softmax with ``axis`` counted from the front
QuantizeLinear, DequantizeLinear              the same with ``axis`` counted from the front; ``dtype`` where
                                              ``output_dtype`` is given
============================================  ==================================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import onnx

from ..ir import Node
from .raw import RawNode
from .windows import conv, global_pool, pool

__all__ = ["normalise"]


def normalise(raw: RawNode) -> Node:
    """The normalised node; raises UnsupportedModel where the node uses what cannot be done exactly."""
    rule = _RULES.get(raw.op)
    if rule is None:
        raise raw.refuse(
            f"operator {raw.op} on activations is not supported",
            "the same on constants, which are computed at import",
            "replace the layer before exporting",
        )
    return rule(raw)


def _plain(raw: RawNode) -> Node:
    return raw.node()


def _gemm(raw: RawNode) -> Node:
    given = raw.attributes
    return raw.node(
        {
            "alpha": float(given.get("alpha", 1.0)),
            "beta": float(given.get("beta", 1.0)),
            "transA": bool(given.get("transA", 0)),
            "transB": bool(given.get("transB", 0)),
        }
    )


def _batch_norm(raw: RawNode) -> Node:
    if raw.attributes.get("training_mode", 0):
        raise raw.refuse("training_mode 1", "a network exported for inference", "call model.eval() before the export")
    return raw.node({"epsilon": float(raw.attributes.get("epsilon", 1e-5))})


def _clip(raw: RawNode) -> Node:
    low, high = raw.attributes.get("min"), raw.attributes.get("max")
    if raw.opset >= 11:
        low, high = raw.scalar(1), raw.scalar(2)
    bounds = {"min": -math.inf if low is None else float(low), "max": math.inf if high is None else float(high)}
    if not bounds["min"] < bounds["max"]:
        raise raw.refuse(f"bounds {bounds['min']:g}..{bounds['max']:g}", "min below max")
    return raw.node(bounds, inputs=1)


def _reshape(raw: RawNode) -> Node:
    before, after = raw.shape(raw.inputs[0]), raw.shape(raw.outputs[0])
    if not before or not after or before[0] != after[0]:
        raise raw.refuse(
            f"it turns {list(before)} into {list(after)}",
            "reshapes that keep the batch axis",
            "reshape to (batch, ...) in the model",
        )
    return raw.node({"shape": after}, op="Reshape", inputs=1)


def _dropout(raw: RawNode) -> Node:
    training = raw.constant(2)
    if training is not None and bool(training.any()):
        raise raw.refuse(
            "training_mode true", "a network exported for inference", "call model.eval() before the export"
        )
    return raw.node(op="Identity", inputs=1)


def _softmax(raw: RawNode) -> Node:
    shape = raw.shape(raw.inputs[0])
    (axis,) = raw.axes([raw.attributes.get("axis", -1 if raw.opset >= 13 else 1)], len(shape))
    # Before opset 13 Softmax runs over all axes from `axis` on; the same thing where the others have one element.
    if raw.opset < 13 and any(size != 1 for size in shape[axis + 1 :]):
        if math.prod(shape[axis:-1]) != 1:
            raise raw.refuse(f"it runs over axes {axis}.. of {list(shape)}", "one axis with more than one element")
        axis = len(shape) - 1
    return raw.node({"axis": axis})


def _quantiser(raw: RawNode) -> Node:
    if raw.attributes.get("block_size", 0):
        raise raw.refuse(f"block_size {raw.attributes['block_size']}", "one scale per tensor or per axis")
    (axis,) = raw.axes([raw.attributes.get("axis", 1)], max(len(raw.shape(raw.inputs[0])), 1))
    # the integers' type where no zero point says it (opset 21); 0 stands for left out
    code = int(raw.attributes.get("output_dtype", 0))
    extra = {"dtype": onnx.helper.tensor_dtype_to_np_dtype(code).name} if code else {}
    return raw.node({"axis": axis, **extra})


_RULES: Mapping[str, Callable[[RawNode], Node]] = {
    "Add": _plain,
    "AveragePool": pool,
    "BatchNormalization": _batch_norm,
    "Clip": _clip,
    "Conv": conv,
    "DequantizeLinear": _quantiser,
    "Dropout": _dropout,
    "Flatten": _reshape,
    "Gemm": _gemm,
    "GlobalAveragePool": global_pool,
    "GlobalMaxPool": global_pool,
    "Identity": _plain,
    "MatMul": _plain,
    "MaxPool": pool,
    "QuantizeLinear": _quantiser,
    "Relu": _plain,
    "Reshape": _reshape,
    "Softmax": _softmax,
    "Squeeze": _reshape,
    "Unsqueeze": _reshape,
}
