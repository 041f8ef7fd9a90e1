# SPDX-License-Identifier: Apache-2.0
"""One spelling for each operator, whatever the operator set it was exported with.

============================================  ==================================================================
ONNX                                          normalised
============================================  ==================================================================
Conv, ConvTranspose                           the same, all attributes explicit (see :mod:`.windows`,
                                              :mod:`.transposed`); on (N, C, L) between two reshapes (:mod:`.lift`)
MaxPool, GlobalMaxPool                        MaxPool, explicit geometry; ceil_mode became pads
AveragePool, GlobalAveragePool                AveragePool, the same, and ``count_include_pad``
Gemm                                          Gemm with ``alpha``, ``beta``, ``transA``, ``transB``
MatMul, Relu                                  themselves, without attributes
elementwise operators                         see :mod:`.normalise_elementwise`
BatchNormalization                            the same with ``epsilon``, inference only
Clip (attributes or inputs)                   Clip with ``min``, ``max`` (infinite where left out)
Flatten, Reshape, Squeeze, Unsqueeze          Reshape with ``shape``, the static result, batch included
Identity, Dropout                             Identity
Softmax, LogSoftmax                           the same with ``axis`` counted from the front
QuantizeLinear, DequantizeLinear              the same with ``axis`` counted from the front; ``dtype`` where
                                              ``output_dtype`` is given, ``block_size`` where there are blocks,
                                              ``ties_with_zero`` from :mod:`.qonnx`
ReduceMean, ArgMax                            see :mod:`.normalise_reduce`
Concat, Slice, Split, Pad, Transpose          see :mod:`.normalise_movement`
Resize, Upsample                              see :mod:`.normalise_resize`
============================================  ==================================================================
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import onnx
from numpy.typing import NDArray

from ..ir import Node
from .lift import Rule, on_images
from .normalise_elementwise import ELEMENTWISE_RULES
from .normalise_movement import MOVEMENT_RULES
from .normalise_reduce import argmax, reduce_mean
from .normalise_resize import resize
from .raw import Expansion, RawNode
from .transposed import conv_transpose
from .windows import conv, global_pool, pool

__all__ = ["normalise"]


def normalise(raw: RawNode) -> Expansion:
    """The normalised nodes; raises UnsupportedModel where the node uses what cannot be done exactly."""
    rule = _RULES.get(raw.op)
    if rule is None:
        raise raw.refuse(
            f"operator {raw.op} on activations is not supported",
            "the same on constants, which are computed at import",
            "replace the layer before exporting",
        )
    result = rule(raw)
    return result if isinstance(result, Expansion) else Expansion((result,))


def _plain(raw: RawNode) -> Node:
    return raw.node()


def _matmul(raw: RawNode) -> Node:
    """A product of matrices; a batched right operand of rank 2 would be summed over its batch."""
    raw.keep_broadcast()
    weights = raw.inputs[1] in raw.parameters
    raw.keep_batch(weights or len(raw.shape(raw.inputs[1])) > 2, "it sums over axis 0 of its second operand")
    return raw.node()


def _gemm(raw: RawNode) -> Node:
    given = raw.attributes
    turned = bool(given.get("transA", 0))
    if turned and raw.batched and raw.inputs[0] not in raw.parameters:
        if raw.shape(raw.inputs[0]) != (1, 1):
            raise raw.refuse("transA 1 transposes the activations", "transA 0")
        turned = False
    return raw.node(
        {
            "alpha": float(given.get("alpha", 1.0)),
            "beta": float(given.get("beta", 1.0)),
            "transA": turned,
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
    if raw.batched and raw.inputs[0] not in raw.parameters and before[:1] != after[:1]:
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
    raw.keep_batch(axis != 0, "it runs over axis 0")
    return raw.node({"axis": axis})


def _quantiser(raw: RawNode) -> Node:
    block = int(raw.attributes.get("block_size", 0))
    if block and raw.batched:
        raise raw.refuse(f"block_size {block}", "one scale per tensor or per axis")
    if raw.op == "QuantizeLinear":
        _check_codes(raw, raw.constant(2))
    elif raw.batched:
        _check_codes(raw, raw.constants.get(raw.inputs[0]))
    (axis,) = raw.axes([raw.attributes.get("axis", 1)], max(len(raw.shape(raw.inputs[0])), 1))
    # the integers' type where no zero point says it (opset 21); 0 stands for left out
    code = int(raw.attributes.get("output_dtype", 0))
    extra: dict[str, Any] = {"dtype": onnx.helper.tensor_dtype_to_np_dtype(code).name} if code else {}
    extra |= {"block_size": block} if block else {}
    extra |= {"ties_with_zero": True} if raw.attributes.get("ties_with_zero", 0) else {}
    return raw.node({"axis": axis, **extra})


def _check_codes(raw: RawNode, codes: NDArray[Any] | None) -> None:
    """Quantised values must be integers."""
    if codes is not None and not codes.dtype.name.lstrip("u").startswith("int"):
        raise raw.refuse(f"values of type {codes.dtype.name}", "integers of 2 to 16 bits")


_RULES: Mapping[str, Rule] = {
    **ELEMENTWISE_RULES,
    "ArgMax": argmax,
    "AveragePool": on_images(pool),
    "BatchNormalization": _batch_norm,
    "Clip": _clip,
    "Conv": on_images(conv),
    "ConvTranspose": on_images(conv_transpose),
    "DequantizeLinear": _quantiser,
    "Dropout": _dropout,
    "Flatten": _reshape,
    "Gemm": _gemm,
    "GlobalAveragePool": on_images(global_pool),
    "GlobalMaxPool": on_images(global_pool),
    "Identity": _plain,
    "MatMul": _matmul,
    "MaxPool": on_images(pool),
    "QuantizeLinear": _quantiser,
    "ReduceMean": reduce_mean,
    "Relu": _plain,
    "Reshape": _reshape,
    "Resize": resize,
    **dict.fromkeys(("LogSoftmax", "Softmax"), _softmax),
    "Squeeze": _reshape,
    "Unsqueeze": _reshape,
    "Upsample": resize,
    **MOVEMENT_RULES,
}
