# SPDX-License-Identifier: Apache-2.0
"""Operators that scale and shift each channel by constants: what they are, and how a layer takes them in.

Multiplication, division, addition and subtraction of a constant with one number per channel (or one for all), negation,
and batch normalisation are all ``y = factor * x + offset``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UnsupportedModel, WeightError
from ..ir import Graph, Node
from .fuse_activation import Bounds, bounds_of, limited
from .rewrite import is_constant

__all__ = ["LAYERS", "Affine", "affine_of", "by_output", "is_rescaling", "per_channel", "scaled_bounds", "with_bounds"]

Floats = NDArray[np.float64]

LAYERS = ("Conv", "ConvTranspose", "Gemm")
"""Operators with weights; a Gemm is in the form of :mod:`.normalise_gemm`."""


@dataclass(frozen=True)
class Affine:
    """``y = factor * source + offset``, one number per channel of axis 1, float64."""

    source: str
    factor: Floats
    offset: Floats


def affine_of(graph: Graph, node: Node) -> Affine | None:
    """What a node does to each channel; None if it is not of this kind or changes the shape.

    Bounds of the node (``lower``, ``upper``) are not part of it.

    Raises:
        UnsupportedModel: a batch normalisation whose statistics are computed.
        WeightError: one whose variance is not positive.
    """
    if node.op == "BatchNormalization":
        return _batch_norm(graph, node)
    shape = graph.tensors[node.outputs[0]].shape
    data = [name for name in node.inputs if not is_constant(graph, name)]
    if len(data) != 1 or len(shape) < 2 or graph.tensors[data[0]].shape != shape:
        return None
    pair = _factor_and_offset(graph, node, shape)
    if pair is None or not all(np.isfinite(part).all() for part in pair):
        return None
    return Affine(data[0], *(np.broadcast_to(part, (shape[1],)) for part in pair))


def is_rescaling(graph: Graph, node: Node) -> bool:
    """Whether a node multiplies by one positive number: the same integers on another scale."""
    affine = affine_of(graph, node)
    if affine is None or affine.offset.any() or bounds_of(node) != (-math.inf, math.inf):
        return False
    return bool(affine.factor[0] > 0 and (affine.factor == affine.factor[0]).all())


def _factor_and_offset(graph: Graph, node: Node, shape: tuple[int, ...]) -> tuple[Floats, Floats] | None:
    one, zero = np.ones(1), np.zeros(1)
    if node.op == "Neg":
        return -one, zero
    if node.op not in ("Add", "Div", "Mul", "Sub") or len(node.inputs) != 2:
        return None
    first = is_constant(graph, node.inputs[0])
    value = per_channel(graph.constant(node.inputs[0 if first else 1]), shape)
    if value is None or node.op == "Div" and first:
        return None
    with np.errstate(divide="ignore"):
        return {
            "Add": (one, value),
            "Div": (1 / value, zero),
            "Mul": (value, zero),
            "Sub": (-one, value) if first else (one, -value),
        }[node.op]


def per_channel(value: NDArray[Any], shape: tuple[int, ...]) -> Floats | None:
    """A constant as one number per channel; None if it varies along another axis or enlarges the tensor."""
    if value.ndim > len(shape):
        return None
    full = (1,) * (len(shape) - value.ndim) + value.shape
    if full[1] not in (1, shape[1]) or any(size != 1 for axis, size in enumerate(full) if axis != 1):
        return None
    return value.astype(np.float64).reshape(-1)


def _batch_norm(graph: Graph, node: Node) -> Affine:
    if not all(is_constant(graph, name) for name in node.inputs[1:]):
        raise UnsupportedModel(
            node=node.name,
            op=node.op,
            problem="its statistics are computed by the network",
            accepted="constant scale, bias, mean and variance",
            advice="export the network for inference",
        )
    scale, bias, mean, variance = (graph.constant(name).astype(np.float64) for name in node.inputs[1:])
    spread = variance + node.attributes["epsilon"]
    if (spread <= 0).any():
        raise WeightError(
            f"node {node.name!r} ({node.op}): variance plus epsilon is {spread.min():g} in channel {spread.argmin()}; "
            "accepted: positive; train or export the network again"
        )
    factor = scale / np.sqrt(spread)
    return Affine(node.inputs[0], factor, bias - mean * factor)


def by_output(layer: Node, weight: NDArray[Any], factor: Floats) -> Floats:
    """``factor``, one number per output channel, shaped to multiply the weights of a layer."""
    if layer.op != "ConvTranspose":
        return factor.reshape(-1, *(1,) * (weight.ndim - 1))
    inputs, outputs = weight.shape[0], weight.shape[1]
    by_group = np.repeat(
        factor.reshape(layer.attributes["group"], outputs), inputs // layer.attributes["group"], axis=0
    )
    return by_group.reshape(inputs, outputs, *(1,) * (weight.ndim - 2))


def scaled_bounds(bounds: Bounds, affine: Affine) -> Bounds | None:
    """What a clamp before ``affine`` is behind it; None if that differs from channel to channel."""
    if bounds == (-math.inf, math.inf):
        return bounds
    if (affine.factor == 0).any():
        return None
    ends = np.sort([affine.factor * end + affine.offset for end in bounds], axis=0)
    if (ends != ends[:, :1]).any():
        return None
    return float(ends[0, 0]), float(ends[1, 0])


def with_bounds(node: Node, first: Bounds) -> dict[str, float]:
    """The attributes of ``first`` followed by the node's own bounds; none where nothing is bounded."""
    lower, upper = limited(first, bounds_of(node))
    return {} if (lower, upper) == (-math.inf, math.inf) else {"lower": lower, "upper": upper}
