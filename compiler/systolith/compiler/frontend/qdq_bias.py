# SPDX-License-Identifier: Apache-2.0
"""Round a layer's bias to the accumulator's unit, without losing what the output would show.

Products of few bits have a coarse unit. Where rounding the bias to it could move the output by more than
:data:`FINEST` of its step, the channel's weights are multiplied by a power of two, as far as they have room, and the
unit is divided by it: the same layer, with a finer bias.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..fixed_np import Ints
from ..ir import QParams
from .qdq_values import Pending, Reals

__all__ = ["FINEST", "settled"]

FINEST = 1 / 32
"""Error of a rounded bias, in steps of the output, that is not worth more bits."""


def settled(layer: Pending, qparams: QParams, weight_bits: int) -> Pending:
    """The layer, and its parts, with an integer bias, for an output of ``qparams``; layers without a bias stay."""
    if layer.parts:
        return replace(layer, parts=tuple(settled(part, qparams, weight_bits) for part in layer.parts))
    if "bias" not in layer.constants:
        return layer
    weight, bias = layer.constants["weight"], layer.constants["bias"]
    shift = np.minimum(_wanted(bias, layer.scales / qparams.scale), _room(weight, weight_bits))
    finer = np.int64(1) << shift
    constants = {"weight": weight * finer.reshape(-1, 1, 1, 1), "bias": np.rint(bias * finer).astype(np.int64)}
    return replace(layer, scales=layer.scales / finer, constants={**layer.constants, **constants})


def _wanted(bias: Reals, factor: Reals) -> Ints:
    """Bits that each channel's bias lacks; none where it is whole already."""
    bits = np.ceil(np.log2(factor / 2 / FINEST)).astype(np.int64)
    return np.where(bias == np.rint(bias), 0, np.maximum(bits, 0))


def _room(weight: NDArray[np.int64], weight_bits: int) -> Ints:
    """Bits by which each channel's weights can grow."""
    rows = weight.reshape(len(weight), -1)
    low, high = rows.min(axis=1, initial=0), rows.max(axis=1, initial=0)
    shifts = np.arange(weight_bits - 1)[:, None]
    limit = 1 << (weight_bits - 1)
    fits = ((low << shifts) >= -limit) & ((high << shifts) < limit)
    return np.asarray(fits.sum(axis=0) - 1)
