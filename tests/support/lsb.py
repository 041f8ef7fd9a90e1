# SPDX-License-Identifier: Apache-2.0
"""How far an integer network is from the float network that it was made of, in steps of its outputs' scales; and small
float models on their whole way through the compiler.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from systolith.compiler.interp import run_float
from systolith.compiler.interp_int import run_integer
from systolith.compiler.ir import Graph, QParams
from systolith.compiler.lower import lower
from systolith.compiler.passes.prepare import prepare_float
from systolith.compiler.pipeline import quantise_network
from systolith.compiler.quantise_config import QuantiseConfig
from systolith.spec.arch import PRESETS, Arch
from systolith.testbench.isa_model import IsaModel
from tests.support.float_models import ModelBuilder, random_feeds, read
from tests.support.random_graphs import random_feeds as random_integers

__all__ = ["assert_engine_agrees", "compiled", "lsb_error", "params_of"]


def params_of(graph: Graph, name: str) -> QParams:
    """A tensor's quantisation."""
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
        params = params_of(network, name)
        codes = np.clip(np.rint(values / params.scale) + params.zero_point, params.low, params.high)
        integers[name] = codes.astype(np.int64)
        reals[name] = (codes - params.zero_point) * params.scale
    got = run_integer(network, integers)
    expected = run_float(source, reals, network.outputs, dtype=np.float64)
    return max(_distance(expected[name], got[name], params_of(network, name)) for name in network.outputs)


def _distance(expected: NDArray[Any], got: NDArray[np.int64], params: QParams) -> float:
    exact = np.clip(expected / params.scale, params.low - params.zero_point, params.high - params.zero_point)
    return float(np.abs(exact.reshape(got.shape) - (got - params.zero_point)).max())


def assert_engine_agrees(network: Graph, arch: Arch, seed: int = 0) -> None:
    """The ISA model gives what the integer reference does, bit for bit, whatever the memory holds before."""
    model = IsaModel(lower(network, arch))
    limit = 1 << (arch.act_bits - 1)
    model.activations[:] = np.random.default_rng(seed).integers(-limit, limit, model.activations.shape)
    for turn in range(2):
        feeds = random_integers(network, seed + turn)
        expected = run_integer(network, feeds, acc_bits=arch.acc_bits, precision=arch.precision)
        got = model.run(feeds)
        for name in network.outputs:
            np.testing.assert_array_equal(got[name], expected[name])


def compiled(builder: ModelBuilder, *outputs: str, lsb: float, config: QuantiseConfig | None = None) -> Graph:
    """The integer network of a float model: within ``lsb`` of it, and computed exactly by two engines."""
    source = prepare_float(read(builder, *outputs))
    data = random_feeds(source, 8)
    network = quantise_network(source, data, config or QuantiseConfig())
    error = lsb_error(source, network, data)
    assert error < lsb, f"{error:.3f} LSB"
    for name in ("4x4", "8x8"):
        assert_engine_agrees(network, PRESETS[name])
    return network
