# SPDX-License-Identifier: Apache-2.0
"""ONNX dialects to the graph, one dialect a module."""
