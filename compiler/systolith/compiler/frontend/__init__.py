# SPDX-License-Identifier: Apache-2.0
"""ONNX dialects to the graph, one dialect a module; :func:`load_model` is the way in."""

from .load import load_model

__all__ = ["load_model"]
