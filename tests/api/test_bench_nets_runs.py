# SPDX-License-Identifier: Apache-2.0
"""That runs are exact is tested in ``test_bench_nets.py`` and, for every network, in ``e2e/test_cycle_model.py``."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest

from systolith.api.bench_nets_runs import compile_fitting, run_net
from systolith.api.bench_networks.builder import BenchModel, NetworkBuilder
from systolith.api.bench_networks.gemm import gemm
from systolith.compiler.errors import CapacityError
from systolith.compiler.model import predict
from systolith.spec.arch import PRESETS


def saved(built: BenchModel, name: str, folder: Path) -> tuple[Path, Path]:
    """A network and its samples as files."""
    model, data = folder / f"{name}.onnx", folder / f"{name}.npz"
    onnx.save(built.model, model)
    np.savez(data, x=built.samples)
    return model, data


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A product of 64 x 64 matrices and its samples."""
    return saved(gemm(64), "gemm_64", tmp_path)


def test_memories_grow_where_they_are_too_small(files: tuple[Path, Path]) -> None:
    arch = PRESETS["4x4"].with_(act_lines=16, param_lines=2)
    compiled, remark = compile_fitting(files[0], arch, files[1])
    grown = re.fullmatch(r"act_lines 16 -> (\d+), param_lines 2 -> (\d+)", remark)
    assert grown is not None, remark
    lines, params = map(int, grown.groups())
    assert lines.bit_count() == params.bit_count() == 1
    assert compiled.program.arch == arch.with_(act_lines=lines, param_lines=params)
    assert compile_fitting(files[0], PRESETS["4x4"], files[1])[1] == ""


def test_where_no_size_is_advised_the_refusal_stands(tmp_path: Path) -> None:
    """A window much larger than its map needs coordinates that so small a memory does not count."""
    net = NetworkBuilder("wide", (1, 2, 2), low=0, high=1)
    model, data = saved(net.model(net.conv("input", 1, (31, 31), pads=(15, 15, 15, 15))), "wide", tmp_path)
    with pytest.raises(CapacityError, match="what helps: a larger act_lines"):
        compile_fitting(model, PRESETS["tiny"].with_(act_lines=4), data)


def test_a_run_without_rtl_has_the_model_s_counters(files: tuple[Path, Path]) -> None:
    run = run_net("gemm_64", PRESETS["16x16"], files[0].parent, rtl=False, simulator=None)
    assert run.descriptors == predict(run.program).descriptors
    assert (run.record["target_utilisation"], run.record["exact"]) == (0.96, None)
    assert run.record["rtl_seconds"] is None
    assert min(run.record["decode_seconds"], run.record["model_seconds"]) > 0
