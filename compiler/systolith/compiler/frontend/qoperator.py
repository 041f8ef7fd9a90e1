# SPDX-License-Identifier: Apache-2.0
"""The QOperator dialect: layers that take and give integers, with scales and zero points as further inputs.

``QLinearConv(x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias)`` means exactly what ``DequantizeLinear,
Conv, QuantizeLinear`` mean, and becomes that; so do its relatives, those of the domain ``com.microsoft`` included. The
bias is an integer of scale ``x_scale * w_scale``.
"""

from __future__ import annotations

import numpy as np
import onnx

from ..errors import UnsupportedModel
from .dialect import Rewriter, Rule, Rules, rewrite_dialect

__all__ = ["RULES", "expand_qoperator"]

_MICROSOFT = "com.microsoft"

_LAYOUT = "channels_last"
"""An attribute of ``com.microsoft`` that the standard operators lack."""

_ONE_AXIS = 13
"""The first operator set whose Softmax runs over one axis; before, over all from that axis on."""


def expand_qoperator(model: onnx.ModelProto, refused: list[UnsupportedModel] | None = None) -> onnx.ModelProto:
    """The model with QDQ patterns in place of integer layers; else UnsupportedModel, raised or put into ``refused``."""
    return rewrite_dialect(model, RULES, refused)


def _real(rewriter: Rewriter, index: int, axis: int | None = None) -> str:
    """The real numbers behind inputs ``index`` (integers), ``index + 1`` (scale) and ``index + 2`` (zero point)."""
    names = [rewriter.given(at) for at in range(index, index + 3)]
    rewriter.constant(index + 1)
    extra = {} if axis is None else {"axis": axis}
    return rewriter.add(f"real{index}", "DequantizeLinear", names if names[2] else names[:2], **extra)


def _rounded(rewriter: Rewriter, value: str, index: int) -> None:
    """The node's result: ``value`` with the scale at input ``index`` and the zero point after it."""
    rewriter.constant(index)
    if not rewriter.given(index + 1):
        raise rewriter.refuse("its output's zero point is left out", "one, which also says the integers' type")
    rewriter.add("", "QuantizeLinear", [value, rewriter.given(index), rewriter.given(index + 1)])


def _attributes(rewriter: Rewriter) -> dict[str, object]:
    if rewriter.attributes().get(_LAYOUT, 0):
        raise rewriter.refuse("channels_last 1", "tensors in the order N, C, H, W", "do not optimise before exporting")
    return rewriter.attributes(_LAYOUT)


def _bias(rewriter: Rewriter, index: int, factor: float = 1.0) -> list[str]:
    """An integer bias in units of the products of inputs 0 and 3, if there is one."""
    name = rewriter.given(index)
    if not name:
        return []
    unit = np.float32(factor) * rewriter.constant(1).reshape(-1)[:1] * rewriter.constant(4)
    unit = unit.reshape(()) if unit.size == 1 else unit.reshape(-1)
    scale = rewriter.store("bias_scale", unit.astype(np.float32))
    return [rewriter.add("bias", "DequantizeLinear", [name, scale], axis=0)]


def _conv(rewriter: Rewriter) -> None:
    operands = [_real(rewriter, 0), _real(rewriter, 3, 0), *_bias(rewriter, 8)]
    _rounded(rewriter, rewriter.add("result", "Conv", operands, **_attributes(rewriter)), 6)


def _matmul(rewriter: Rewriter) -> None:
    operands = [_real(rewriter, 0), _real(rewriter, 3, 1)]
    _rounded(rewriter, rewriter.add("result", "MatMul", operands), 6)


def _gemm(rewriter: Rewriter) -> None:
    """``com.microsoft.QGemm``: without a scale of its output it gives real numbers."""
    given = _attributes(rewriter)
    axis = 0 if given.get("transB", 0) else 1
    bias = _bias(rewriter, 6, float(rewriter.attributes().get("alpha", 1.0)))
    operands = [_real(rewriter, 0), _real(rewriter, 3, axis), *bias]
    if rewriter.given(7):
        _rounded(rewriter, rewriter.add("result", "Gemm", operands, **given), 7)
    else:
        rewriter.add("", "Gemm", operands, **given)


def _binary(op: str) -> Rule:
    def rule(rewriter: Rewriter) -> None:
        _rounded(rewriter, rewriter.add("result", op, [_real(rewriter, 0), _real(rewriter, 3)]), 6)

    return rule


def _unary(op: str) -> Rule:
    def rule(rewriter: Rewriter) -> None:
        _rounded(rewriter, rewriter.add("result", op, [_real(rewriter, 0)], **_attributes(rewriter)), 3)

    return rule


def _softmax(rewriter: Rewriter) -> None:
    """``com.microsoft.QLinearSoftmax`` says itself which operator set's Softmax it means."""
    given = rewriter.attributes()
    axis, meant = int(given.get("axis", -1)), given.get("opset")
    if axis != -1 and (meant is None or (meant >= _ONE_AXIS) != (rewriter.opset >= _ONE_AXIS)):
        how = "without its attribute opset" if meant is None else f"as in operator set {meant}"
        problem = f"axis {axis} {how}, in a model of operator set {rewriter.opset}"
        raise rewriter.refuse(problem, f"axis -1, or both from {_ONE_AXIS} on, or both before")
    _rounded(rewriter, rewriter.add("result", "Softmax", [_real(rewriter, 0)], axis=axis), 3)


def _concat(rewriter: Rewriter) -> None:
    operands = [_real(rewriter, index) for index in range(2, len(rewriter.node.input), 3)]
    _rounded(rewriter, rewriter.add("result", "Concat", operands, **_attributes(rewriter)), 0)


def _quantiser(rewriter: Rewriter) -> None:
    """The same operator of the standard domain."""
    operands = [name for name in rewriter.node.input if name]
    rewriter.add("", rewriter.node.op_type, operands, **rewriter.attributes())


RULES: Rules = {
    ("", "QLinearConv"): _conv,
    ("", "QLinearMatMul"): _matmul,
    (_MICROSOFT, "QLinearConv"): _conv,
    (_MICROSOFT, "QGemm"): _gemm,
    (_MICROSOFT, "QLinearAdd"): _binary("Add"),
    (_MICROSOFT, "QLinearMul"): _binary("Mul"),
    (_MICROSOFT, "QLinearConcat"): _concat,
    (_MICROSOFT, "QLinearAveragePool"): _unary("AveragePool"),
    (_MICROSOFT, "QLinearGlobalAveragePool"): _unary("GlobalAveragePool"),
    (_MICROSOFT, "QLinearLeakyRelu"): _unary("LeakyRelu"),
    (_MICROSOFT, "QLinearSigmoid"): _unary("Sigmoid"),
    (_MICROSOFT, "QLinearSoftmax"): _softmax,
    (_MICROSOFT, "QuantizeLinear"): _quantiser,
    (_MICROSOFT, "DequantizeLinear"): _quantiser,
}
"""By domain and operator."""
