# SPDX-License-Identifier: Apache-2.0
"""resnet8 and ad_autoencoder of MLPerf Tiny, float and in two quantised forms, to RTL verified bit for bit.

Real images for resnet8; of the autoencoder's spectrograms there are none, so its inputs are drawn from their range.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from systolith.api.accuracy import integer_classes, share_correct
from systolith.api.build_folder import BuildFolder
from systolith.api.checks import check, collect_samples
from systolith.api.flow import compile
from systolith.testbench.verify import verify
from tests.support.simulators import needs

ZOO = Path(os.environ.get("SYSTOLITH_ZOO", ""))
SEED = 21
FORMS = [(network, form) for network in ("resnet8", "ad_autoencoder") for form in ("float", "int8_qdq", "int8_tflite")]

pytestmark = [
    pytest.mark.zoo,
    pytest.mark.skipif("SYSTOLITH_ZOO" not in os.environ, reason="SYSTOLITH_ZOO names no folder of networks"),
]


def _real_inputs(network: str) -> NDArray[Any]:
    """Images of pixels 0..255, or spectrograms of decibels from -67 to 2."""
    if network == "resnet8":
        with np.load(ZOO / "data" / "cifar10_calib.npz") as data:
            return np.asarray(data["x"].transpose(0, 3, 1, 2), dtype=np.float32)
    return np.random.default_rng(SEED).normal(-25, 10, (64, 640)).clip(-67, 2).astype(np.float32)


def _inputs(network: str, form: str, folder: Path) -> Path:
    """Calibration data, which are also the inputs of the verification; integers where the network takes integers."""
    values, file = _real_inputs(network), folder / "inputs.npz"
    if form == "int8_tflite":
        scale, zero_point = {"resnet8": (1.0, -128), "ad_autoencoder": (0.39102, 89)}[network]
        values = (np.rint(values / scale) + zero_point).clip(-128, 127).astype(np.int8)
    np.savez(file, x=values)
    return file


def _build(network: str, form: str, arch: str, folder: Path) -> BuildFolder:
    return compile(ZOO / form / f"{network}.onnx", arch, _inputs(network, form, folder)).write(folder / "build")


@pytest.mark.sim
@pytest.mark.slow
@needs("verilator")
@pytest.mark.parametrize(("network", "form"), FORMS)
def test_rtl_is_exact(network: str, form: str, tmp_path: Path) -> None:
    figures = check(_build(network, form, "16x16", tmp_path), simulator="verilator", samples=1, randoms=1, seed=SEED)
    assert figures["findings"] == []
    assert figures["elements"] == 2 * (10 if network == "resnet8" else 640)
    assert (figures["real"], figures["random"]) == (1, 1)


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["4x4", "8x8"])
@pytest.mark.parametrize(("network", "form"), FORMS)
def test_isa_model_is_exact(network: str, form: str, arch: str, tmp_path: Path) -> None:
    build = _build(network, form, arch, tmp_path)
    program, graph = build.program(), build.network()
    samples = collect_samples(build, program, graph, real=1, randoms=1, seed=SEED)
    verdict = verify(program, samples, None)
    assert verdict.samples == 2
    assert verdict.findings == ()


@pytest.mark.slow
def test_resnet8_keeps_its_accuracy() -> None:
    compiled = compile(ZOO / "float" / "resnet8.onnx", "16x16", ZOO / "data" / "cifar10_calib.npz")
    with np.load(ZOO / "data" / "cifar10_eval_lossless.npz") as data:
        inputs, labels = data["x"].transpose(0, 3, 1, 2).astype(np.float32), data["y"]
    assert len(labels) == 500
    accuracy = share_correct(integer_classes(compiled.network, inputs, 32), labels)
    assert accuracy >= 0.882
