# SPDX-License-Identifier: Apache-2.0
"""From an ONNX network to a program for the engine."""
