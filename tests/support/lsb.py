# SPDX-License-Identifier: Apache-2.0
"""How far an integer network is from the float network that it was made of, in steps of its outputs' scales."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from systolith.compiler.interp import run_float
from systolith.compiler.interp_int import run_integer
from systolith.compiler.ir import Graph, QParams

__all__ = ["lsb_error"]


def _params(graph: Graph, name: str) -> QParams:
    params = graph.tensors[name].qparams
    assert params is not None
    return params


def lsb_error(source: Graph, network: Graph, data: Mapping[str, NDArray[Any]]) -> float:
    """The largest difference of any output on inputs that both can express, saturated values left out of account.

    Args:
        source: the prepared float network.
        network: the integer network of the same inputs and outputs.
        data: inputs, (N, ...) each; they are rounded to what the integer network can express.
    """
    integers, reals = {}, {}
    for name, values in data.items():
        params = _params(network, name)
        codes = np.clip(np.rint(values / params.scale) + params.zero_point, params.low, params.high)
        integers[name] = codes.astype(np.int64)
        reals[name] = (codes - params.zero_point) * params.scale
    got = run_integer(network, integers)
    expected = run_float(source, reals, network.outputs, dtype=np.float64)
    return max(_distance(expected[name], got[name], _params(network, name)) for name in network.outputs)


def _distance(expected: NDArray[Any], got: NDArray[np.int64], params: QParams) -> float:
    exact = np.clip(expected / params.scale, params.low - params.zero_point, params.high - params.zero_point)
    return float(np.abs(exact.reshape(got.shape) - (got - params.zero_point)).max())
