# SPDX-License-Identifier: Apache-2.0
"""The networks and data that come with the package: handwritten digits, 8 x 8 pixels, ten classes."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["DIGITS", "digits_test", "network_file"]

_DATA = Path(str(files("systolith.api"))) / "data"

DIGITS = _DATA / "digits.npz"
"""``x_calib`` (128), ``x_test`` (500) float32 N x 1 x 8 x 8 in 0..1, and ``y_test``."""


def network_file(name: str) -> Path:
    """The ONNX file of a bundled network: ``digits_cnn`` or ``digits_mlp``."""
    return _DATA / f"{name}.onnx"


def digits_test() -> tuple[NDArray[np.float32], NDArray[Any]]:
    """The held-out test set: images N x 1 x 8 x 8, float32 in 0..1, and their classes (N,)."""
    with np.load(DIGITS) as data:
        return data["x_test"].astype(np.float32), data["y_test"]
