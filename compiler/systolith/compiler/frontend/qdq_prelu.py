# SPDX-License-Identifier: Apache-2.0
"""PRelu in a QDQ network: one slope is a table, slopes by channel are a sum.

``y = max(x, 0) + slope * min(x, 0)``: both terms round to the output's quantisation, and as one of them is always zero,
their sum is the rounded result itself. ``min(x, 0)`` is a node of its own only where a slope is negative; else the
depthwise convolution that multiplies is limited to what is not positive.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ..ir import Node
from .qdq_affine import by_channel_layer, numbers_by_channel, times_by_channel
from .qdq_table import function, is_curve, is_number, numbers_of
from .qdq_values import Activation, Pending, Reals, Value
from .qdq_walk import Walk

__all__ = ["prelu"]


def prelu(walk: Walk, node: Node) -> Value:
    """``x`` where it is not negative, elsewhere ``slope * x``."""
    slope = walk.value(node, 1)
    if is_curve(walk.value(node, 0)) or not is_number(slope) or numbers_of(slope).size == 1:
        return function(walk, node)
    return _sum(walk, node, walk.in_shape(node, walk.real(node)), numbers_of(slope))


def _sum(walk: Walk, node: Node, activation: Activation, slope: Reals) -> Pending:
    falling = bool((slope < 0).any())
    layer = by_channel_layer(walk, node, _below(walk, node, activation) if falling else activation)
    below = times_by_channel(walk, node, layer, numbers_by_channel(node, layer, slope))
    below = replace(below, name=f"{node.name}:below", high=math.inf if falling else 0.0)
    above = replace(walk.rescaled(node, activation, (node.op,)), name=f"{node.name}:above", low=0.0)
    return replace(walk.layer("QAdd", node, (), np.ones(2), {}), parts=(below, above))


def _below(walk: Walk, node: Node, activation: Activation) -> Activation:
    """The integers of ``min(x, 0)``."""
    name = walk.fresh(f"{node.outputs[0]}:below")
    limited = replace(walk.rescaled(node, activation, (node.op,)), name=f"{node.name}:limit", high=0.0)
    return walk.rounded(limited, activation.qparams, name, name)
