# SPDX-License-Identifier: Apache-2.0
"""A network of functions that no bounds can do, from ONNX to RTL: sigmoid, a hard swish of a sum, tanh."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from systolith.api.flow import Compiled, compile
from systolith.api.network import engine_feeds
from systolith.compiler.errors import CapacityError, UnsupportedModel
from systolith.compiler.interp import run_float
from systolith.compiler.interp_int import run_integer
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.encoding import decode_program
from systolith.spec.isa import Op
from systolith.spec.link import Space
from tests.support.float_models import ModelBuilder, random_feeds
from tests.support.rtl import assert_rtl_is_exact
from tests.support.simulators import needs

SEED = 4
SHAPE = (1, 3, 10, 10)


def network(folder: Path) -> tuple[Path, Path]:
    """The network and its calibration data: the first sigmoid's values are read twice, the tanh follows a pool."""
    made = ModelBuilder(SHAPE, seed=SEED)
    gates = made.add("Sigmoid", made.conv("input", 8, 3, 3, 3, pads=(1, 1, 1, 1)))
    mixed = made.conv(gates, 8, 8, 1, 1)
    swished = made.add("HardSwish", made.add("Add", mixed, gates))
    pooled = made.add("MaxPool", swished, kernel_shape=(2, 2), strides=(2, 2))
    squashed = made.add("Tanh", pooled)
    scores = made.add("Gemm", made.add("Flatten", squashed), made.weights(200, 6), made.weights(6))
    model, data = made.save(folder / "model.onnx", made.add("Sigmoid", scores)), folder / "data.npz"
    np.savez(data, input=np.random.default_rng(SEED).normal(0, 1, (32, *SHAPE[1:])).astype(np.float32))
    return model, data


def compiled_for(arch: str | Arch, folder: Path) -> Compiled:
    model, data = network(folder)
    return compile(model, arch, data)


def test_every_function_rides_on_a_layer_and_equal_ones_share(tmp_path: Path) -> None:
    program = compiled_for("8x8", tmp_path).program
    made = decode_program(program.segments[Space.PROGRAM], program.arch)
    assert [(one.op, one.residual, one.lookup) for one in made] == [
        (Op.MATRIX, False, True),
        (Op.MATRIX, True, True),
        (Op.VECTOR, False, True),
        (Op.MATRIX, False, True),
    ]
    assert len({one.table for one in made}) == len(program.segments[Space.TABLES]) // 256


def test_the_integers_are_near_the_float_network(tmp_path: Path) -> None:
    compiled = compiled_for("8x8", tmp_path)
    graph, (name,) = compiled.network, compiled.network.outputs
    inputs = random_feeds(compiled.source, 8, SEED)
    feeds = engine_feeds(graph, inputs)
    result = np.concatenate([run_integer(graph, feed)[name] for feed in feeds])
    (expected,) = (run_float(compiled.source, inputs)[output] for output in compiled.source.outputs)
    params = graph.tensors[name].qparams
    assert params is not None
    error = params.scale * (result - params.zero_point).reshape(expected.shape) - expected
    assert np.abs(error).max() < 0.1
    assert np.sqrt(np.mean(error**2)) < 0.03


@pytest.mark.sim
@pytest.mark.slow
@needs("verilator")
@pytest.mark.parametrize(
    "arch", [PRESETS["4x4"], PRESETS["8x8"], PRESETS["tiny"].with_(tables=4)], ids=lambda a: a.name
)
def test_rtl_is_exact(arch: Arch, tmp_path: Path) -> None:
    assert_rtl_is_exact(compiled_for(arch, tmp_path), tmp_path, SEED)


def test_too_few_tables_and_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CapacityError, match=r"tables: 4 different ones are needed, arch 'tiny' holds 2, 2 too many"):
        compiled_for("tiny", tmp_path)
    with pytest.raises(
        UnsupportedModel, match=r"\(Sigmoid\): it needs a table of function values, which the engine lacks"
    ):
        compiled_for("16x16", tmp_path)
