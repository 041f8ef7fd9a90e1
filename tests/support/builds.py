# SPDX-License-Identifier: Apache-2.0
"""A network so small that it is compiled and simulated in a second, in every form that a command takes."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from systolith.api.build_folder import BuildFolder
from systolith.api.flow import compile

from .float_models import ModelBuilder

__all__ = ["SAMPLES", "SmallBuild", "make_small"]

SAMPLES = 16
"""Calibration samples of the small network."""


@dataclass(frozen=True)
class SmallBuild:
    """Files of the small network: 1 x 2 x 4 x 4 numbers in, 3 out."""

    model: Path
    calibration: Path
    folder: Path

    def copy(self, to: Path) -> Path:
        """A copy of the build folder, to be damaged."""
        shutil.copytree(self.folder, to)
        return to


def _save_model(path: Path) -> Path:
    net = ModelBuilder([1, 2, 4, 4], seed=3)
    x = net.add("Relu", net.conv("input", 4, 2, 3, 3, pads=[1, 1, 1, 1]))
    x = net.add("Flatten", net.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]))
    return net.save(path, net.add("Gemm", x, net.weights(3, 16), net.weights(3), transB=1))


def make_small(folder: Path) -> SmallBuild:
    """Write the model and its calibration data into ``folder`` and compile them for the 2 x 2 engine."""
    model, calibration = _save_model(folder / "small.onnx"), folder / "calib.npz"
    samples = np.random.default_rng(1).normal(0, 1, (SAMPLES, 2, 4, 4)).astype(np.float32)
    np.savez(calibration, x=samples)
    build: BuildFolder = compile(model, "tiny", calibration).write(folder / "build")
    return SmallBuild(model, calibration, build.path)
