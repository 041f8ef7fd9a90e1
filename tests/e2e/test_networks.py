# SPDX-License-Identifier: Apache-2.0
"""Whole networks, from the ONNX file to the RTL: reference == ISA model == RTL, and the cycle model to the cycle."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from systolith.api.accuracy import float_classes, integer_classes, share_correct
from systolith.api.build_folder import BuildFolder
from systolith.api.bundled import DIGITS, digits_test, network_file
from systolith.api.checks import check
from systolith.api.flow import Compiled, compile
from systolith.spec.arch import PRESETS, Arch

ZOO = os.environ.get("SYSTOLITH_ZOO")
needs_zoo = pytest.mark.skipif(ZOO is None, reason="SYSTOLITH_ZOO does not name the folder of networks and data")


def agree(compiled: Compiled, folder: Path, *, samples: int, randoms: int = 1) -> dict[str, Any]:
    """All back ends agree on stored and random inputs; the figures."""
    compiled.write(folder / "build")
    build = BuildFolder(folder / "build")
    figures = check(build, simulator=None, samples=samples, randoms=randoms, seed=7, step=lambda *_: None)
    assert figures["findings"] == []
    assert figures["real"] == samples
    return figures


ENGINES = [
    PRESETS["4x4"],
    PRESETS["8x8"],
    PRESETS["tiny"].with_(name="weights of 4 bits", weight_bits=4, param_lines=512),
    PRESETS["tiny"].with_(name="activations of 16 bits", act_bits=16, acc_bits=48, weight_lines=16384, param_lines=512),
]


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("arch", ENGINES, ids=lambda arch: arch.name)
@pytest.mark.parametrize("network", ["digits_cnn", "digits_mlp"])
def test_bundled_networks_in_rtl(network: str, arch: Arch, tmp_path: Path) -> None:
    agree(compile(network_file(network), arch, DIGITS), tmp_path, samples=2)


@pytest.mark.parametrize(("network", "least"), [("digits_cnn", 0.98), ("digits_mlp", 0.97)])
def test_accuracy_of_bundled_networks(network: str, least: float) -> None:
    compiled = compile(network_file(network), "8x8", DIGITS)
    inputs, labels = digits_test()
    as_float = share_correct(float_classes(compiled.source, inputs), labels)
    quantised = share_correct(integer_classes(compiled.network, inputs, 32), labels)
    assert as_float >= least
    assert quantised >= as_float - 0.005


def zoo(name: str) -> Path:
    return Path(ZOO or "") / name


def autoencoder_inputs(folder: Path) -> Path:
    """Windows of log-mel energies have about these statistics; the zoo has no real ones."""
    file = folder / "inputs.npy"
    values = np.random.default_rng(0).normal(-30.0, 12.0, (32, 640)).clip(-67.0, 2.0)
    np.save(file, values.astype(np.float32))
    return file


@needs_zoo
@pytest.mark.zoo
@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("form", ["float", "int8_qdq", "int8_tflite"])
def test_resnet8_in_rtl(form: str, tmp_path: Path) -> None:
    images = np.load(zoo("data/cifar10_calib.npz"))["x"].astype(np.float32)
    np.save(tmp_path / "images.npy", images)
    compiled = compile(zoo(f"{form}/resnet8.onnx"), "16x16", tmp_path / "images.npy")
    assert agree(compiled, tmp_path, samples=1)["cycles"] < 60_000


@needs_zoo
@pytest.mark.zoo
@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("form", ["float", "int8_qdq", "int8_tflite"])
def test_autoencoder_in_rtl(form: str, tmp_path: Path) -> None:
    compiled = compile(zoo(f"{form}/ad_autoencoder.onnx"), "16x16", autoencoder_inputs(tmp_path))
    assert agree(compiled, tmp_path, samples=1)["cycles"] < 10_000


@needs_zoo
@pytest.mark.zoo
@pytest.mark.slow
def test_resnet8_keeps_its_accuracy() -> None:
    compiled = compile(zoo("float/resnet8.onnx"), "16x16", zoo("data/cifar10_calib.npz"))
    data = np.load(zoo("data/cifar10_eval_lossless.npz"))
    images = data["x"].transpose(0, 3, 1, 2).astype(np.float32)
    assert share_correct(integer_classes(compiled.network, images, 32), data["y"]) >= 0.882
