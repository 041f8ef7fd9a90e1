# SPDX-License-Identifier: Apache-2.0
"""A model through every level: float against onnxruntime, integers against float, the ISA model against integers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from systolith.api.network import IsaBackend, engine_batch, engine_feeds
from systolith.compiler.borders import from_engine
from systolith.compiler.frontend.load import load_model
from systolith.compiler.interp import run_float
from systolith.compiler.interp_int import run_integer
from systolith.compiler.ir import Graph
from systolith.compiler.pipeline import Compiled, compile_network
from systolith.compiler.quantise_config import QuantiseConfig
from systolith.spec.arch import PRESETS, Arch

from .float_models import run_onnxruntime
from .lsb import params_of

__all__ = ["ROOMY", "agree_on_every_level", "agree_with_the_isa_model"]

ROOMY = PRESETS["8x8"].with_(name="roomy", param_lines=1024)
"""An engine with room for any small network."""

COUNT = 24
"""Samples, for calibration and for comparison alike."""


def agree_on_every_level(path: Path, feeds: Mapping[str, NDArray[Any]], lsb: float, arch: Arch = ROOMY) -> Compiled:
    """Compile a float model calibrated on ``feeds``, arrays (COUNT, ...), and compare all levels on these.

    Inputs are first rounded to what the integer network can express. The float level before and after the passes is
    within 1e-4 of onnxruntime; the integers are within ``lsb`` steps of each output's scale of it; the ISA model is
    equal to them.
    """
    config = QuantiseConfig.for_arch(arch, method="min-max")
    compiled = compile_network(path, arch, lambda graph: feeds, config)
    network = compiled.network
    integers = engine_batch(network, feeds)
    reals = {name: _real(network, name, codes) for name, codes in integers.items()}
    results = run_integer(network, integers, acc_bits=arch.acc_bits)
    for name, expected in zip(network.outputs, run_onnxruntime(onnx.load(str(path)), reals), strict=True):
        for graph in (load_model(path), compiled.source):
            got = run_float(graph, reals, [name])[name]
            np.testing.assert_allclose(got.reshape(expected.shape), expected, rtol=1e-4, atol=1e-4)
        difference = np.abs(_real(network, name, results[name]).reshape(expected.shape) - expected)
        steps = float(difference.max()) / params_of(network, name).scale
        assert steps <= lsb, f"{name}: {steps:.2f} steps from float"
    agree_with_the_isa_model(compiled, feeds, arch)
    return compiled


def _real(network: Graph, name: str, codes: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(from_engine(codes, params_of(network, name), integer=False), np.float32)


def agree_with_the_isa_model(compiled: Compiled, feeds: Mapping[str, NDArray[Any]], arch: Arch = ROOMY) -> None:
    """The program computes the integer network, bit for bit."""
    singles = engine_feeds(compiled.network, feeds)[:4]
    for single, result in zip(singles, IsaBackend().run(compiled.program, singles), strict=True):
        reference = run_integer(compiled.network, single, acc_bits=arch.acc_bits)
        for name in compiled.network.outputs:
            np.testing.assert_array_equal(result.outputs[name], reference[name])
