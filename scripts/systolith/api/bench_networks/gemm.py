# SPDX-License-Identifier: Apache-2.0
"""Products of two square matrices, the second one constant."""

from __future__ import annotations

from .builder import BenchModel, NetworkBuilder

__all__ = ["gemm"]

_WIDTH = 16


def gemm(size: int, seed: int = 0) -> BenchModel:
    """(size, size) times (size, size): a convolution with a 1 x 1 window whose pixels are the rows of the product."""
    net = NetworkBuilder(f"gemm_{size}", (size, size // _WIDTH, _WIDTH), low=-1, high=1, seed=seed)
    return net.model(net.conv("input", size, (1, 1), relu=False))
