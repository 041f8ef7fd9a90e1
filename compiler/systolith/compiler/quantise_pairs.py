# SPDX-License-Identifier: Apache-2.0
"""Quantise sums and products of two computed tensors, of one shape or broadcast.

The second operand of a ``QAdd`` or ``QMul`` may be a single pixel (the gate of a squeeze-excite block), which costs
nothing. A single channel is made as many as the other operand has by a convolution with ones, which is exact.
"""

from __future__ import annotations

import numpy as np

from .errors import UnsupportedModel
from .ir import AddAttributes, Node, QParams, Tensor
from .quantise_builder import Builder
from .quantise_movement import fixed_conv
from .quantise_vector import existing
from .verify_integer import image_shape

__all__ = ["addition", "product"]


def addition(builder: Builder, node: Node) -> None:
    """``Add`` to ``QAdd``; the sum has its own scale."""
    for name in node.inputs:
        if name in builder.graph.constants:
            raise builder.refuse(
                node,
                f"it adds the constant {name!r} of shape {list(builder.graph.constant(name).shape)}",
                "a constant per channel right after a Conv or Gemm that nothing else reads, or two computed branches",
            )
    names = _operands(builder, node)
    scales = [builder.params(name).scale for name in names]
    params = builder.define(node.outputs[0], builder.add_scale(max(scales)))
    lo, hi = builder.bounds(node, params)
    add = AddAttributes(scales[0] / params.scale, scales[1] / params.scale, lo, hi)
    builder.emit(node, "QAdd", names, {"add": add})


def product(builder: Builder, node: Node) -> None:
    """``Mul`` of two computed tensors to ``QMul``; the first operand is the one whose rounding costs less."""
    names = _operands(builder, node)
    shapes = {builder.source(name).shape for name in names}
    if len(shapes) == 1 and _reach(builder.params(names[0])) < _reach(builder.params(names[1])):
        names = names[::-1]
    first, second = (builder.params(name) for name in names)
    # the product's value for integers 1 and 2**bits
    unit = first.scale * second.scale * (1 << first.bits)
    params = builder.define(node.outputs[0], builder.product_scale(unit, first))
    lo, hi = builder.bounds(node, params)
    builder.emit(node, "QMul", names, {"factor": unit / params.scale, "lo": lo, "hi": hi})


def _reach(params: QParams) -> int:
    """The largest magnitude of an integer relative to the zero point."""
    return max(params.zero_point - params.low, params.high - params.zero_point)


def _operands(builder: Builder, node: Node) -> tuple[str, str]:
    """The operands at the integer level: the first of the result's shape, the second too or a single pixel."""
    channels, *size = image_shape(builder.graph.tensors[node.outputs[0]].shape)
    tensors = [builder.source(existing(builder, node, name)) for name in node.inputs]
    if image_shape(tensors[0].shape)[1:] != tuple(size):
        tensors.reverse()
    sizes = [image_shape(tensor.shape)[1:] for tensor in tensors]
    if sizes[0] != tuple(size) or sizes[1] not in (tuple(size), (1, 1)):
        raise _refusal(builder, node)
    first, second = (_spread(builder, node, tensor, channels) for tensor in tensors)
    return first, second


def _spread(builder: Builder, node: Node, tensor: Tensor, channels: int) -> str:
    """A tensor of ``channels`` channels: itself, or its only one as often."""
    if image_shape(tensor.shape)[0] == channels:
        return tensor.name
    shape, params = (1, channels, *tensor.shape[2:]), builder.params(tensor.name)
    name = builder.inner(node, f"{tensor.name} in each channel", shape, params)
    fixed_conv(builder, node, tensor, name, np.ones((channels, 1, 1, 1), np.int64), 1.0)
    return name


def _refusal(builder: Builder, node: Node) -> UnsupportedModel:
    shapes = " and ".join(str(list(builder.graph.tensors[name].shape)) for name in node.inputs)
    return builder.refuse(
        node,
        f"it combines {shapes}",
        "operands of one shape, or one that is broadcast over the other's pixels, channels or both",
    )
