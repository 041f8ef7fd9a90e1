# SPDX-License-Identifier: Apache-2.0
"""Random float networks: onnxruntime, the float interpreter before and after every pass, integers and the ISA model."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from numpy.typing import NDArray

from systolith.compiler.interp import run_float
from systolith.compiler.ir import Graph
from systolith.compiler.passes.legalise import legalise
from systolith.compiler.passes.prepare import prepare_float
from systolith.compiler.pipeline import quantise_network
from systolith.compiler.quantise_config import QuantiseConfig
from systolith.spec.arch import PRESETS
from tests.support.float_models import random_feeds, read, run_onnxruntime
from tests.support.lsb import assert_engine_agrees
from tests.support.random_models import RandomModel, few, models

ARCH = PRESETS["tiny"].with_(
    name="small", tables=32, act_lines=1 << 14, weight_lines=1 << 16, param_lines=2048, program_words=1 << 15
)

TOLERANCE = 1e-4


def close(got: NDArray[Any], expected: NDArray[Any], what: str) -> None:
    """Equal within a ten thousandth of the range."""
    span = max(float(np.abs(expected).max(initial=0)), 1e-3)
    assert np.abs(got - expected).max(initial=0) <= TOLERANCE * span, what


def compare(model: RandomModel) -> Graph:
    """onnxruntime, the graph as imported, as prepared and as quantised from; returns the prepared one."""
    outputs = model.outputs
    graph = read(model.builder, *outputs)
    feeds = random_feeds(graph, 3)
    expected = dict(zip(outputs, run_onnxruntime(model.builder.model(*outputs), feeds), strict=True))
    prepared = prepare_float(graph)
    stages = {"imported": graph, "prepared": prepared}
    stages |= {f"legal, tables {tables}": legalise(prepared, tables=tables) for tables in (0, 8)}
    for stage, made in stages.items():
        got = run_float(made, feeds)
        for name in outputs:
            close(got[name], expected[name], f"{stage}: {name}")
    return prepared


@few(30)
@given(models())
def test_floats_agree_with_onnxruntime(model: RandomModel) -> None:
    compare(model)


@few(12)
@given(models())
def test_integers_agree_with_the_isa_model(model: RandomModel) -> None:
    check_integers(model, QuantiseConfig.for_arch(ARCH))


def check_integers(model: RandomModel, config: QuantiseConfig) -> None:
    """The program of a model computes what its integer network says, bit for bit."""
    prepared = prepare_float(read(model.builder, *model.outputs))
    network = quantise_network(prepared, random_feeds(prepared, 8), config)
    assert_engine_agrees(network, ARCH)
