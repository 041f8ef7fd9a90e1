# SPDX-License-Identifier: Apache-2.0
"""The version of the standard operator set a model was exported with."""

from __future__ import annotations

import onnx

__all__ = ["opset_version"]


def opset_version(model: onnx.ModelProto) -> int:
    """The version of the standard operator set the model imports; 0 if it imports none."""
    return next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
