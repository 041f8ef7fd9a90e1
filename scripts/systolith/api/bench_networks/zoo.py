# SPDX-License-Identifier: Apache-2.0
"""Trained weights for the benchmark, from the folder that the environment variable ``SYSTOLITH_ZOO`` names.

The folder holds ``float/NAME.onnx`` and real inputs in ``data/FILE.npz``; what is not there is not used.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from .builder import SAMPLES, BenchModel

__all__ = ["ZOO_VARIABLE", "trained"]

ZOO_VARIABLE = "SYSTOLITH_ZOO"

Arrays = Mapping[str, NDArray[Any]]


def _images(data: Arrays) -> NDArray[Any]:
    return data["x"].transpose(0, 3, 1, 2)


def _keywords(data: Arrays) -> NDArray[Any]:
    return ((data["x_int8"] - data["zero_point"].astype(np.float32)) * data["scale"])[:, None]


_DATA: dict[str, tuple[str, Callable[[Arrays], NDArray[Any]]]] = {
    "resnet8": ("cifar10_calib", _images),
    "mobilenet_v1_025": ("vww_samples", lambda data: _images(data) / 255),
    "ds_cnn": ("kws", _keywords),
    "str_ww": ("str_ww_calib", lambda data: data["x"]),
}
"""File and form of the real inputs, by network; others take the synthetic ones."""


def _samples(folder: Path, name: str) -> NDArray[np.float32] | None:
    file, convert = _DATA.get(name, ("", _images))
    path = folder / "data" / f"{file}.npz"
    if not path.is_file():
        return None
    with np.load(path) as data:
        return convert(data)[:SAMPLES].astype(np.float32)


def trained(name: str, seeded: BenchModel) -> BenchModel | None:
    """The trained network of the same shape as ``seeded``; None where the folder does not hold it.

    Its samples are real ones, or those of ``seeded`` where there are none.
    """
    folder = Path(os.environ.get(ZOO_VARIABLE) or os.devnull)
    path = folder / "float" / f"{name}.onnx"
    if not path.is_file():
        return None
    samples = _samples(folder, name)
    return BenchModel(onnx.load(path), seeded.samples if samples is None else samples)
